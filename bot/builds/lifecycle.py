"""The life of a job as one pure table, and what follows from it for the jobs that need it and for the build.

States only move forwards: whatever an engine says, twice or late or in the wrong order, an ended job stays as it ended.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec.structs import replace

from bot.model import build, job
from bot.pipelines import conditions, contexts

#: Why a job was cancelled, where whoever asked for it did not say.
CANCELLED = "It was cancelled."


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


class Resolved(msgspec.Struct, frozen=True):
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


def resolve(jobs: Sequence[job.Job], *, of: build.Build) -> dict[str, Resolved]:
    """What becomes of the waiting jobs of one build, by job id; those that go on waiting are left out.

    A job that is skipped here counts for the jobs that need it.
    """
    graph = _Graph(jobs, of)
    is_changed = True
    while is_changed:
        is_changed = False
        for one in graph.waiting():
            # Each may be what the next one waits for, or take its place.
            decided = graph.decide(one)
            if decided is not None:
                graph.move(one, decided)
                is_changed = True
    # Only now is it known of all that a job needs what became of it, and so which of them to name.
    return {job_id: graph.told(job_id, decided) for job_id, decided in graph.moved.items()}


def moved(one: job.Job, resolved: Mapping[str, Resolved], *, now: datetime) -> job.Job:
    """A job as it stands behind `resolve`."""
    if one.id not in resolved:
        return one
    found = resolved[one.id]
    return replace(one, state=found.state, reason=found.reason, finished_at=now if found.state in job.FINAL else None)


class _Graph:
    """The jobs of a build, those of one matrix together, and what is decided on the way."""

    def __init__(self, jobs: Sequence[job.Job], of: build.Build) -> None:
        self._of = of
        self._jobs = {one.id: one for one in jobs}
        self._states = {one.id: one.state for one in jobs}
        self._groups: dict[str, list[job.Job]] = {}
        for one in jobs:
            self._groups.setdefault(one.plan.id, []).append(one)
        self.moved: dict[str, Resolved] = {}

    def waiting(self) -> list[job.Job]:
        return [one for one in self._jobs.values() if self._states[one.id] == _S.WAITING]

    def move(self, one: job.Job, moved: Resolved) -> None:
        self._states[one.id] = moved.state
        self.moved[one.id] = moved

    def decide(self, one: job.Job) -> Resolved | None:
        """What becomes of a waiting job; None while it goes on waiting."""
        if one.cancel_requested_at is not None:
            # Whoever ends such jobs may come to it later than the end of what it needs: it was cancelled, not skipped.
            return Resolved(transition(_S.WAITING, Signal.CANCELLED), one.cancel_reason or CANCELLED)
        if one.plan.condition is None:
            # Which of them to name is known when all are decided: see `told`.
            verdict, reason = self._by_needs(one)[0], None
        elif any(self._state_of(key) not in job.FINAL for key in one.plan.needs):
            return None
        else:
            reason = conditions.against(one.plan.condition, self._contexts(one), self._status(one))
            verdict = transition(_S.WAITING, Signal.NEEDS_PASSED if reason is None else Signal.NEEDS_FAILED)
        if verdict is None or (verdict == _S.QUEUED and not self._has_place(one)):
            return None
        return Resolved(verdict, reason)

    def told(self, job_id: str, decided: Resolved) -> Resolved:
        """The same, with the reason as it is when all are decided."""
        one = self._jobs[job_id]
        is_by_needs = one.cancel_requested_at is None and one.plan.condition is None
        if decided.state != _S.SKIPPED or not is_by_needs:
            return decided
        return replace(decided, reason=why_skipped(self._by_needs(one)[1]))

    def _by_needs(self, one: job.Job) -> tuple[job.State | None, Mapping[str, job.State]]:
        """What becomes of a job without a condition, and by which others."""
        needs = {key: self._state_of(key) for key in one.plan.needs}
        verdict = needs_verdict(needs.values())
        if verdict == _S.QUEUED:
            # What failed or was skipped counts along the whole chain, also where a job in between ran all the same.
            needs = {key: self._state_of(key) for key in self._ancestors(one)}
            verdict = needs_verdict(needs.values())
        return verdict, needs

    def outlives(self, one: job.Job) -> bool:
        """Whether the `if` of a job holds when somebody cancels the build now."""
        if one.plan.condition is None:
            return False
        status = replace(self._status(one), is_success=False, is_cancelled=True)
        return conditions.against(one.plan.condition, self._contexts(one), status) is None

    def _has_place(self, one: job.Job) -> bool:
        most = one.plan.max_parallel
        under_way = {_S.QUEUED, *job.ON_ENGINE}
        return most is None or sum(self._states[mate.id] in under_way for mate in self._groups[one.plan.id]) < most

    def _state_of(self, key: str) -> job.State:
        """The state of what is needed by this id: of a matrix, that of all its jobs together."""
        # A need that is not in the build can never pass.
        group = self._groups.get(key, [])
        states = [counted(one.plan, self._states[one.id]) for one in group] or [_S.SKIPPED]
        still_open = next((state for state in states if state not in job.FINAL), None)
        if still_open is not None:
            return still_open
        return job.State(min((_VERDICTS[state] for state in states), key=_SEVERITY.index).value)

    def _contexts(self, one: job.Job) -> Mapping[str, Any]:
        needs = {
            # What is open is about to be cancelled: nobody else asks for it.
            key: {
                "result": _RESULTS.get(self._state_of(key), "cancelled"),
                "outputs": outputs(self._groups.get(key, ())),
            }
            for key in one.plan.needs
        }
        return {**contexts.of_build(self._of), "needs": needs}

    def _status(self, one: job.Job) -> conditions.Status:
        """https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#jobsjob_idneeds"""
        before = self._ancestors(one)
        return conditions.Status(
            is_success=all(self._state_of(key) == _S.PASSED for key in before),
            is_failure=any(self._state_of(key) in job.BAD for key in before),
            is_cancelled=any(self._state_of(key) == _S.CANCELLED for key in before),
        )

    def _ancestors(self, one: job.Job) -> list[str]:
        """The ids of all that it needs, and of all that these need, the nearest first."""
        found: dict[str, None] = {}
        left = list(one.plan.needs)
        while left:
            key = left.pop(0)
            if key not in found:
                found[key] = None
                left += [need for needed in self._groups.get(key, ()) for need in needed.plan.needs]
        return list(found)


