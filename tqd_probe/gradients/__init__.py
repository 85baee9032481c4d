"""Per-clip gradients: captured, sketched, stored, and checked against a reference."""
