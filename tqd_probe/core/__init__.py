"""Shared by all folders: errors, files, random streams, noise, command lines."""
