"""What a node is made of while it is configured: parts, each one ability with its own topics, services or actions."""

from __future__ import annotations

from spatia_ros.msg import SimStatus
from spatia_ros.nodes.motion import Move
from spatia_ros.types import Step


class Part:
    """One ability of a configured node; made at configure, told of what concerns all, closed at cleanup.

    A part opens what it needs on ``face.endpoints``, which closes it; so only threads, files and the like are left
    for :meth:`close`.
    """

    def activate(self) -> None:
        """The node is active from now on: its worker runs, commands are taken."""

    def deactivate(self) -> None:
        """The node is no longer active; its worker still runs until this returns."""

    def close(self) -> None:
        """Give back what the endpoints do not: called once, with the worker stopped."""

    def fill(self, status: SimStatus) -> None:
        """Set this part's fields of the status."""

    def framed(self, step: Step, move: Move, stamp_ns: int) -> None:
        """A frame (a step of one) was made and published; called on the worker's thread."""
