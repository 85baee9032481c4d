"""Ground floor: errors, files, random streams, noise, processes, command lines."""
