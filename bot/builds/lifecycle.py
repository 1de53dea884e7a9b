"""The life of a job as one pure table, and what follows from it for the jobs that need it and for the build.

States only move forwards: whatever an engine says, twice or late or in the wrong order, an ended job stays as it ended.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bot.model import build, job


class Signal(enum.StrEnum):
    """What happened to a job. The last five bear the words of an engine's results."""

    #: Somebody approved it, and it needs no other job.
    APPROVED = "approved"
    NEEDS_PASSED = "needs_passed"
    NEEDS_FAILED = "needs_failed"
    #: A scheduler took it, to hand it to an engine.
    CLAIMED = "claimed"
    #: The engine did not take it; it may be started again later.
    REFUSED = "refused"
    #: The code is checked out, and the first step begins.
    PREPARED = "prepared"
    PASSED = "passed"
    FAILED = "failed"
    ERRORED = "errored"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"


_S = job.State
_ENDS = {
    Signal.PASSED: _S.PASSED,
    Signal.FAILED: _S.FAILED,
    Signal.ERRORED: _S.ERRORED,
    Signal.CANCELLED: _S.CANCELLED,
    Signal.TIMED_OUT: _S.TIMED_OUT,
}
#: What is not in the table changes nothing. A crash may have swallowed the claim or the preparation, so results
#: count from `queued` on. `refused` is the one step back: it is our own word, and no engine can say it.
TRANSITIONS: Mapping[_S, Mapping[Signal, _S]] = {
    _S.WAITING: {
        Signal.APPROVED: _S.QUEUED,
        Signal.NEEDS_PASSED: _S.QUEUED,
        Signal.NEEDS_FAILED: _S.SKIPPED,
        Signal.ERRORED: _S.ERRORED,
        Signal.CANCELLED: _S.CANCELLED,
    },
    _S.QUEUED: {Signal.CLAIMED: _S.STARTING, Signal.PREPARED: _S.RUNNING, **_ENDS},
    _S.STARTING: {Signal.REFUSED: _S.QUEUED, Signal.PREPARED: _S.RUNNING, **_ENDS},
    _S.RUNNING: _ENDS,
}


def transition(state: job.State, signal: Signal) -> job.State:
    """The state after a signal; the same one where the signal means nothing in it."""
    return TRANSITIONS.get(state, {}).get(signal, state)


def end(state: job.State, *, is_cancel_wanted: bool) -> job.State:
    """How a job ends that came to this state: what could not go on while somebody wanted it to end was cancelled.

    Both come from one cause, where a suspension takes the code away from a job and then tells of itself; which of them
    is there first is chance.
    """
    return _S.CANCELLED if state == _S.ERRORED and is_cancel_wanted else state


@dataclass(frozen=True, slots=True)
class Resolved:
    """What became of a job that waited for others."""

    state: job.State
    #: Why, in a sentence for people, where it is skipped.
    reason: str | None


def needs_verdict(states: Iterable[job.State]) -> job.State | None:
    """What becomes of a job whose needs are in these states; None while that is open.

    It is skipped as soon as one of them ended otherwise than passed: the rest cannot change that.
    """
    signal = None
    is_open = False
    for state in states:
        if state in job.FINAL and state != _S.PASSED:
            signal = Signal.NEEDS_FAILED
        is_open = is_open or state not in job.FINAL
    if signal is None and is_open:
        return None
    return transition(_S.WAITING, signal or Signal.NEEDS_PASSED)


def resolve(jobs: Sequence[job.Job]) -> dict[str, Resolved]:
    """What becomes of the waiting jobs of one build, by job id; those that go on waiting are left out.

    A job that is skipped here counts for the jobs that need it.
    """
    # A need that is not in the build can never pass.
    states = {key: _S.SKIPPED for one in jobs for key in one.plan.needs}
    states |= {one.plan.key: one.state for one in jobs}
    moved: list[job.Job] = []
    is_changed = True
    while is_changed:
        is_changed = False
        for one in jobs:
            if states[one.plan.key] != _S.WAITING:
                continue
            verdict = needs_verdict(states[key] for key in one.plan.needs)
            if verdict is not None:
                states[one.plan.key] = verdict
                moved.append(one)
                is_changed = True
    return {one.id: _resolved(one, states) for one in moved}


