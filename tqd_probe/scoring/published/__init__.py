"""Published score files: their formats, readers and conversion."""
