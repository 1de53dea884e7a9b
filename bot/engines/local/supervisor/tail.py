"""The end of a flood, kept as it came: it is looked through for secrets only when it is to be told.

What is dropped is never looked at, so a flood flows as fast as memory, whatever is searched for.
"""

from __future__ import annotations

from . import mask, tokens


class Tail:
    """The last output of a step that said more than there is room for at once."""

    def __init__(self) -> None:
        #: What came first, and went through the mask already.
        self._first = b""
        self._kept = bytearray()
        self._cut = 0

    def __bool__(self) -> bool:
        return bool(self._first or self._kept)

    def begin(self, told: bytes) -> None:
        """Begin with what had no more room behind the mask."""
        self._first = told

    def add(self, data: bytes, *, most: int, masked: mask.Mask) -> None:
        """Take output; of what was taken before at least the last `most` bytes stay."""
        self._kept += data
        # What is told begins amid the output: the mask has to see what a secret could begin with before that.
        most += before(masked)
        # Cut seldom and by much: a cut for each chunk of a flood would cost more than the flood.
        if len(self._kept) > most + most // 4:
            excess = len(self._kept) - most
            del self._kept[:excess]
            self._cut += excess

    def told(self, masked: mask.Mask) -> tuple[bytes, int, mask.Mask]:
        """All that is left of it without any secret, how many bytes before that are lost, and the mask behind it."""
        if not self._cut:
            out = self._first + masked.feed(bytes(self._kept)) + masked.flush()
            return out, 0, masked
        lost = len(self._first) + masked.held_bytes + self._cut
        masked = masked.anew()
        unseen = min(before(masked), len(self._kept))
        masked.feed(bytes(self._kept[:unseen]))
        lost += unseen - masked.held_bytes
        return masked.feed(bytes(self._kept[unseen:])) + masked.flush(), lost, masked


def before(masked: mask.Mask) -> int:
    """How many bytes before some output decide what in it is secret."""
    return max(masked.longest, tokens.MAX_PEM_BYTES)
