"""The one line that a check run shows beside its name: what came of it, and of what. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from bot.model import approval, build, job

#: The words for a state, each with a sign for those who look before they read.
WORDS = {
    "waiting": "⏳ waiting",
    "queued": "⏳ queued",
    "starting": "🔄 starting",
    "running": "🔄 running",
    "passed": "✅ passed",
    "failed": "❌ failed",
    "errored": "⚠️ errored",
    "cancelled": "🚫 cancelled",
    "timed_out": "⏱️ timed out",
    "skipped": "⏭️ skipped",
}
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def of_build(made: build.Build, jobs: Sequence[job.Job]) -> str:
    """The title of the check that stands for a whole build."""
    if made.state == build.State.WAITING:
        return capital(waits(made))
    if made.problems:
        return _of_problems(made)
    if not jobs:
        return made.reason or capital(made.state.value)
    if made.state == build.State.QUEUED:
        return made.reason or f"{_count(len(jobs), 'job')} queued"
    if made.state == build.State.SKIPPED and made.reason:
        return f"Skipped: {made.reason}"
    if made.state not in build.FINAL:
        done = sum(one.state in job.FINAL for one in jobs)
        return f"{done} of {_count(len(jobs), 'job')} done"
    worst = next((one for one in jobs if one.state.value == made.state.value), None)
    if made.state == build.State.PASSED or worst is None:
        return f"{_counted(jobs)}{_after(made.started_at, made.finished_at)}"
    return f"{worst.plan.name} {_what(worst)}"


def waits(made: build.Build) -> str:
    """What a build waits for."""
    is_left_out = made.waits_for == approval.Consent.RUN_ANYWAY
    return "waits for somebody to run it" if is_left_out else "waits for approval"


def of_job(one: job.Job, made: build.Build | None = None) -> str:
    """The title of a job's own check.

    :param made: its build, where that may say why the job waits.
    """
    match one.state:
        case job.State.WAITING:
            return f"Waits for {', '.join(one.plan.needs)}" if one.plan.needs else "Waits"
        case job.State.QUEUED:
            return one.reason or (made.reason if made is not None else None) or "Queued"
        case job.State.STARTING:
            return "Starting"
        case job.State.RUNNING:
            return _of_running(one)
        case job.State.PASSED:
            return f"Passed{_after(one.started_at, one.finished_at)}"
    return capital(_what(one))


def failed_step(one: job.Job) -> tuple[job.Step, job.StepResult] | None:
    """The step that decided how a job ended, with its result; None where none did."""
    for result in one.steps:
        if result.state in {"failed", "timed_out"} and 0 <= result.index < len(one.plan.steps):
            return one.plan.steps[result.index], result
    return None


def in_words(one: job.Job) -> str:
    """Why a job ended as it did."""
    step = failed_step(one)
    if one.reason:
        return one.reason
    if step is not None and step[1].exit_code is not None:
        return f"exited with {step[1].exit_code}"
    return one.state.value.replace("_", " ")


def duration(seconds: float) -> str:
    """A length of time with its two largest units: `14 s`, `1 min 12 s`."""
    if seconds < 1:
        return "under 1 s"
    rest = int(seconds)
    parts: list[str] = []
    for size, unit in _UNITS:
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count} {unit}")
        elif parts:
            break
    return " ".join(parts[:2])


def took(started_at: datetime | None, finished_at: datetime | None) -> str | None:
    """How long something took; None where that is not known."""
    if started_at is None or finished_at is None:
        return None
    return duration((finished_at - started_at).total_seconds())


def capital(words: str) -> str:
    """The words as a title begins: the first letter is a capital."""
    return words[:1].upper() + words[1:]


def least(word: str) -> str:
    """The title that says no more than a state or a conclusion, for when nothing else can be shown."""
    return capital(word.replace("_", " "))


def _of_problems(made: build.Build) -> str:
    first = made.problems[0]
    if len(made.problems) == 1:
        return f"{first.path}, line {first.line}: {first.text}"
    return f"{len(made.problems)} mistakes in {first.path}, the first in line {first.line}"


def _of_running(one: job.Job) -> str:
    running = [result for result in one.steps if result.state == "running"]
    if not running or not 0 <= running[0].index < len(one.plan.steps):
        return "Running"
    step = running[0].index
    return f"Step {step + 1} of {len(one.plan.steps)}: {one.plan.steps[step].name}"


def _what(one: job.Job) -> str:
    step = failed_step(one)
    words = one.state.value.replace("_", " ")
    if step is None:
        return f"{words}: {one.reason}" if one.reason else words
    planned, result = step
    if one.state == job.State.FAILED and result.exit_code is not None:
        return f"failed: step `{planned.name}` exited with {result.exit_code}"
    return f"{words} in step `{planned.name}`"


def _counted(jobs: Sequence[job.Job]) -> str:
    counts = {state: sum(one.state == state for one in jobs) for state in job.State}
    return ", ".join(f"{count} {state.value.replace('_', ' ')}" for state, count in counts.items() if count)


def _after(started_at: datetime | None, finished_at: datetime | None) -> str:
    seconds = took(started_at, finished_at)
    return f" in {seconds}" if seconds is not None else ""


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