#: https://docs.github.com/en/actions/reference/workflows-and-actions/contexts#needs-context
_RESULTS = {
    _S.PASSED: "success",
    _S.FAILED: "failure",
    _S.ERRORED: "failure",
    _S.TIMED_OUT: "failure",
    _S.CANCELLED: "cancelled",
    _S.SKIPPED: "skipped",
}


def needs_of(one: job.Job, jobs: Sequence[job.Job], *, of: build.Build) -> Mapping[str, Any]:
    """The `needs` context of a job whose needs have ended."""
    found: Mapping[str, Any] = _Graph(jobs, of)._contexts(one)["needs"]
    return found


def outputs(group: Sequence[job.Job]) -> Mapping[str, str]:
    """The outputs of one id: of a matrix those of all its jobs; the last one in order that says something counts.

    In Actions it is the one that ended last, which is chance.
    """
    found: dict[str, str] = {}
    for one in sorted(group, key=lambda one: one.position):
        found |= {name: value for name, value in one.outputs.items() if value or name not in found}
    return found


def counted(plan: job.Plan, state: job.State) -> job.State:
    """A job's state as it counts for others: one that may fail counts as passed.

    https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#jobsjob_idcontinue-on-error
    """
    return _S.PASSED if plan.continue_on_error and state in job.BAD else state


def ended_by_failure(changed: job.Job, jobs: Sequence[job.Job]) -> list[job.Job]:
    """The jobs of the same matrix that are not wanted any more, because this one failed.

    https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#jobsjob_idstrategyfail-fast
    """
    if not changed.plan.group or not changed.plan.fail_fast or counted(changed.plan, changed.state) not in job.BAD:
        return []
    return [one for one in jobs if one.plan.id == changed.plan.id and one.state not in job.FINAL]


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
    keys = {one.plan.id for one in jobs}
    is_torn = any(one.state == _S.SKIPPED and not keys.issuperset(one.plan.needs) for one in jobs)
    return build_state([*(counted(one.plan, one.state) for one in jobs), *[_S.ERRORED] * is_torn])


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


def outliving(of: build.Build, jobs: Sequence[job.Job]) -> frozenset[str]:
    """The ids of the jobs that run all the same when somebody cancels their build: those whose `if` holds then.

    Of a build that has not begun there are none, and none where nothing else is left to cancel: asked again, everything
    ends.

    https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-cancellation
    """
    if of.state != build.State.RUNNING:
        return frozenset()
    graph = _Graph(jobs, of)
    live = [one for one in jobs if one.state not in job.FINAL]
    spared = frozenset(one.id for one in live if graph.outlives(one))
    return spared if len(spared) < len(live) else frozenset()


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
