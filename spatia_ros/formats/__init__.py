"""Mesh and point cloud files, as plain arrays."""
