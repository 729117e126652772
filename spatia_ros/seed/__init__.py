"""The first memory of a place, from whatever there is of it: frames, clouds, meshes, one photograph."""
