"""What an engine's own test of its sandbox came to: which attempts to get out were held, and on which machine."""

from __future__ import annotations

from datetime import datetime

import msgspec


class SelfTest(msgspec.Struct, frozen=True, kw_only=True):
    """The last run of `buildhook engines test NAME` on one machine."""

    engine: str
    #: The machine's name, and its kernel's release by then: what holds on one kernel may not on another.
    host: str
    kernel: str
    tried_at: datetime
    held: int
    #: What the attempts reached that were not held; nothing else may be called a pass.
    escaped: tuple[str, ...] = ()
    #: What could not be tried there.
    untried: tuple[str, ...] = ()

    @property
    def tried(self) -> int:
        """How many attempts were made."""
        return self.held + len(self.escaped)

    @property
    def is_sound(self) -> bool:
        """Whether every attempt that was made was held, and there was one."""
        return self.held > 0 and not self.escaped

    @property
    def text(self) -> str:
        """What came of it, for people."""
        told = f"{self.held} of {self.tried} attempts were held"
        if self.escaped:
            told += f"; got out: {', '.join(self.escaped)}"
        if self.untried:
            told += f"; not tried: {', '.join(self.untried)}"
        return f"{told}."
