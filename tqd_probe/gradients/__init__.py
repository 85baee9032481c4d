"""Per-clip gradients: captured, checked against an oracle, stored."""
