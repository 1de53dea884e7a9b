"""One frame of a job's stream: whole or not there at all, so that a torn tail is seen for what it is."""

from __future__ import annotations

import binascii
import struct

#: Kinds of frames. LAUNCHED has no event: it says that a supervisor took the job, so nobody else ever may.
OUTPUT, LAUNCHED, PREPARED, STEP, RESULT, FINISHED = b"OLPSRF"

#: What the names of a job's outputs begin with, among the fields of its end.
OUTPUT_PREFIX = "output."
#: And those of its images, among the fields of its preparation.
IMAGE_PREFIX = "image."

# Kind, length of the payload, position in the log; then the CRC-32 of these and the payload.
_HEAD = struct.Struct(">BIQ")
_SUM = struct.Struct(">I")
HEAD_BYTES = _HEAD.size + _SUM.size
#: No payload is longer.
MAX_PAYLOAD_BYTES = 256 * 1024


class Frame:
    """A whole frame."""

    __slots__ = ("end", "kind", "log_at", "payload")

    def __init__(self, kind: int, payload: bytes, log_at: int, end: int) -> None:
        self.kind = kind
        self.payload = payload
        #: Position in the log: of an output's first byte, or of what follows an event.
        self.log_at = log_at
        #: One past the frame's last byte.
        self.end = end


def head(kind: int, payload: bytes, *, log_at: int) -> bytes:
    """What goes before the payload."""
    first = _HEAD.pack(kind, len(payload), log_at)
    return first + _SUM.pack(binascii.crc32(payload, binascii.crc32(first)))


def decode(data: bytes, *, at: int = 0) -> list[Frame]:
    """The whole frames at the start of `data`, whose first byte is the stream's byte `at`."""
    found: list[Frame] = []
    position = 0
    while position + HEAD_BYTES <= len(data):
        kind, length, log_at = _HEAD.unpack_from(data, position)
        start = position + HEAD_BYTES
        if length > MAX_PAYLOAD_BYTES or start + length > len(data):
            break
        payload = data[start : start + length]
        if head(kind, payload, log_at=log_at) != data[position:start]:
            break
        position = start + length
        found.append(Frame(kind, payload, log_at, at + position))
    return found


def fields(values: dict[str, object]) -> bytes:
    """Named values as a payload; None is left out."""
    given = ((name, str(value).replace("\0", "")) for name, value in values.items() if value is not None)
    return "\0".join(part for pair in given for part in pair).encode("utf-8", "replace")


def parse(payload: bytes) -> dict[str, str]:
    """The named values of a payload."""
    parts = payload.decode("utf-8", "replace").split("\0")
    return dict(zip(parts[::2], parts[1::2], strict=False))
