"""Engines: one table of inputs and outputs, one call signature, whatever runs the networks."""

from spatia_ros.engine.engines import Engines
from spatia_ros.engine.runtimes import open_engines

__all__ = ["Engines", "open_engines"]
