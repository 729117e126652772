"""Engines: one table of inputs and outputs, one call signature, whatever runs the network."""

from spatia_ros.engine.manifest import Manifest, open_engine

__all__ = ["Manifest", "open_engine"]
