"""Short paired trials of samplers: does a schedule help here?"""
