"""What runs beside training steps."""
