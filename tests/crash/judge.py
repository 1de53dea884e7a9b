"""The five invariants, judged on what the store, the logs and GitHub say after everything has come to rest.

I1 no acknowledged delivery is lost, I2 no effect is there twice, I3 every build ends and GitHub shows how, I4 no
untrusted code ran, I5 everybody can read why, and no secret. `violations` gives a sentence for each that is broken.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy.engine import Connection

from bot.logs import reading
from bot.model import answer, build, check, delivery, job
from bot.simulator import Simulator
from bot.simulator.values import CheckRun
from bot.store import Store, answers, builds, checks, inbox_list, jobs

#: GitHub's word for how a job or a build ended.
CONCLUSIONS = {
    "passed": "success",
    "failed": "failure",
    "errored": "failure",
    "cancelled": "cancelled",
    "timed_out": "timed_out",
    "skipped": "skipped",
    "waiting": "action_required",
}
_SECRET = re.compile(r"gh[oprsu]_[A-Za-z0-9_.\-]{16,}|-----BEGIN [A-Z ]*PRIVATE KEY|eyJ[A-Za-z0-9_\-]{10,}\.eyJ")
_MANY = 1_000_000
#: A pause between two looks at the database, which tells nobody that it changed.
LOOK_SECONDS = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """All that the store holds."""

    deliveries: Sequence[delivery.Delivery]
    builds: Sequence[build.Build]
    jobs: Sequence[job.Job]
    checks: Sequence[check.Check]
    answers: Sequence[answer.Answer] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What the judge cannot know by itself."""

    #: Commits whose code may run.
    trusted: Collection[str]
    #: How many builds each of these commits has, no more and no fewer; others have one at most.
    builds: Mapping[str, int] = field(default_factory=dict)
    #: The pull requests on which a command was given; the others have no comment of ours.
    answered: Collection[int] = ()
    #: The lines that the log of each passed job has, each once and in this order.
    lines: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Where the judge looks, beside the database and GitHub."""

    #: The folders of job logs, one for each data folder.
    job_logs: Sequence[Path]
    #: The logs of the service.
    service_logs: Sequence[Path]


def read(connection: Connection) -> State:
    """Read everything in one transaction."""
    made = builds.list_newest(connection, limit=_MANY)
    pulls = {(one.repository_id, one.pull_number) for one in made if one.pull_number is not None}
    told = [answers.find(connection, repository_id=of, pull_number=number) for of, number in sorted(pulls)]
    return State(
        deliveries=inbox_list.list_newest(connection, limit=_MANY),
        builds=made,
        jobs=jobs.list_of_builds(connection, [one.id for one in made]),
        checks=[run for one in made for run in checks.list_of_build(connection, one.id)],
        answers=[one for one in told if one is not None],
    )


def acknowledged(github: Simulator) -> set[str]:
    """The ids of the deliveries that were answered 2xx."""
    return {one.guid for one in github.deliveries if 200 <= one.status_code < 300}


def undelivered(github: Simulator) -> list[int]:
    """The last attempts, by GitHub's number, of what was sent and never acknowledged."""
    last = {one.guid: one for one in github.deliveries if one.url is not None and one.done.is_set()}
    under_way = {one.guid for one in github.deliveries if not one.done.is_set()}
    known = acknowledged(github) | under_way
    return [one.id for guid, one in last.items() if guid not in known]


def unsettled(state: State, github: Simulator) -> Iterator[str]:
    """What is still under way, or was never delivered."""
    for one in github.deliveries:
        if not one.done.is_set():
            yield f"delivery {one.guid} is being sent"
    for number in undelivered(github):
        yield f"attempt {number} was not acknowledged"
    there = {one.id for one in state.deliveries}
    for guid in acknowledged(github) - there:
        yield f"delivery {guid} is not in the inbox"
    for found in state.deliveries:
        if found.state in delivery.UNFINISHED:
            yield f"delivery {found.id} ({found.event}) is {found.state}: {found.reason or found.error}"
    for made in state.builds:
        if made.state not in build.FINAL | {build.State.WAITING}:
            yield f"build {made.id} is {made.state}"
    for ran in state.jobs:
        if ran.state not in job.FINAL:
            yield f"job {ran.id} is {ran.state}: {ran.reason}"
    for run in state.checks:
        if run.is_stale:
            yield f"check {run.id} of build {run.build_id} is not sent: {run.error}"
    for told in state.answers:
        if told.is_stale:
            yield f"the answer on #{told.pull_number} is not sent: {told.error}"


