"""What the player of a soak tells the checker: not what it does, only what kind of break the checker must expect."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

MARKS, SEEN = "soak/marks", "soak/seen"
"""Topics (std_msgs/String): a mark as JSON, and the number of each once everything said before it was heard."""

SYNC = "sync"
"""Nothing moves: every frame must be whole, and as many as the status says."""
DOOMED = "doomed"
"""The world is about to be killed, or its node taken down: silence is no fault from here."""
GONE = "gone"
"""It was killed or taken down: what is heard until it is alive again says nothing."""
ALIVE = "alive"
"""It is there again, with counts that begin anew."""
TIME = "time"
"""Its time began anew (a reset, another world): stamps may have fallen, and odom may have jumped."""
PLACE = "place"
"""It was brought back to a snapshot: odom may have jumped; stamps may not have fallen."""
MAP = "map"
"""``file`` holds the memory as it is now."""
FLUSHED = "flushed"
"""``file`` holds the memory that came back, ``held`` what was last flushed to disk before the world was killed."""
END = "end"
KINDS = (SYNC, DOOMED, GONE, ALIVE, TIME, PLACE, MAP, FLUSHED, END)


@dataclass(frozen=True, slots=True)
class Mark:
    """One mark: its number, its kind, and PLY files, in the frame of the memory."""

    number: int
    kind: str
    file: str = ""
    held: str = ""

    def text(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def of(cls, text: str) -> Mark:
        """Read from JSON."""
        return cls(**json.loads(text))
