"""Motion and visual quality of clips: scored or read from published files."""