async def settle(store: Store, github: Simulator, *, timeout_seconds: float) -> State:
    """Wait until everything has come to rest; gives what the store holds then.

    What was not delivered is delivered again, as by an administrator, whenever nothing else is under way.

    :raises TimeoutError: if it does not; the text says what is still under way.
    """
    left = ["nothing was looked at"]
    try:
        async with asyncio.timeout(timeout_seconds):
            while left:
                for number in undelivered(github):
                    await github.redeliver(number).done.wait()
                await github.hooks.settle()
                state = await store.read(read)
                left = list(unsettled(state, github))
                if left:
                    await asyncio.sleep(LOOK_SECONDS)
    except TimeoutError:
        raise TimeoutError(f"not at rest within {timeout_seconds:g} s: {'; '.join(left)}") from None
    return state


def violations(state: State, github: Simulator, *, expected: Expected, evidence: Evidence) -> list[str]:
    """A sentence for each broken promise; none for a world at rest in which all five hold."""
    return [
        *(f"I1: {text}" for text in _lost(state, github)),
        *(f"I2: {text}" for text in _twice(state, github, expected)),
        *(f"I3: {text}" for text in _untold(state, github)),
        *(f"I4: {text}" for text in _untrusted(state, expected)),
        *(f"I5: {text}" for text in _unreadable(state, github, evidence)),
        *(f"log: {text}" for text in _torn(state, expected, evidence)),
    ]


def _lost(state: State, github: Simulator) -> Iterator[str]:
    states = {one.id: one.state for one in state.deliveries}
    for guid in sorted(acknowledged(github)):
        if guid not in states:
            yield f"delivery {guid} was acknowledged and is not in the inbox"
        elif states[guid] in delivery.UNFINISHED:
            yield f"delivery {guid} is {states[guid]}"
    for key, count in _more_than_one(one.id for one in state.deliveries):
        yield f"delivery {key} is in the inbox {count} times"


def _twice(state: State, github: Simulator, expected: Expected) -> Iterator[str]:
    for key, count in _more_than_one((one.repository_id, one.head_sha, one.generation) for one in state.builds):
        yield f"{count} builds of {key}"
    for key, count in _more_than_one((one.repository_id, one.cause) for one in state.builds):
        yield f"{count} builds because of {key}"
    heads = collections.Counter(one.head_sha for one in state.builds)
    for sha in heads.keys() | expected.builds.keys():
        if heads[sha] != expected.builds.get(sha, min(heads[sha], 1)):
            yield f"{heads[sha]} builds of {sha}, not {expected.builds.get(sha, 1)}"
    runs = _own_runs(github)
    for key, count in _more_than_one((run.head_sha, run.name, run.external_id) for run in runs):
        yield f"{count} check runs of {key}"
    ours = {(one.head_sha, one.name, one.external_id) for one in state.checks}
    for run in runs:
        if (run.head_sha, run.name, run.external_id) not in ours:
            yield f"check run {run.id} ({run.name}) shows {run.external_id}, which no build has"
    for newest in _newest(state).values():
        shown = [run for run in runs if (run.head_sha, run.name) == (newest.head_sha, newest.name)]
        if not shown or shown[-1].external_id != newest.external_id:
            there = [run.external_id for run in shown]
            yield f"of {newest.name} at {newest.head_sha} GitHub shows {there}, not {newest.external_id} as the newest"
    comments = collections.Counter(one.number for one in github.comments.values() if one.via_app is github.app)
    for number in comments.keys() | set(expected.answered):
        if comments[number] != (number in expected.answered):
            yield f"{comments[number]} comments of ours are on #{number}"


