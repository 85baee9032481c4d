"""Video diffusion models behind one protocol, and the shipped checkpoint `tiny`."""
