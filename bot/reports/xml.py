"""XML of a stranger, read as it comes: no DTD, no entities, no network, and an end to depth and number of elements.

The tree is never built: a reader is told of elements as libxml2 meets them, so memory does not grow with the file.
https://lxml.de/parsing.html#the-target-parser-interface
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from bot.reports import limits

_CHUNK_BYTES = 64 * 1024


class Reader(Protocol):
    """Takes what a file holds."""

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        """An element begins; its name comes without its namespace."""

    def end(self, name: str, text: str) -> None:
        """An element ends.

        :param text: what stands directly in it before its first child, cut.
        """


def read(data: bytes, reader: Reader) -> None:
    """Read a file.

    :raises limits.Unreadable: if it is too large, no XML, or has a DOCTYPE.
    """
    # Megabytes that a service without such a report never pays for.
    from lxml import etree

    limits.check_size(data)
    parser = etree.XMLParser(
        target=_Target(reader),
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        huge_tree=False,
        recover=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        for start in range(0, len(data), _CHUNK_BYTES):
            parser.feed(data[start : start + _CHUNK_BYTES])
        parser.close()
    except etree.LxmlError as error:
        words = " ".join(str(error).partition(" (<string>")[0].split())
        raise limits.Unreadable(f"it is no XML: {limits.cut(words, 200)}.") from None
    except (LookupError, UnicodeError) as error:
        raise limits.Unreadable(f"its encoding is not known: {limits.cut(str(error), 200)}.") from None


class _Target:
    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._elements = 0
        #: The texts of the elements that are open, and how long each has become.
        self._open: list[list[str]] = []
        self._lengths: list[int] = []

    def doctype(self, name: str | None, public_id: str | None, system_id: str | None) -> None:
        """Called before anything that the DOCTYPE declares is read."""
        raise limits.Unreadable("it has a DOCTYPE, which is refused: entities could be declared in it.")

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        self._elements += 1
        if self._elements > limits.MAX_ELEMENTS:
            raise limits.Unreadable(f"it has more than {limits.MAX_ELEMENTS:,} elements.")
        if len(self._open) >= limits.MAX_DEPTH:
            raise limits.Unreadable(f"its elements are nested deeper than {limits.MAX_DEPTH} levels.")
        self._open.append([])
        self._lengths.append(0)
        self._reader.start(_plain(name), attributes)

    def data(self, text: str) -> None:
        if self._open and self._lengths[-1] < 4 * limits.MAX_DETAILS_CHARACTERS:
            self._open[-1].append(text)
            self._lengths[-1] += len(text)

    def end(self, name: str) -> None:
        self._lengths.pop()
        self._reader.end(_plain(name), "".join(self._open.pop()))

    def close(self) -> None:
        return


def _plain(name: str) -> str:
    return name.rpartition("}")[2]
