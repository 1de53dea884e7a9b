"""The mask: takes secret values out of a job's output while it flows, before any of it is counted or stored.

It searches for the forms of each value (`forms`) and for whatever looks like a credential (`tokens`). What may be the
beginning of one is held back until more of the output, or a pause of it, decides. It is a net below people's feet and
no wall: a build that means to tell a secret can always write it in some other way.
"""

from __future__ import annotations

from . import forms, tokens

#: What stands for whatever was taken out; two that touch become one.
STARS = b"***"
_START_BYTES = forms.MIN_BYTES
#: Forms that begin with so many equal bytes are searched for as one: shorter beginnings are found too often.
_ALIKE_BYTES = 8
#: In what a search costs for one byte: to begin one, and to look at one place. Measured; no answer depends on it.
_SEARCH_COST, _PLACE_COST = 4000, 850


class Patterns:
    """What is searched for, made once for each job."""

    def __init__(self, values: list[bytes]) -> None:
        found = {form for value in values for form in forms.of(value)} if values else set()
        self.all = sorted(found)
        #: Those that begin alike are searched for together: the beginning, the least distance between two places where
        #: it may be, and all of them.
        self.groups = [(one, (one + one).find(one, 1), those) for one, those in _alike(self.all)]
        #: By their first bytes.
        self.by_start: dict[bytes, list[bytes]] = {}
        for one in sorted(found, key=len, reverse=True):
            self.by_start.setdefault(one[:_START_BYTES], []).append(one)
        self.short = frozenset(one[:length] for one in found for length in range(1, _START_BYTES))
        self.longest = max(map(len, found), default=0)

    def look(self, data: bytes, *, since: int) -> tuple[list[tuple[int, int]], int]:
        """Where one is that ends behind `since`, and from where on the end of the data is the beginning of one.

        Where nothing has begun that is the data's length.
        """
        # What is less work: to search for each, or to look at each place. Both find the same.
        if len(self.groups) * (_SEARCH_COST + len(data)) < len(data) * _PLACE_COST:
            return self.search(data, since=since), self.begun(data)
        return self.slide(data, since=since)

    def search(self, data: bytes, *, since: int) -> list[tuple[int, int]]:
        """The first half of `look`, one beginning after another."""
        found = []
        for start, period, those in self.groups:
            at = data.find(start, max(0, since - max(map(len, those)) + 1))
            while at >= 0:
                found += [(at, at + len(one)) for one in those if at + len(one) > since and data.startswith(one, at)]
                at = data.find(start, at + period)
        return found

    def begun(self, data: bytes) -> int:
        """The second half of `look`, one form after another."""
        first = self._begun_shortly(data)
        for start, those in self.by_start.items():
            at = data.find(start, max(0, len(data) - len(those[0]) + 1))
            while 0 <= at < first:
                rest = data[at:]
                if any(len(one) > len(rest) and one.startswith(rest) for one in those):
                    first = at
                    break
                at = data.find(start, at + 1)
        return first

    def slide(self, data: bytes, *, since: int) -> tuple[list[tuple[int, int]], int]:
        """As `look`, one place after another: as quick with a thousand forms as with one."""
        first, found, starts = self._begun_shortly(data), [], self.by_start
        for at in [at for at in range(len(data) - _START_BYTES + 1) if data[at : at + _START_BYTES] in starts]:
            for one in starts[data[at : at + _START_BYTES]]:
                end = at + len(one)
                if end > len(data):
                    if at < first and one.startswith(data[at:]):
                        first = at
                elif end > since and data.startswith(one, at):
                    found.append((at, end))
        return found, first

    def _begun_shortly(self, data: bytes) -> int:
        most = min(_START_BYTES - 1, len(data))
        return next((len(data) - n for n in range(most, 0, -1) if data[-n:] in self.short), len(data))


