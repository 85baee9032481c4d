"""Model families: one adapter per diffusers pipeline class."""
