"""Reads what the database knows of what somebody asks for, all as it stands at one instant, for `explaining`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import msgspec
from msgspec.structs import replace
from sqlalchemy.engine import Connection

from bot.builds import explaining
from bot.builds.explaining import Facts, Kind, Question
from bot.model import budget, build, delivery
from bot.store import (
    about,
    audit,
    budgets,
    builds,
    checks,
    deliveries,
    installations,
    jobs,
    pauses,
    pulls,
    replicas,
)

#: So many deliveries, builds, entries and commits are shown at most.
MOST = 20
_WAITING = (build.State.WAITING, build.State.QUEUED)


def explain(
    connection: Connection, question: Question, *, now: datetime, among: Collection[int] | None = None
) -> explaining.Explanation:
    """The answer to a question.

    :param among: the repositories that who asks may see: of all others nothing is known. None for all there are.
    """
    given = replicas.clock(connection) or now
    asked, facts = _read(connection, question, now=given, among=among)
    return explaining.explain(asked, facts)


def explain_waiting(
    connection: Connection, *, limit: int, before_id: str | None, now: datetime, among: Collection[int] | None = None
) -> list[explaining.Explanation]:
    """Why each of the newest builds waits that do, the newest first.

    :param before_id: only builds that are older than this one.
    :param among: only those of these repositories.
    """
    given = replicas.clock(connection) or now
    waiting = builds.list_newest(connection, limit=limit, before_id=before_id, states=_WAITING, among=among)
    if not waiting:
        return []
    around = _around(connection, given, among=among)
    found = []
    for one in waiting:
        facts = Facts(now=given, builds=(one,), is_repository_known=True)
        question = Question(kind=Kind.COMMIT, text=one.head_sha)
        found.append(explaining.explain(question, _whole(connection, facts, among=among, around=around)))
    return found


def _read(
    connection: Connection, question: Question, *, now: datetime, among: Collection[int] | None
) -> tuple[Question, Facts]:
    match question.kind:
        case Kind.DELIVERY:
            return question, _of_delivery(connection, question.text, now=now, among=among)
        case Kind.PULL:
            return question, _of_pull(connection, question, now=now, among=among)
    if _find(connection, question.text, among=among) is not None:
        # An id may look like a SHA.
        return replace(question, kind=Kind.DELIVERY), _of_delivery(connection, question.text, now=now, among=among)
    shas = about.list_shas(connection, question.text, limit=MOST + 1, among=among)
    if len(shas) > 1 and question.text not in shas:
        return question, Facts(now=now, shas=tuple(shas))
    sha = question.text if question.text in shas or not shas else shas[0]
    return replace(question, text=sha), _of_commit(connection, sha, now=now, among=among)


def _find(connection: Connection, guid: str, *, among: Collection[int] | None) -> delivery.Delivery | None:
    found = deliveries.find(connection, guid)
    return found if found is not None and _may_see(found.repository_id, among) else None


def _may_see(repository_id: int | None, among: Collection[int] | None) -> bool:
    return among is None or repository_id in among


def _of_delivery(connection: Connection, guid: str, *, now: datetime, among: Collection[int] | None) -> Facts:
    found = _find(connection, guid, among=among)
    if found is None:
        return _whole(connection, Facts(now=now), among=among)
    made = [one.id for one in builds.list_of_delivery(connection, guid) if _may_see(one.repository_id, among)]
    if found.head_sha is not None:
        made += about.list_builds_of_head(connection, found.head_sha, limit=MOST, among=among)
    entries = audit.list_about(connection, limit=MOST, delivery_ids=[guid], build_ids=made)
    return _whole(
        connection,
        Facts(
            now=now,
            deliveries=(replace(found, body=b""),),
            builds=_builds(connection, made),
            entries=tuple(entries),
            is_repository_known=True,
        ),
        among=among,
    )


def _of_commit(connection: Connection, sha: str, *, now: datetime, among: Collection[int] | None) -> Facts:
    found = about.list_of_head(connection, sha, limit=MOST, among=among)
    made = about.list_builds_of_head(connection, sha, limit=MOST, among=among)
    entries = audit.list_about(connection, limit=MOST, head_shas=[sha], delivery_ids=[one.id for one in found])
    return _whole(
        connection,
        Facts(
            now=now,
            deliveries=_with_makers(connection, found, made),
            builds=_builds(connection, made),
            entries=tuple(entries),
        ),
        among=among,
    )


def _of_pull(connection: Connection, question: Question, *, now: datetime, among: Collection[int] | None) -> Facts:
    place = about.find_repository(connection, question.repository)
    if place is None or not _may_see(place[0], among):
        return _whole(connection, Facts(now=now), among=among)
    repository_id, installation_id = place
    number = question.number
    found = about.list_of_pull(connection, repository_id=repository_id, number=number, limit=MOST)
    made = about.list_builds_of_pull(connection, repository_id=repository_id, number=number, limit=MOST)
    pull = pulls.find(connection, repository_id=repository_id, number=number)
    entries = audit.list_about(
        connection, limit=MOST, pull=(repository_id, number), delivery_ids=[one.id for one in found], build_ids=made
    )
    return _whole(
        connection,
        Facts(
            now=now,
            deliveries=_with_makers(connection, found, made),
            builds=_builds(connection, made),
            entries=tuple(entries),
            pull=pull,
            is_repository_known=True,
            installation=None if installation_id is None else installations.find(connection, installation_id),
        ),
        among=among,
    )


def _with_makers(
    connection: Connection, found: Sequence[delivery.Delivery], made: Sequence[str]
) -> tuple[delivery.Delivery, ...]:
    """With the deliveries that made the builds: of what earlier versions stored no commit is known."""
    known = {one.id: one for one in found}
    for one in _builds(connection, made):
        if one.delivery_id is not None and one.delivery_id not in known:
            maker = deliveries.find(connection, one.delivery_id)
            if maker is not None:
                known[maker.id] = replace(maker, body=b"", headers={})
    return tuple(sorted(known.values(), key=lambda one: -one.seq)[:MOST])


def _builds(connection: Connection, ids: Sequence[str]) -> tuple[build.Build, ...]:
    newest = sorted(set(ids), reverse=True)[:MOST]
    return tuple(one for of in newest if (one := builds.find(connection, of)) is not None)


class _Around(msgspec.Struct, frozen=True, kw_only=True):
    """What every answer may need, whatever it is about."""

    budgets: Mapping[int, budget.Budget]
    pause: pauses.Pause | None
    is_served: bool
    newest_at: datetime | None
    inactive: tuple[build.Installation, ...]


def _around(connection: Connection, now: datetime, *, among: Collection[int] | None) -> _Around:
    known = installations.list_all(connection) if among is None else []
    return _Around(
        budgets={one.installation_id: one for one in budgets.list_all(connection)},
        pause=pauses.find(connection),
        is_served=any(one.lease_until > now for one in replicas.list_all(connection)),
        # Whether anything ever came is not theirs to know: it may have come for others.
        newest_at=about.newest_at(connection) if among is None else now,
        inactive=tuple(one for one in known if one.state != "active"),
    )


def _whole(
    connection: Connection, facts: Facts, *, among: Collection[int] | None, around: _Around | None = None
) -> Facts:
    """With what every answer may need, and without what is about repositories that nobody may hear of."""
    around = around or _around(connection, facts.now, among=among)
    newest = facts.builds[0] if facts.builds else None
    waiting = next((one for one in facts.deliveries if one.state in delivery.UNFINISHED), None)
    seen = [*(one.installation_id for one in facts.deliveries), *(one.installation_id for one in facts.builds)]
    ids = [one for one in seen if one is not None]
    installation = facts.installation
    if installation is None and ids:
        installation = installations.find(connection, ids[0])
    is_queued = newest is not None and newest.state == build.State.QUEUED
    return replace(
        facts,
        entries=tuple(one for one in facts.entries if _may_see(one.repository_id, among)),
        jobs=tuple(jobs.list_of_builds(connection, [newest.id])) if newest is not None else (),
        check_errors=_check_errors(connection, newest),
        installation=installation,
        budget=next((around.budgets[one] for one in ids[:1] if one in around.budgets), None),
        queue=about.queue(connection, waiting, among=among) if waiting is not None else None,
        load=about.load(connection, newest, among=among) if newest is not None and is_queued else None,
        pause=around.pause,
        is_served=around.is_served,
        newest_at=around.newest_at,
        inactive=around.inactive,
    )


def _check_errors(connection: Connection, newest: build.Build | None) -> tuple[str, ...]:
    shown = checks.list_of_build(connection, newest.id) if newest is not None else []
    return tuple(one.error for one in shown if one.error is not None)
