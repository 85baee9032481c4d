"""Timestep samplers: at which noise level each clip is trained."""
