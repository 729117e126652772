"""What a URI in a request names: a scheme of ours, a file of the data folder, or something that lies elsewhere."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from spatia_ros.types import SpatiaError


class Uri(NamedTuple):
    """A URI in parts; ``scheme`` is empty for the plain name of a file."""

    scheme: str
    host: str
    path: str
    query: str

    @property
    def is_file(self) -> bool:
        """Whether it names a file of this machine."""
        return not self.scheme or (self.scheme == "file" and self.host in ("", "localhost"))


def uri_of(text: str) -> Uri:
    """A URI, or the name of a file as it is (nothing in it is taken for a query, a fragment or an escape).

    Raises:
        SpatiaError: when it is none.
    """
    try:
        parts = urlsplit(text)
    except ValueError as error:
        raise SpatiaError(f"uri: expected one, or the name of a file, got {text!r:.200}: {error}") from None
    if not parts.scheme:
        return Uri("", "", text, "")
    return Uri(parts.scheme, parts.netloc, unquote(parts.path), parts.query)
