"""Model families behind one protocol, and the shipped checkpoint."""
