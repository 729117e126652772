"""What the player of a soak tells the checker: not what it does, only what kind of break the checker must expect."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

MARKS, SEEN = "soak/marks", "soak/seen"
"""Topics (std_msgs/String): a mark as JSON, and the number of each once everything said before it was heard."""

SYNC = "sync"
"""Nothing moves: every frame must be whole, and as many as the status says."""
DOOMED = "doomed"
"""The world is about to be killed, or its node taken down: half a frame, and silence, are no faults from here."""
ALIVE = "alive"
"""It is there again, with counts that begin anew."""
TIME = "time"
"""Its time began anew (a reset, another world): stamps may have fallen."""
MAP = "map"
"""``file`` holds the memory as it is now."""
END = "end"
KINDS = (SYNC, DOOMED, ALIVE, TIME, MAP, END)


@dataclass(frozen=True, slots=True)
class Mark:
    """One mark: its number, its kind, and for MAP a PLY file, in the frame of the memory."""

    number: int
    kind: str
    file: str = ""

    def text(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def of(cls, text: str) -> Mark:
        """Read from JSON."""
        return cls(**json.loads(text))
