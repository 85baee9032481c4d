"""What can be said, and how surely: moments, intervals, edges, weights."""
