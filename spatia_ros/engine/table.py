"""The one table of what goes into and comes out of a generator network."""

from __future__ import annotations

from typing import NamedTuple

from spatia_ros.generator.condition import INPUT_CHANNELS, REFERENCE_CHANNELS, REFERENCE_SIZE


class Port(NamedTuple):
    """One named float32 array; a size given by name is free at run time."""

    name: str
    shape: tuple[int | str, ...]


INPUTS = (
    Port("image", ("batch", INPUT_CHANNELS, "height", "width")),
    Port("references", ("batch", "references", REFERENCE_CHANNELS, *REFERENCE_SIZE)),
)
OUTPUTS = (Port("change", ("batch", 5, "height", "width")),)
