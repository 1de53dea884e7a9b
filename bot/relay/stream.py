"""Server-sent events out of bytes, however they are cut: pure.

https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
"""

from __future__ import annotations

import re

import msgspec

#: GitHub sends up to 25 MiB, and a relay adds the headers and perhaps a third for its own writing.
MAX_EVENT_BYTES = 40 * 1024 * 1024
_END = re.compile(rb"[\r\n]")
_MARK = b"\xef\xbb\xbf"


class TooLarge(Exception):
    """An event has more bytes than any of GitHub's."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One event."""

    #: `message` where the stream names none.
    name: str
    data: bytes


class Parser:
    """Takes a stream's bytes as they come."""

    def __init__(self, *, max_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max_bytes = max_bytes
        self._buffer = bytearray()
        #: So much of it has no end of a line.
        self._searched = 0
        self._is_first = True
        #: Whether a line feed that comes next belongs to the carriage return before it.
        self._is_after_return = False
        self._name = b""
        self._data: list[bytes] = []
        self._data_bytes = 0

    def feed(self, chunk: bytes) -> list[Event]:
        """Take some bytes; gives the events that are whole with them.

        :raises TooLarge: if an event is larger than allowed.
        """
        if self._is_after_return and chunk:
            chunk = chunk.removeprefix(b"\n")
            self._is_after_return = False
        self._buffer += chunk
        events: list[Event] = []
        start = 0
        while (found := _END.search(self._buffer, max(start, self._searched))) is not None:
            line = bytes(self._buffer[start : found.start()])
            start = found.end()
            if found.group() == b"\r":
                if start == len(self._buffer):
                    self._is_after_return = True
                elif self._buffer[start] == 0x0A:
                    start += 1
            if (event := self._take(line)) is not None:
                events.append(event)
        del self._buffer[:start]
        self._searched = len(self._buffer)
        if self._searched + self._data_bytes > self._max_bytes:
            raise TooLarge
        return events

    def _take(self, line: bytes) -> Event | None:
        if self._is_first:
            line, self._is_first = line.removeprefix(_MARK), False
        if not line:
            return self._dispatch()
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._data.append(value)
            self._data_bytes += len(value)
        elif field == b"event":
            self._name = value
        return None

    def _dispatch(self) -> Event | None:
        name, data = self._name.decode("utf-8", "replace") or "message", self._data
        self._name, self._data, self._data_bytes = b"", [], 0
        return Event(name=name, data=b"\n".join(data)) if data else None
