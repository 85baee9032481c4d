"""Quality scores of clips: published files read, normalised, turned into classes."""
