"""Engines: one table of inputs and outputs, one call signature, whatever runs the networks."""

from spatia_ros.engine.engines import Engines
from spatia_ros.engine.manifest import Manifest, open_engine
from spatia_ros.engine.runtimes import open_engines

__all__ = ["Engines", "Manifest", "open_engine", "open_engines"]
