"""Published score files: their formats, read and converted."""
