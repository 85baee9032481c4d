"""Other trainers' configurations: levels they really draw, bands they can carry."""
