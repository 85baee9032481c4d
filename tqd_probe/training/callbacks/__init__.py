"""Callbacks: called before, between and after training steps."""
