"""What a badge is about: the branch, events and job that its address names, and how the newest of them ended."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping

import msgspec
from sqlalchemy.engine import Connection

from bot.builds import lifecycle
from bot.model import build, delivery
from bot.store import branches, jobs
from bot.web import badge

#: What counts where the address names no events: what became of the branch itself.
PUSHES = frozenset({"push", delivery.SCHEDULE})
#: Their builds are of a ref; those of the others of a branch that something is to be merged into.
_OF_REF = PUSHES | {delivery.HOOK, delivery.DISPATCH}
_INTO_BASE = frozenset({"pull_request", "merge_group"})
EVENTS = _OF_REF | _INTO_BASE
#: So many builds are looked at first: mostly one of them tells something.
_FIRST = 10
#: In the jobs of so many builds one is looked for by its name.
_WITH_JOBS = 10
#: As long as a name of a branch or a check may be.
_LONGEST = 255


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What an address asks for."""

    #: None for the default branch.
    branch: str | None = None
    events: frozenset[str] = PUSHES
    #: The name of a job, its key, or that of all jobs of a matrix; None for the whole build.
    job: str | None = None


def read(query: Mapping[str, str]) -> Asked | None:
    """What a query asks for; None where there can be no such build."""
    branch, name = query.get("branch") or None, query.get("job") or None
    events = frozenset(word.strip() for word in query.get("event", "").split(",")[: len(EVENTS) + 1] if word.strip())
    if not events <= EVENTS or any(len(one) > _LONGEST for one in (branch, name) if one is not None):
        return None
    return Asked(branch=branch, events=events or PUSHES, job=name)


def state(connection: Connection, asked: Asked, *, name: str, repository_id: int, branch: str) -> build.State | None:
    """How the newest of it ended that tells something; None where none does.

    :param name: what the repository is called.
    """
    ref = f"refs/heads/{branch}"

    def of_ref(limit: int) -> list[branches.Brief]:
        return branches.list_of_ref(connection, repository_id=repository_id, ref=ref, limit=limit)

    def of_repository(limit: int) -> list[branches.Brief]:
        return branches.list_newest(connection, repository=name, repository_id=repository_id, limit=limit)

    if asked.events <= _OF_REF:
        found = (one for one in _newest(of_ref) if one.event in asked.events)
    else:
        all_of_it = _newest(of_repository)
        found = (one for one in all_of_it if one.event in asked.events and _is_of(one, branch=branch, ref=ref))
    states = (one.state for one in found) if asked.job is None else _of_job(connection, asked.job, found)
    return next((one for one in states if one in badge.TELLING), None)


def _newest(of: Callable[[int], list[branches.Brief]]) -> Iterator[branches.Brief]:
    """The newest builds of something, few of them first."""
    few = of(_FIRST)
    yield from few
    if len(few) == _FIRST:
        yield from of(branches.WINDOW)[_FIRST:]


def _is_of(one: branches.Brief, *, branch: str, ref: str) -> bool:
    return one.base_ref == branch if one.event in _INTO_BASE else one.ref == ref


def _of_job(connection: Connection, name: str, found: Iterable[branches.Brief]) -> Iterator[build.State]:
    """How the job ended in each build that has it, also where the build itself has not ended."""
    for one in itertools.islice(found, _WITH_JOBS):
        its = jobs.list_of_builds(connection, [one.id])
        named = [of for of in its if name in (of.plan.name, of.plan.key)] or [of for of in its if of.plan.id == name]
        if named:
            yield lifecycle.build_state([of.state for of in named])
