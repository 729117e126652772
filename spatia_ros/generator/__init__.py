"""The generator: what memory cannot show is filled and refined, colour and depth together."""

from spatia_ros.generator.generators import Generator, ProjectionGenerator
from spatia_ros.generator.sample import Engine, Generated

__all__ = ["Engine", "Generated", "Generator", "ProjectionGenerator"]
