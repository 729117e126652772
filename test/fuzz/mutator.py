"""Damage to bytes, from a seed: what bit flips, cut copies, stale lengths and a malicious hand do to a file."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Sequence

WORDS = (
    b"nan", b"inf", b"-inf", b"-1", b"0", b"1e309", b"-0.0", b"1e-320", b"99999999999999999999", b"4294967295", b"2147483648",
    b"0x", b"0b", b"1:60:60", b"2001-13-99", b"!!python/object/apply:os.system [true]", b"!!binary abc", b"&a [*a]", b"*a",
    b"<<: *a", b"? ", b"- ", b"{", b"[", b"}", b"]", b"[" * 1500, b"{a: " * 300, b"{\"a\":" * 1200, b"\"", b"'", b"\x00",
    b"\xff\xfe", b"\xed\xa0\x80", b"\xe2\x80\xae", b"\r\n", b"\t", b"#", b"null", b"true", b"~", b"../../../etc/passwd",
    b"/dev/zero", b"%s%n", b"<!ENTITY a SYSTEM 'file:///etc/passwd'>", b"&a;",
)  # fmt: skip
NUMBERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**40, 2**63 - 1, 2**63, 2**64 - 1)

Change = Callable[[random.Random, bytes], bytes]


def _place(rng: random.Random, data: bytes) -> int:
    """A place in the data: heads, where the sizes are, more often than the rest."""
    reach = min(len(data), 256) if rng.random() < 0.4 else len(data)
    return rng.randrange(reach) if reach else 0


def flip(rng: random.Random, data: bytes) -> bytes:
    """A bit the other way."""
    if not data:
        return data
    at = _place(rng, data)
    return data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :]


def number(rng: random.Random, data: bytes) -> bytes:
    """A number at a limit, 1 to 8 bytes wide, either end first."""
    width, at = rng.choice((1, 2, 4, 8)), _place(rng, data)
    value = rng.choice(NUMBERS) & (256**width - 1)
    return data[:at] + value.to_bytes(width, rng.choice(("little", "big"))) + data[at + width :]


def real(rng: random.Random, data: bytes) -> bytes:
    """A real number that is none, or is out of all bounds."""
    at, kind = _place(rng, data), rng.choice(("<f", "<d"))
    value = struct.pack(kind, rng.choice((float("nan"), float("inf"), float("-inf"), 1e38, -1e38, 1e-40, 0.0)))
    return data[:at] + value + data[at + len(value) :]


def noise(rng: random.Random, data: bytes) -> bytes:
    """Random bytes over what was there, or between."""
    at, new = _place(rng, data), rng.randbytes(rng.choice((1, 2, 4, 16, 64)))
    return data[:at] + new + data[at + len(new) * rng.randrange(2) :]


def cut(rng: random.Random, data: bytes) -> bytes:
    """The end, or a piece, is missing."""
    at = _place(rng, data)
    return data[:at] if rng.random() < 0.5 else data[:at] + data[at + rng.choice((1, 2, 8, 100)) :]


def again(rng: random.Random, data: bytes) -> bytes:
    """A piece stands there twice, or many times."""
    at, size = _place(rng, data), rng.choice((1, 4, 16, 80))
    return data[: at + size] + data[at : at + size] * rng.choice((1, 1, 2, 50)) + data[at + size :]


def moved(rng: random.Random, data: bytes) -> bytes:
    """A piece stands somewhere else."""
    a, b, size = _place(rng, data), _place(rng, data), rng.choice((1, 4, 8, 32))
    rest = data[:a] + data[a + size :]
    return rest[:b] + data[a : a + size] + rest[b:]


def line(rng: random.Random, data: bytes) -> bytes:
    """A line is gone, doubled, or in another place."""
    lines = data.split(b"\n")
    a, b = rng.randrange(len(lines)), rng.randrange(len(lines))
    taken = lines.pop(a) if rng.random() < 0.6 else lines[a]
    if rng.random() < 0.7:
        lines.insert(b, taken)
    return b"\n".join(lines)


def nothing(rng: random.Random, data: bytes) -> bytes:
    """Nothing of it is left."""
    return rng.choice((b"", b"\n", b"\x00", rng.randbytes(200), data[:1]))


def damaged(rng: random.Random, data: bytes, words: Sequence[bytes] = ()) -> bytes:
    """The data after one to four mishaps."""

    def word(rng: random.Random, data: bytes) -> bytes:
        at, new = _place(rng, data), rng.choice((*WORDS, *words, *words, *words))
        return data[:at] + new + data[at + rng.choice((0, 1, len(new))) :]

    def value(rng: random.Random, data: bytes) -> bytes:
        """A whole word of a text becomes another."""
        pieces = data.split(b" ")
        pieces[rng.randrange(len(pieces))] = rng.choice((*WORDS, *words))
        return b" ".join(pieces)

    changes: tuple[Change, ...] = (flip, flip, number, number, real, noise, cut, again, moved, line, word, word, value)
    if rng.random() < 0.01:
        return nothing(rng, data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 4))):
        data = rng.choice(changes)(rng, data)
    return data[: 1 << 20]