def _alike(forms: list[bytes]) -> list[tuple[bytes, list[bytes]]]:
    """Sorted forms, put together where they begin with the same bytes, and those bytes."""
    found: list[tuple[bytes, list[bytes]]] = []
    for one in forms:
        start = _common(found[-1][0], one) if found else b""
        if len(start) >= _ALIKE_BYTES:
            found[-1] = (start, [*found[-1][1], one])
        else:
            found.append((one, [one]))
    return found


def _common(one: bytes, other: bytes) -> bytes:
    length = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        length += 1
    return one[:length]


class Mask:
    """One job's output on its way out."""

    def __init__(self, patterns: Patterns | None = None) -> None:
        self._patterns = patterns or Patterns([])
        #: What may be the beginning of something; the first bytes of it may be told already.
        self._held = b""
        self._told = 0
        #: The byte before what is held.
        self._before = b""
        #: Whether what was told last are stars.
        self._is_starred = False
        #: What goes on from what was told: `token`, `pem` or nothing.
        self._inside = ""
        self._pem_bytes = 0

    def anew(self) -> Mask:
        """Another one with the same patterns, for output that has nothing to do with what came before."""
        return Mask(self._patterns)

    @property
    def longest(self) -> int:
        """How long the longest form is that is searched for."""
        return self._patterns.longest

    @property
    def held_bytes(self) -> int:
        """How many bytes are held back: always fewer than the longest form has."""
        return len(self._held) - self._told

    def feed(self, data: bytes) -> bytes:
        """Take output; gives what can be told of it."""
        return self._work(data, is_all=False)

    def flush(self) -> bytes:
        """Give what is held back, as nothing follows for now. What follows later is still seen together with it."""
        return self._work(b"", is_all=True) if self._told < len(self._held) else b""

    def once(self, text: str) -> str:
        """A text that leaves by another way than the output."""
        return self.once_bytes(text.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")

    def once_bytes(self, data: bytes) -> bytes:
        """The same for bytes."""
        one = Mask(self._patterns)
        return one.feed(data) + one.flush()

    def _work(self, data: bytes, *, is_all: bool) -> bytes:
        buffer = self._held + data
        at = self._go_on(buffer)
        found = tokens.look(buffer, before=self._before)
        spans, keep = found.spans, len(buffer)
        if self._patterns.all:
            of_secrets, keep = self._patterns.look(buffer, since=at)
            spans += of_secrets
        if found.undecided is not None:
            keep = min(keep, found.undecided)
        if not spans and keep == len(buffer) and at == 0 and not self._inside:
            self._held, self._told, self._before = b"", 0, buffer[-1:] or self._before
            self._is_starred &= not buffer
            return buffer
        inside = found.inside or self._inside
        if inside == "pem":
            keep = min(keep, len(buffer) - tokens.keep_of_key(buffer))
        told = self._tell(buffer, at, sorted(spans), keep=keep, limit=len(buffer) if is_all else keep)
        if inside != self._inside:
            # What is held back is looked at again from its beginning.
            self._inside, self._pem_bytes = inside if self._told == len(self._held) else "", 0
        return told

    def _go_on(self, buffer: bytes) -> int:
        """Where what was told ends, and with it what went on from there."""
        if not self._inside:
            return self._told
        end, self._inside = tokens.go_on(buffer, at=self._told, inside=self._inside)
        self._pem_bytes += end - self._told
        if self._inside == "pem" and self._pem_bytes > tokens.MAX_PEM_BYTES:
            self._inside = ""
        return end

    def _tell(self, buffer: bytes, at: int, spans: list[tuple[int, int]], *, keep: int, limit: int) -> bytes:
        told: list[bytes] = []
        for start, end in spans:
            if start >= limit and start > at:
                break
            if start > at:
                told.append(buffer[at:start])
                self._is_starred = False
            if end > at:
                if not self._is_starred:
                    told.append(STARS)
                    self._is_starred = True
                at = end
        if at < limit:
            told.append(buffer[at:limit])
            self._is_starred = False
            at = limit
        self._before = buffer[keep - 1 : keep] if keep else self._before
        self._held, self._told = buffer[keep:], max(0, at - keep)
        return b"".join(told)