def _resolved(one: job.Job, states: Mapping[str, job.State]) -> Resolved:
    state = states[one.plan.key]
    needs = {key: states[key] for key in one.plan.needs}
    return Resolved(state, why_skipped(needs) if state == _S.SKIPPED else None)


def why_skipped(needs: Mapping[str, job.State]) -> str:
    """A sentence that says which need kept a job from running, the worst of them.

    :param needs: by the need's key; at least one ended otherwise than passed.
    """
    bad = {key: state for key, state in needs.items() if state in _WORDS}
    key = min(bad, key=lambda key: _SEVERITY.index(_VERDICTS[bad[key]]))
    return f"`{key}` {_WORDS[bad[key]]}, so this did not run."


_WORDS = {
    _S.FAILED: "failed",
    _S.ERRORED: "could not be run",
    _S.TIMED_OUT: "timed out",
    _S.CANCELLED: "was cancelled",
    _S.SKIPPED: "was skipped",
}
_VERDICTS = {state: build.State(state.value) for state in job.FINAL}
#: A failure of the code says the most; a skipped job is the consequence of another one.
_SEVERITY = (
    build.State.FAILED,
    build.State.ERRORED,
    build.State.TIMED_OUT,
    build.State.CANCELLED,
    build.State.PASSED,
    build.State.SKIPPED,
)


def verdict(jobs: Sequence[job.Job]) -> build.State:
    """The verdict over a build: `build_state`, and that of the graph where the states alone would say too much.

    GitHub counts a skipped job as passed, so one may only look like that where the pipeline file left it out, or all
    that kept it from running. A job that needs one that is not there was kept from running by a mistake of ours.
    """
    keys = {one.plan.key for one in jobs}
    is_torn = any(one.state == _S.SKIPPED and not keys.issuperset(one.plan.needs) for one in jobs)
    return build_state([*(one.state for one in jobs), *[_S.ERRORED] * is_torn])


def build_state(states: Sequence[job.State]) -> build.State:
    """The verdict over the states of a build's jobs, whatever their order.

    Open while a job is: `running` as soon as one was started, `queued` before. Then the worst: failed, errored, timed
    out, cancelled, passed; a job is skipped because the file left it out, or because another one did not pass, and that
    one decides. All skipped, or no jobs at all, is skipped.
    """
    if all(state in job.FINAL for state in states):
        return min((_VERDICTS[state] for state in states), key=_SEVERITY.index, default=build.State.SKIPPED)
    has_begun = any(state in job.ON_ENGINE or state in job.FINAL for state in states)
    return build.State.RUNNING if has_begun else build.State.QUEUED


class CancelEffect(enum.StrEnum):
    """What has to be done to cancel a job."""

    #: Nothing runs: write it down.
    AT_ONCE = "at_once"
    #: The engine may hold something: ask it, and its result ends the job.
    ASK_ENGINE = "ask_engine"
    #: It has ended.
    NOTHING = "nothing"


def cancel_effect(state: job.State) -> CancelEffect:
    """What has to be done to cancel a job in this state."""
    if state in job.FINAL:
        return CancelEffect.NOTHING
    return CancelEffect.ASK_ENGINE if state in job.ON_ENGINE else CancelEffect.AT_ONCE


class Phase(enum.StrEnum):
    """The `status` of a check run: GitHub need not be told of changes within one.

    https://docs.github.com/en/rest/checks/runs
    """

    QUEUED = "queued"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"


def phase(state: job.State | build.State) -> Phase:
    """The phase in which GitHub shows a job or a build.

    A build that waits for approval is completed, as `action_required`; a job that waits for others is queued.
    """
    if state in job.FINAL or state in build.FINAL:
        return Phase.COMPLETED
    if isinstance(state, build.State) and state == build.State.WAITING:
        return Phase.COMPLETED
    if state in job.ON_ENGINE or state == build.State.RUNNING:
        return Phase.IN_PROGRESS
    return Phase.QUEUED
