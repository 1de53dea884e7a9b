"""Reads that lag behind writes: what was changed a moment ago is still shown as it was before.

GitHub answers a write with what it wrote, and may answer a read after it from a copy that has not heard of it yet.
"""

from __future__ import annotations

import dataclasses

from bot.simulator import clock, values


@dataclasses.dataclass(frozen=True, slots=True)
class _Change:
    at: float
    #: None: there was no such run.
    before: values.CheckRun | None


class Lag:
    """What the check runs were, for as long as reads may still show it."""

    def __init__(self, its_clock: clock.Clock) -> None:
        #: 0: reads show what is.
        self.seconds = 0.0
        self._clock = its_clock
        self._changes: dict[int, list[_Change]] = {}

    def note(self, run_id: int, before: values.CheckRun | None) -> None:
        """A run is about to be changed, or was not there before."""
        if self.seconds > 0:
            copy = None if before is None else _copy(before)
            self._changes[run_id] = [*self._recent(run_id), _Change(self._clock.seconds(), copy)]

    def shown(self, run: values.CheckRun) -> values.CheckRun | None:
        """The run as reads show it; None while they do not show it at all."""
        for change in self._recent(run.id):
            return change.before
        return run

    def _recent(self, run_id: int) -> list[_Change]:
        """What reads have not heard of, oldest first."""
        oldest = self._clock.seconds() - self.seconds
        return [change for change in self._changes.get(run_id, ()) if change.at > oldest]


def _copy(run: values.CheckRun) -> values.CheckRun:
    return dataclasses.replace(run, annotations=list(run.annotations), actions=list(run.actions))
