"""What an engine told of a job: all of it, or until something that is waited for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from bot.engines import contract


class Broken(AssertionError):
    """A promise that an engine did not keep; the text says what was seen instead."""


class Untried(Exception):
    """A promise that cannot be tried on this bench; the text says why."""


@dataclass(frozen=True)
class Told:
    """All that an engine told of a job."""

    events: list[contract.Event]

    @property
    def log(self) -> str:
        """The whole log."""
        return self.log_bytes.decode("utf-8", "replace")

    @property
    def log_bytes(self) -> bytes:
        """The whole log; each piece has to join on to the one before.

        :raises Broken: if one does not.
        """
        log = b""
        for event in self.events:
            if isinstance(event, contract.Output):
                if event.log_offset_bytes != len(log):
                    raise Broken(f"Bytes {event.log_offset_bytes} of the log came behind byte {len(log)}.")
                log += event.data
        return log

    @property
    def end(self) -> contract.Finished:
        """How it ended.

        :raises Broken: if its end did not come last.
        """
        end = self.events[-1] if self.events else None
        if not isinstance(end, contract.Finished):
            raise Broken(f"The last event is {end!r}, and no end.")
        return end

    @property
    def result(self) -> str:
        """How it ended, in a word."""
        return self.end.result.value

    @property
    def reason(self) -> str:
        """Why, in words."""
        return self.end.reason or ""

    @property
    def prepared(self) -> contract.Prepared:
        """What was tested.

        :raises Broken: if that was not told once.
        """
        found = [event for event in self.events if isinstance(event, contract.Prepared)]
        if len(found) != 1:
            raise Broken(f"What is tested was told {len(found)} times.")
        return found[0]

    @property
    def steps(self) -> list[tuple[int, str]]:
        """Which step came into which state, in order."""
        return [
            (event.step.index, event.step.state) for event in self.events if isinstance(event, contract.StepChanged)
        ]


async def follow(engine: contract.Engine, job_id: str, *, offset: int = 0) -> Told:
    """Everything until the job's end."""
    return Told([event async for event in engine.events(job_id, offset=offset)])


async def run(engine: contract.Engine, request: contract.JobRequest) -> Told:
    """Start a job and follow it to its end."""
    await engine.start(request)
    return await follow(engine, request.job_id)


async def until(events: AsyncIterator[contract.Event], is_it: Callable[[contract.Event], bool]) -> contract.Event:
    """The first event that is it.

    :raises Broken: if none was.
    """
    async for event in events:
        if is_it(event):
            return event
    raise Broken("The job ended before that.")


async def until_output(engine: contract.Engine, job_id: str, text: bytes) -> None:
    """Wait until the log holds the text.

    :raises Broken: if the job ended without it.
    """
    log = b""
    async for event in engine.events(job_id):
        if isinstance(event, contract.Output):
            log += event.data
            if text in log:
                return
    raise Broken(f"The job ended without saying {text!r}; it said {log!r}.")
