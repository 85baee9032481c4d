"""Estimates and their errors: similarity, intervals, moments, forecasts, mixtures."""