def _untold(state: State, github: Simulator) -> Iterator[str]:
    ended: dict[str, str] = {one.id: one.state for one in state.builds} | {one.id: one.state for one in state.jobs}
    for made in state.builds:
        if made.state not in build.FINAL | {build.State.WAITING}:
            yield f"build {made.id} is {made.state}"
    for ran in state.jobs:
        if ran.state not in job.FINAL:
            yield f"job {ran.id} is {ran.state}"
    runs = {run.external_id: run for run in _own_runs(github)}
    for one in state.checks:
        state_of = ended[one.job_id or one.build_id]
        shown = runs.get(one.external_id)
        if shown is None:
            continue
        told = (shown.status, shown.conclusion)
        if told != ("completed", CONCLUSIONS.get(state_of)):
            yield f"check run {shown.id} says {told} of what is {state_of}"
    for answered in state.answers:
        comment = github.comments.get(answered.github_id or 0)
        if comment is None or any(one.command not in comment.body for one in answered.entries):
            yield f"the answer on #{answered.pull_number} is not on GitHub"


def _untrusted(state: State, expected: Expected) -> Iterator[str]:
    trust = {one.id: one for one in state.builds}
    for made in state.builds:
        if made.trust == build.Trust.TRUSTED and made.head_sha not in expected.trusted:
            yield f"build {made.id} of {made.head_sha} is trusted"
    for ran in state.jobs:
        if trust[ran.build_id].trust != build.Trust.TRUSTED and ran.started_at is not None:
            yield f"job {ran.id} ran, of a build that is not trusted"


def _unreadable(state: State, github: Simulator, evidence: Evidence) -> Iterator[str]:
    for one in state.deliveries:
        if not (one.reason or one.error):
            yield f"delivery {one.id} ({one.event}) is {one.state} without a reason"
        if one.state == delivery.State.PARKED and not one.error:
            yield f"delivery {one.id} ({one.event}) is parked without an error"
    for ran in state.jobs:
        if ran.state in (job.State.ERRORED, job.State.CANCELLED) and not ran.reason:
            yield f"job {ran.id} is {ran.state} without a reason"
    for run in state.checks:
        if run.error and run.is_stale:
            yield f"check {run.id} could not be sent: {run.error}"
    # A shorter word than a secret may be one of the language.
    words = [word for word in (github.webhook_secret or "", github.private_key.splitlines()[1]) if len(word) >= 16]
    told = {path.name: path.read_bytes() for path in evidence.service_logs} | _logs(evidence.job_logs)
    for name, data in told.items():
        text = data.decode("utf-8", "replace")
        if _SECRET.search(text) or any(word in text for word in words):
            yield f"{name} shows a secret"


def _torn(state: State, expected: Expected, evidence: Evidence) -> Iterator[str]:
    found = _logs(evidence.job_logs)
    for one in state.jobs:
        if one.state != job.State.PASSED or one.origin_id is not None:
            continue
        whole, growing = found.get(f"{one.id}.packed"), found.get(f"{one.id}.log")
        if whole is None and growing is None:
            yield f"job {one.id} has none"
            continue
        if whole is None or growing is not None:
            yield f"that of job {one.id} is not sealed"
        data = whole or growing or b""
        if len(data) != one.log_size_bytes:
            yield f"that of job {one.id} has {len(data)} bytes, and {one.log_size_bytes} were noted"
        lines = [line for line in data.decode("utf-8", "replace").splitlines() if line in set(expected.lines)]
        if lines != list(expected.lines):
            yield f"that of job {one.id} has {len(lines)} of {len(expected.lines)} lines, or not in order: {lines[:20]}"


def _own_runs(github: Simulator) -> list[CheckRun]:
    return [run for run in github.check_runs_by_id.values() if run.app is github.app]


def _newest(state: State) -> dict[tuple[int, str, str], check.Check]:
    newest: dict[tuple[int, str, str], check.Check] = {}
    for one in sorted(state.checks, key=lambda one: one.generation):
        newest[one.repository_id, one.head_sha, one.name] = one
    return newest


def _more_than_one(keys: Iterable[object]) -> list[tuple[object, int]]:
    return [(key, count) for key, count in collections.Counter(keys).items() if count > 1]


def _logs(folders: Sequence[Path]) -> dict[str, bytes]:
    """What the logs of jobs say, by the names of their files."""
    found = {path.name: path.read_bytes() for folder in folders for path in folder.rglob("*.log")}
    for path in [path for folder in folders for path in folder.rglob("*.packed")]:
        with contextlib.closing(reading.open_packed(path)) as log:
            found[path.name] = log.read(0, log.size())
    return found
