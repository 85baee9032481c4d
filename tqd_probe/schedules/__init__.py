"""The band schedule: bands, their edges, fits, mixture weights, its JSON."""
