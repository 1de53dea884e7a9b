"""Compares what a page says a command prints with what it prints."""

from __future__ import annotations

import re
from collections.abc import Sequence

_ULID = "[0-7][0-9A-HJKMNP-TV-Z]{25}"
_SHA = r"(?<![0-9a-f-])(?:[0-9a-f]{40}|[0-9a-f]{7})(?![0-9a-f-])"
_TIME = r"\d+m \d+s|\d+\.\d+s|\d+[smhd] ago|under 1 s"
#: What is another one each time: names of things, which then stand for the same thing all over the page; times; gaps.
_VARYING = re.compile(rf"(?P<id>{_ULID}|{_SHA})|(?P<time>{_TIME})|(?P<any>\.\.\.)|(?P<space>\s+)")


class Names:
    """What the ids of a page are called where its commands run."""

    def __init__(self) -> None:
        self._real: dict[str, str] = {}

    def typed(self, command: str) -> str:
        """A command with the ids that are meant."""
        return re.sub(f"{_ULID}|{_SHA}", lambda found: self._real.get(found.group(), found.group()), command)

    def differ(self, shown: Sequence[str], printed: str) -> str | None:
        """The first line of the page that is not printed; None where all are. A line of dots stands for any lines."""
        rest, may_skip = [line for line in printed.splitlines() if line.strip()], False
        for line in (one for one in shown if one.strip()):
            if line.strip() == "...":
                may_skip = True
                continue
            while rest and may_skip and not self._is(line, rest[0]):
                rest.pop(0)
            if not rest or not self._is(line, rest.pop(0)):
                return line
            may_skip = False
        return "" if rest and shown and not may_skip else None

    def _is(self, shown: str, printed: str) -> bool:
        ids: list[str] = []

        def varying(found: re.Match[str]) -> str:
            if found["id"] is not None:
                known = self._real.get(found["id"])
                if known is not None:
                    return re.escape(known)
                ids.append(found["id"])
                return f"({_ULID})" if len(found["id"]) == 26 else f"([0-9a-f]{{{len(found['id'])}}})"
            if found["time"] is not None:
                return f"(?:{_TIME})"
            return ".*?" if found["any"] is not None else r"\s+"

        pattern, end = "", 0
        for found in _VARYING.finditer(shown.strip()):
            pattern += re.escape(shown.strip()[end : found.start()]) + varying(found)
            end = found.end()
        same = re.fullmatch(pattern + re.escape(shown.strip()[end:]), printed.strip())
        if same is not None:
            self._real.update(zip(ids, same.groups(), strict=True))
        return same is not None
