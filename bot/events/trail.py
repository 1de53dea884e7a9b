"""The trail of a decision while it is made: the steps with the facts that each went by, bounded and safe to show."""

from __future__ import annotations

from collections.abc import Sequence

from bot import telemetry

#: More steps than any decision of ours takes; what follows is left out.
MAX_STEPS = 40
#: Of one step, in UTF-8: names from outside can be long.
MAX_STEP_BYTES = 500
_LEFT_OUT = "Further steps are left out."


class Trail:
    """Collects the steps of one run of one handler, in order."""

    def __init__(self) -> None:
        self._steps: list[str] = []

    def note(self, text: str) -> None:
        """Add a step: a sentence for people. One that is there already is not repeated."""
        step = clean(text)
        if step in self._steps or len(self._steps) >= MAX_STEPS:
            return
        self._steps.append(step if len(self._steps) < MAX_STEPS - 1 else _LEFT_OUT)

    @property
    def steps(self) -> tuple[str, ...]:
        """The steps so far."""
        return tuple(self._steps)


def clean(text: str) -> str:
    """A step as it is kept: on one line, without control characters and secrets, not too long."""
    shown = telemetry.one_line(telemetry.redact(text))
    encoded = shown.encode("utf-8", "replace")
    if len(encoded) <= MAX_STEP_BYTES:
        return encoded.decode()
    return encoded[: MAX_STEP_BYTES - 3].decode("utf-8", "ignore") + "…"


def joined(steps: Sequence[str], sentences: Sequence[str]) -> tuple[str, ...]:
    """The trail of a delivery: the steps, then what came of them, each sentence of that once and last."""
    return (*(one for one in steps if one not in sentences), *sentences)
