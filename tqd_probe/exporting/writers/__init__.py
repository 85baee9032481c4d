"""What each trainer reads, written: one module per trainer."""
