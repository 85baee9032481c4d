"""Training by a band schedule, and trials of whether one helps."""
