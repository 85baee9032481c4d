"""Descriptions of data as trainers take them, read as rows of a table of clips."""
