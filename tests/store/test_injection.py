"""Hostile text in every query: it is compared, stored and given back, and never becomes SQL or a pattern."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from msgspec.structs import replace

from bot import errors
from bot import store as store_room
from bot.model import approval, artifact, build, delivery, handler_run, job, outcome, report
from bot.store import (
    about,
    active,
    answers,
    approvals,
    artifacts,
    audit,
    bookmarks,
    branches,
    budgets,
    builds,
    checks,
    counts,
    deliveries,
    groups,
    handler_runs,
    history,
    idle,
    inbox_list,
    installations,
    jobs,
    kept,
    known,
    leases,
    newest,
    notifications,
    outcomes,
    people,
    places,
    pulls,
    replicas,
    repositories,
    requests,
    restored,
    results,
    schedules,
    schema,
    secrets,
    self_tests,
    subjects,
    subscribers,
    usage,
)
from bot.store import tests as store_tests
from tests.factories import (
    NOW,
    REPOSITORY_ID,
    SENDER_ID,
    make_account,
    make_answer,
    make_api_token,
    make_audit_entry,
    make_build,
    make_case,
    make_entry,
    make_finding,
    make_installation,
    make_job,
    make_new_build,
    make_plan,
    make_pull,
    make_results,
    make_secret,
    make_sign_in,
    make_verified_delivery,
    make_wanted,
    new_id,
)

MINUTE = timedelta(minutes=1)
HOSTILE = [
    "' OR '1'='1",
    "' OR 1=1 --",
    '" OR ""="',
    "'; DROP TABLE deliveries; --",
    "x'); DELETE FROM builds; --",
    "' UNION SELECT sql FROM sqlite_master --",
    "1) OR (1=1",
    "%",
    "_",
    "octo/%",
    "octo/hell_",
    "*",
    "[a-z]*",
    "\\",
    "\\'",
    "`",
    ":id",
    "?",
    "%(id)s",
    "%s",
    "{id}",
    "/* x */",
    "--",
    "\n; PRAGMA writable_schema = 1; --",
    "ü \N{ROCKET} \u202e \u2028",
    "NULL",
    "0",
    "",
]
ROOMS = (
    approvals,
    answers,
    about,
    artifacts,
    audit,
    bookmarks,
    budgets,
    builds,
    checks,
    deliveries,
    groups,
    handler_runs,
    history,
    idle,
    inbox_list,
    installations,
    jobs,
    kept,
    known,
    leases,
    notifications,
    outcomes,
    people,
    places,
    pulls,
    replicas,
    restored,
    results,
    schedules,
    secrets,
    subscribers,
    usage,
    active,
    branches,
    counts,
    newest,
    repositories,
    requests,
    store_tests,
    self_tests,
    subjects,
)

_Call = Callable[[sa.Connection, str], Any]


def _claimed(connection: sa.Connection, **changes: Any) -> delivery.Delivery:
    deliveries.insert_many(connection, [make_verified_delivery(**changes)])
    return deliveries.claim_next(connection, now=NOW, owner="octo", lease=MINUTE, limit=9)[-1]


#: Looks for a text that is not there: finds nothing.
FINDS_NOTHING: dict[str, _Call] = {
    "notifications.next_due_at": lambda connection, text: notifications.next_due_at(connection, [text], now=NOW),
    "approvals.find_valid": lambda connection, text: approvals.find_valid(
        connection, repository_id=REPOSITORY_ID, pull_number=1, head_sha=text, base_sha=text, digest=text
    ),
    "approvals.drop": lambda connection, text: approvals.drop(
        connection, repository_id=REPOSITORY_ID, pull_number=99, reason=text, now=NOW
    ),
    "about.list_shas": lambda connection, text: about.list_shas(connection, text, limit=9),
    "about.list_of_head": lambda connection, text: about.list_of_head(connection, text, limit=9),
    "about.list_builds_of_head": lambda connection, text: about.list_builds_of_head(connection, text, limit=9),
    "about.find_repository": lambda connection, text: about.find_repository(connection, text),
    "artifacts.list_of_repository": lambda connection, text: (
        artifacts.list_of_repository(connection, repository=text, repository_id=REPOSITORY_ID)[0]
        + artifacts.list_of_repository(connection, repository="none", repository_id=REPOSITORY_ID, before_id=text)[0]
    ),
    "branches.list_newest": lambda connection, text: (
        branches.list_newest(connection, repository=text, repository_id=REPOSITORY_ID)
        + branches.list_newest(connection, repository="none", repository_id=REPOSITORY_ID, before_id=text)
    ),
    "branches.list_of_ref": lambda connection, text: branches.list_of_ref(
        connection, repository_id=REPOSITORY_ID, ref=text, limit=9
    ),
    "newest.ids": lambda connection, text: newest.ids(connection, among=[99], limit=9, before_id=text),
    "results.list_cases": lambda connection, text: results.list_cases(connection, text, after_seq=0, limit=9),
    "subjects.of_artifact": lambda connection, text: subjects.of_artifact(connection, text),
    "subjects.of_build": lambda connection, text: subjects.of_build(connection, text),
    "subjects.of_delivery": lambda connection, text: (
        None if subjects.of_delivery(connection, text)[0] is False else text
    ),
    "subjects.of_job": lambda connection, text: subjects.of_job(connection, text),
    "subjects.of_name": lambda connection, text: subjects.of_name(connection, text),
    "artifacts.list_of_jobs": lambda connection, text: artifacts.list_of_jobs(connection, [text]),
    "artifacts.list_without": lambda connection, text: [
        one for one in artifacts.list_without(connection, [text]) if one != text
    ],
    "audit.list_newest": lambda connection, text: (
        audit.list_newest(connection, limit=9, actor=text) + audit.list_newest(connection, limit=9, repository=text)
    ),
    "audit.list_about": lambda connection, text: audit.list_about(
        connection, limit=9, head_shas=[text], build_ids=[text], delivery_ids=[text]
    ),
    "bookmarks.list_names": lambda connection, text: bookmarks.list_names(connection, prefix=text or "none"),
    "builds.list_stopped": lambda connection, text: builds.list_stopped(connection, reason=text, since=NOW),
    "checks.list_of_head": lambda connection, text: checks.list_of_head(
        connection, repository_id=REPOSITORY_ID, head_sha=text
    ),
    "jobs.lock_wish": lambda connection, text: jobs.lock_wish(connection, text),
    "jobs.is_ending": lambda connection, text: jobs.is_ending(connection, text),
    "jobs.list_without": lambda connection, text: [one for one in jobs.list_without(connection, [text]) if one != text],
    "jobs.list_final": lambda connection, text: jobs.list_final(connection, [text]),
    "pulls.find_closed_of_branch": lambda connection, text: pulls.find_closed_of_branch(
        connection, repository_id=REPOSITORY_ID, branch=text
    ),
    "bookmarks.find": lambda connection, text: bookmarks.find(connection, text),
    "builds.list_by_ids": lambda connection, text: builds.list_by_ids(connection, [text]),
    "builds.find": lambda connection, text: builds.find(connection, text),
    "builds.find_latest": lambda connection, text: builds.find_latest(
        connection, repository_id=REPOSITORY_ID, head_sha=text
    ),
    "builds.find_by_cause": lambda connection, text: builds.find_by_cause(
        connection, repository_id=REPOSITORY_ID, cause=text
    ),
    "builds.list_of_delivery": lambda connection, text: builds.list_of_delivery(connection, text),
    "builds.list_newest": lambda connection, text: (
        builds.list_newest(connection, limit=9, repository=text)
        + builds.list_newest(connection, limit=9, head_ref=text)
        + builds.list_newest(connection, limit=9, head_sha=text)
        + builds.list_newest(connection, limit=9, repository=text, ref=text, head_sha="a" * 40)
    ),
    "builds.list_unfinished": lambda connection, text: (
        builds.list_unfinished(connection, ref=text) + builds.list_unfinished(connection, head_sha=text)
    ),
    "checks.list_of_build": lambda connection, text: checks.list_of_build(connection, text),
    "deliveries.find": lambda connection, text: deliveries.find(connection, text),
    "inbox_list.list_newest": lambda connection, text: (
        inbox_list.list_newest(connection, limit=9, event=text)
        + inbox_list.list_newest(connection, limit=9, repository=text)
        + inbox_list.list_newest(connection, limit=9, event=text, among=[99])
        + inbox_list.list_newest(connection, limit=9, repository=text, among=[99])
    ),
    "jobs.find": lambda connection, text: jobs.find(connection, text),
    "jobs.claim_lost": lambda connection, text: jobs.claim_lost(connection, silent_since=NOW, owner=text),
    "jobs.find_log_tail": lambda connection, text: jobs.find_log_tail(connection, text),
    "jobs.list_cancel_requested": lambda connection, text: jobs.list_cancel_requested(connection, owner=text),
    "jobs.take_over": lambda connection, text: jobs.take_over(connection, [text]),
    "jobs.release_queued": lambda connection, text: jobs.release_queued(connection, owner=text),
    "jobs.list_of_builds": lambda connection, text: jobs.list_of_builds(connection, [text]),
    "jobs.request_cancel": lambda connection, text: jobs.request_cancel(connection, [text], now=NOW, reason=text),
    "known.guids": lambda connection, text: known.guids(connection, [text]),
    "known.heads": lambda connection, text: known.heads(connection, repository_id=REPOSITORY_ID, head_sha=text),
    "notifications.list_newest": lambda connection, text: notifications.list_newest(
        connection, subscriber=text, limit=9
    ),
    "secrets.list_of_job": lambda connection, text: secrets.list_of_job(
        connection, repository_id=REPOSITORY_ID, environment=text, names=[text]
    ),
    "secrets.delete": lambda connection, text: secrets.delete(
        connection, repository_id=REPOSITORY_ID, environment=text, name=text
    ),
    "secrets.list_sealed_otherwise": lambda connection, text: [
        one for one in secrets.list_sealed_otherwise(connection, key_id=text) if one.key_id != "k1"
    ],
    "secrets.reseal": lambda connection, text: secrets.reseal(
        connection, make_secret(name=text), key_id=text, sealed=b"other"
    ),
    "pulls.find_open_of_branch": lambda connection, text: pulls.find_open_of_branch(
        connection, repository_id=REPOSITORY_ID, branch=text
    ),
}
#: Names a thing that is not there: changes nothing, or says that it is not there.
CHANGES_NOTHING: dict[str, _Call] = {
    "people.delete_sign_in": lambda connection, text: people.delete_sign_in(connection, text, user_id=SENDER_ID),
    "people.delete_token": lambda connection, text: people.delete_token(connection, text, user_id=SENDER_ID),
    "people.note_seen": lambda connection, text: people.note_seen(connection, text, now=NOW),
    "people.note_used": lambda connection, text: people.note_used(connection, text, now=NOW),
    "artifacts.get": lambda connection, text: artifacts.get(connection, text),
    "kept.recount_artifacts": lambda connection, text: kept.recount_artifacts(connection, [text]),
    "builds.save_proposal": lambda connection, text: builds.save_proposal(
        connection,
        text,
        approval.Proposal(consent=approval.Consent.APPROVE, jobs=(text,), file_sha=text, digest=text),
    ),
    "answers.release_all": lambda connection, text: answers.release_all(connection, owner=text),
    "bookmarks.delete_old": lambda connection, text: bookmarks.delete_old(connection, before=NOW - MINUTE, keep=[text]),
    "bookmarks.delete": lambda connection, text: bookmarks.delete(connection, text),
    "builds.get": lambda connection, text: builds.get(connection, text),
    "checks.release_all": lambda connection, text: checks.release_all(connection, owner=text),
    "deliveries.release_all": lambda connection, text: deliveries.release_all(connection, owner=text),
    "notifications.give_up_all": lambda connection, text: notifications.give_up_all(
        connection, text, error=text, now=NOW
    ),
    "notifications.release_all": lambda connection, text: notifications.release_all(connection, owner=text),
    "subscribers.disable": lambda connection, text: subscribers.disable(connection, text, reason=text, now=NOW),
    "subscribers.enable": lambda connection, text: subscribers.enable(connection, text, now=NOW),
    "handler_runs.release_all": lambda connection, text: handler_runs.release_all(connection, owner=text),
    "handler_runs.requeue_parked_of": lambda connection, text: handler_runs.requeue_parked_of(
        connection, hook_id=4242, guid=text
    ),
    "jobs.save_log_tail": lambda connection, text: jobs.save_log_tail(connection, text, b"x"),
    "leases.release": lambda connection, text: leases.release(connection, text, owner=text),
    "restored.settle_delivery": lambda connection, text: restored.settle_delivery(
        connection, text, reason=text, now=NOW
    ),
    "replicas.give_back": lambda connection, text: replicas.give_back(connection, text),
    "replicas.stop": lambda connection, text: replicas.stop(connection, replica_id=text, now=NOW),
    "builds.save_state": lambda connection, text: builds.save_state(
        connection, text, state=build.State.FAILED, started_at=None, finished_at=None, reason=text
    ),
    "checks.mark_stale": lambda connection, text: checks.mark_stale(
        connection, build_id=text, job_id=text, is_conclusion=True, now=NOW
    ),
    "deliveries.replay": lambda connection, text: deliveries.replay(connection, text),
    "results.find": lambda connection, text: results.find(connection, text, most_cases=9, most_findings=9),
    "results.list_totals": lambda connection, text: results.list_totals(connection, [text]),
    "jobs.get": lambda connection, text: jobs.get(connection, text),
    "jobs.list_ended_ids": lambda connection, text: jobs.list_ended_ids(connection, after_id=text),
    "jobs.put_off": lambda connection, text: jobs.put_off(connection, text, not_before_at=NOW),
    "outcomes.cancel_build": lambda connection, text: outcomes.cancel_build(connection, text, now=NOW, reason=text),
}
#: Writes a text: it is there afterwards, as it was. Each test below does some of these.
WRITES = {
    "artifacts.replace_of_job",
    "answers.claim_stale",
    "answers.fail",
    "answers.give_up",
    "restored.settle_check",
    "bookmarks.save",
    "leases.take",
    "replicas.beat",
    "replicas.start",
    "results.insert",
    "checks.acknowledge",
    "checks.claim_stale",
    "checks.fail",
    "checks.give_up",
    "deliveries.claim_next",
    "deliveries.claim_suspect",
    "deliveries.fail",
    "deliveries.finish",
    "deliveries.look_again",
    "handler_runs.claim_due",
    "handler_runs.finish",
    "handler_runs.put_off",
    "jobs.adopt",
    "jobs.claim_ready",
    "notifications.claim_due",
    "notifications.fail",
    "outcomes.apply",
    "outcomes.park",
    "usage.explain",
}


def _queries() -> Iterator[tuple[str, Callable[..., Any]]]:
    for room in ROOMS:
        for name, function in inspect.getmembers(room, inspect.isfunction):
            if function.__module__ == room.__name__ and not name.startswith("_"):
                yield f"{room.__name__.rpartition('.')[2]}.{name}", function


def _takes_text(function: Callable[..., Any]) -> bool:
    annotations = [str(one.annotation) for one in inspect.signature(function).parameters.values()]
    return any(
        one == "str" or one.startswith(("str |", "Sequence[str]", "Collection[str]", "tuple[str"))
        for one in annotations
    )


def test_t115_every_query_that_takes_text_is_tried() -> None:
    with_text = {name for name, function in _queries() if _takes_text(function)}
    assert with_text == set(FINDS_NOTHING) | set(CHANGES_NOTHING) | WRITES


def _fill(connection: sa.Connection) -> None:
    """One of each, none of them with a hostile text."""
    deliveries.insert_many(connection, [made := make_verified_delivery()])
    stored = deliveries.find(connection, made.guid)
    assert stored is not None
    handler_runs.hand_on(connection, {stored.seq: ["handlers:greet"]}, now=NOW)
    outcomes.create(connection, make_new_build(make_build(delivery_id="g")), now=NOW)
    pulls.save(connection, make_pull(runs=True), now=NOW)
    installations.save(connection, make_installation())
    subscribers.keep(connection, [make_wanted()], now=NOW)
    outcomes.create(connection, make_new_build(make_build(state=build.State.SKIPPED, head_sha="e" * 40)), now=NOW)
    audit.add(connection, make_audit_entry(), now=NOW)
    secrets.save(connection, make_secret())
    people.save_account(connection, make_account())
    people.insert_sign_in(connection, make_sign_in(), digest=b"d" * 32)
    people.insert_token(connection, make_api_token(), digest=b"e" * 32)


def _everything(connection: sa.Connection) -> dict[str, list[tuple[Any, ...]]]:
    return {
        table.name: [tuple(row) for row in connection.execute(sa.select(table))]
        for table in schema.metadata.sorted_tables
    }


@pytest.mark.parametrize("text", HOSTILE)
def test_t115_hostile_text_finds_nothing_and_changes_nothing(connection: sa.Connection, text: str) -> None:
    _fill(connection)
    before = _everything(connection)
    for name, call in FINDS_NOTHING.items():
        assert not call(connection, text), name
    for name, call in CHANGES_NOTHING.items():
        try:
            call(connection, text)
        except errors.NotFound as error:
            assert text in str(error), name  # noqa: PT017
    assert _everything(connection) == before


@pytest.mark.parametrize("text", HOSTILE)
def test_t115_hostile_text_is_stored_and_found_as_it_is(connection: sa.Connection, text: str) -> None:
    _fill(connection)
    claimed = _claimed(connection, guid=text, event=text, repository=text, action=text, ordering_key=f"key {text}")
    assert [one.id for one in inbox_list.list_newest(connection, limit=9, event=text)] == [text]
    assert [one.id for one in inbox_list.list_newest(connection, limit=9, repository=text)] == [text]
    new = make_new_build(
        make_build(
            repository=text,
            ref=text,
            head_sha=text,
            title=text,
            sender=text,
            cause=text,
            delivery_id=text,
            reason=text,
            concurrency_group=text,
        ),
        make_job(plan=make_plan(name=text, key=text), reason=text),
    )
    seen = make_pull(number=8, head_ref=text, base_ref=text, head_sha=text, runs=True)
    place = make_installation(id=9, account=text, permissions={text: text})
    decided = outcome.Outcome(
        trail=(text, text),
        builds=(new,),
        pulls=(seen,),
        installations=(place,),
        cancellations=(outcome.Cancellation(reason=text, repository_id=1, except_head_sha=text),),
        audit=(make_audit_entry(actor=text, repository=text, detail=text, head_sha=text, build_id=text[:26]),),
    )
    (made,) = outcomes.apply(connection, claimed, decided, now=NOW)
    assert made == replace(new.build, concurrency_turn=made.concurrency_turn)
    assert builds.list_newest(connection, limit=9, repository=text) == [made]
    assert builds.list_of_delivery(connection, text) == [made]
    assert builds.list_unfinished(connection, ref=text, head_sha=text) == [made]
    assert builds.list_unfinished(connection, repository_id=REPOSITORY_ID, except_head_sha=text) != [made]
    assert builds.find_by_cause(connection, repository_id=REPOSITORY_ID, cause=text) == made
    assert builds.find_latest(connection, repository_id=REPOSITORY_ID, head_sha=text) == made
    assert jobs.list_of_builds(connection, [made.id]) == list(new.jobs)
    assert pulls.find_open_of_branch(connection, repository_id=REPOSITORY_ID, branch=text) == seen
    assert installations.find(connection, 9) == place
    (entry,) = audit.list_newest(connection, limit=9, actor=text, repository=text)
    assert (entry.detail, entry.delivery_id, entry.head_sha, entry.build_id) == (text, text, text, text[:26])
    assert audit.list_about(connection, limit=9, head_shas=[text], delivery_ids=[text]) == [entry]
    stored = deliveries.find(connection, text)
    assert stored is not None
    assert (stored.trail, stored.reason, stored.action) == ((text, text), text, text)


@pytest.mark.parametrize("text", HOSTILE)
def test_t115_hostile_owners_reasons_and_errors_are_stored_as_they_are(connection: sa.Connection, text: str) -> None:
    def claim() -> delivery.Delivery:
        (claimed,) = deliveries.claim_next(connection, now=NOW, owner=text, lease=MINUTE, limit=1)
        return claimed

    deliveries.insert_many(connection, [make_verified_delivery(guid="g")])
    assert deliveries.claim_suspect(connection, now=NOW, owner=text, lease=MINUTE, min_attempts=0) is not None
    deliveries.release_all(connection)
    deliveries.look_again(connection, claim(), at=NOW, reason=text, error=text)
    deliveries.fail(connection, claim(), error=text, next_attempt_at=NOW)
    deliveries.finish(connection, claim(), state=delivery.State.HANDLED, now=NOW, trail=(text,))
    stored = deliveries.find(connection, "g")
    assert stored is not None
    assert (stored.reason, stored.trail) == (text, (text,))

    made = outcomes.create(connection, make_new_build(), now=NOW)
    (check,) = checks.claim_stale(connection, now=NOW, owner=text, lease=MINUTE, limit=1)
    checks.fail(connection, check, error=text, next_attempt_at=NOW)
    (check,) = checks.claim_stale(connection, now=NOW, owner=text, lease=MINUTE, limit=1)
    assert check.error == text
    checks.acknowledge(connection, check, version=0, github_id=5, status=text[:16], now=NOW)
    (check,) = checks.claim_stale(connection, now=NOW + MINUTE, owner=text, lease=MINUTE, limit=1)
    assert check.reported_status == text[:16]
    checks.give_up(connection, check, error=text)
    usage.explain(connection, REPOSITORY_ID, text)
    (claimed,) = jobs.claim_ready(connection, now=NOW, owner=text, lease=MINUTE, limit=1)
    assert (claimed.reason or "") == text
    jobs.save(connection, replace(claimed, state=job.State.RUNNING, reason=text, tested_sha=text))
    (adopted,) = jobs.adopt(connection, now=NOW, owner=text, lease=MINUTE)
    assert (adopted.reason, adopted.tested_sha, adopted.build_id) == (text, text, made.id)


@pytest.mark.parametrize("text", HOSTILE)
def test_t115_hostile_commands_are_stored_as_they_are(connection: sa.Connection, text: str) -> None:
    entry = make_entry(sender=text, command=text, text=text, lines=(text,))
    answers.add(connection, make_answer(entry, repository=text), now=NOW)
    later = NOW + MINUTE
    (claimed,) = answers.claim_stale(connection, now=NOW, owner=text, lease=MINUTE, limit=1)
    assert (claimed.entries, claimed.repository) == ((entry,), text)
    answers.fail(connection, claimed, error=text, next_attempt_at=NOW)
    (claimed,) = answers.claim_stale(connection, now=later, owner=text, lease=MINUTE, limit=1)
    assert claimed.error == text
    answers.give_up(connection, claimed, error=text)
    found = answers.find(connection, repository_id=REPOSITORY_ID, pull_number=7)
    assert found is not None
    assert (found.error, found.is_stale) == (text, False)


@pytest.mark.parametrize("text", HOSTILE)
def test_t115_hostile_names_of_replicas_leases_and_bookmarks_are_stored_as_they_are(
    connection: sa.Connection, text: str
) -> None:
    replicas.start(connection, replica_id=text, name=text, now=NOW, is_only=False)
    replicas.beat(connection, replica_id=text, name=text, now=NOW)
    assert [(one.id, one.name) for one in replicas.list_all(connection)] == [(text, text)]
    assert leases.take(connection, text, owner=text, now=NOW, lease=MINUTE)
    assert not leases.take(connection, text, owner="octo", now=NOW, lease=MINUTE)
    bookmarks.save(connection, text, text, now=NOW)
    assert bookmarks.find(connection, text) == text


@pytest.mark.parametrize("text", HOSTILE)
def test_t115_hostile_names_of_subscribers_and_what_they_answer_are_stored_as_they_are(
    connection: sa.Connection, text: str
) -> None:
    wanted = make_wanted(name=text, origin=text, url_digest=text)
    subscribers.keep(connection, [wanted], now=NOW)
    made = make_build(state=build.State.SKIPPED, repository=text, ref=text, head_sha=text)
    outcomes.create(connection, make_new_build(made), now=NOW)
    (claimed,) = notifications.claim_due(connection, most={text: 9}, now=NOW, owner=text, lease=MINUTE)
    assert claimed.data["repository"] == {"id": REPOSITORY_ID, "full_name": text}
    notifications.fail(connection, claimed, status=None, error=text, next_attempt_at=NOW, now=NOW)
    (stored,) = notifications.list_newest(connection, subscriber=text, limit=9)
    assert (stored.error, stored.data["ref"], stored.data["head_sha"]) == (text, text, text)
    assert notifications.count_unsent(connection) == {text: 1}
    assert subscribers.disable(connection, text, reason=text, now=NOW)
    (found,) = subscribers.list_all(connection)
    assert (found.name, found.origin, found.url_digest, found.reason) == (text, text, text, text)


@pytest.mark.parametrize("text", HOSTILE)
def test_t115_hostile_names_of_handlers_and_what_they_raise_are_stored_as_they_are(
    connection: sa.Connection, text: str
) -> None:
    of = _claimed(connection)
    outcomes.apply(connection, of, outcome.Outcome(trail=("Done.",)), now=NOW, hand_on=[text])

    def claim() -> handler_run.HandlerRun:
        (one,) = handler_runs.claim_due(connection, most={text: 9}, now=NOW, owner=text, lease=MINUTE)
        return one

    assert claim().handler == text
    handler_runs.release_all(connection, owner=text)
    handler_runs.put_off(connection, claim(), at=NOW, error=text, is_counted=False)
    handler_runs.finish(connection, claim(), state=delivery.State.PARKED, now=NOW, error=text)
    parked = _claimed(connection)
    outcomes.park(connection, parked, error=text, now=NOW, hand_on=[text])
    found = deliveries.find(connection, parked.id)
    assert found is not None
    assert (found.state, found.error) == (delivery.State.PARKED, text)
    assert [one.handler for one in handler_runs.list_of_delivery(connection, parked.seq)] == [text]
    (stored,) = handler_runs.list_of_delivery(connection, of.seq)
    assert (stored.handler, stored.error, stored.state, stored.attempts) == (text, text, delivery.State.PARKED, 2)


@pytest.mark.parametrize("text", HOSTILE)
def test_t115_hostile_words_of_reports_are_stored_as_they_are(connection: sa.Connection, text: str) -> None:
    of = outcomes.create(connection, make_new_build(), now=NOW)
    (one,) = jobs.list_of_builds(connection, [of.id])
    case = make_case(name=text, classname=text, file=text, message=text, details=text)
    finding = make_finding(tool=text, path=text, text=text, title=text, details=text)
    made = make_results(case, findings=(finding,), summary=text, problems=(text,))
    results.insert_cases(connection, one, made.cases, repository_id=REPOSITORY_ID)
    results.insert_findings(connection, one, made.findings)
    results.insert(connection, one.id, made)
    assert results.find(connection, one.id, most_cases=9, most_findings=9) == made
    told = history.find(connection, one, of)
    assert told is not None
    assert told.failures == (report.Failure(case=case),)


@pytest.mark.parametrize("text", HOSTILE)
def test_t115_hostile_names_of_secrets_are_stored_as_they_are(connection: sa.Connection, text: str) -> None:
    given = make_secret(name=text, environment=text or None, repository=text, updated_by=text)
    assert secrets.save(connection, given)
    assert not secrets.save(connection, given)
    found = secrets.list_of_job(connection, repository_id=REPOSITORY_ID, environment=text, names=[text])
    assert found == [given]
    assert [one.name for one in secrets.list_all(connection)] == [text]


@pytest.mark.parametrize("text", HOSTILE)
def test_t115_hostile_names_of_artifacts_and_times_are_stored_as_they_are(connection: sa.Connection, text: str) -> None:
    of = outcomes.create(connection, make_new_build(), now=NOW)
    (one,) = jobs.list_of_builds(connection, [of.id])
    made = artifact.Artifact(
        id=new_id(), job_id=one.id, name=text, size_bytes=1, sha256="0" * 64, files=1, created_at=NOW
    )
    artifacts.replace_of_job(connection, one.id, [made])
    assert artifacts.list_of_jobs(connection, [one.id]) == [artifacts.get(connection, made.id)] == [made]
    wanted = outcome.Schedules(
        repository_id=REPOSITORY_ID, installation_id=1, repository=text, ref=text, crons=("0 5 * * *",)
    )
    schedules.save(connection, wanted, now=NOW)
    (known,) = schedules.list_of_repository(connection, REPOSITORY_ID)
    assert (known.repository, known.ref) == (text, text)


def _trees() -> Iterator[tuple[str, ast.AST]]:
    for file in sorted(Path(store_room.__file__).parent.glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            yield file.name, node


def test_t115_no_statement_is_put_together_from_texts() -> None:
    found = []
    for file, node in _trees():
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in {
            "text",
            "exec_driver_sql",
            "literal_column",
            "execute",
            "executescript",
        }:
            argument = node.args[0] if node.args else None
            is_put_together = isinstance(argument, ast.JoinedStr | ast.BinOp) or (
                isinstance(argument, ast.Call) and ast.unparse(argument.func).endswith((".format", ".join"))
            )
            if is_put_together:
                found.append(f"{file}: {ast.unparse(node)}")
    # Of names that are a tuple in the code, and of two texts that are constants of the module.
    assert {one.partition("sa.text(")[0] for one in found} == {
        "looking.py: connection.exec_driver_sql(f'SHOW {name}')",
        "looking.py: connection.execute(f'PRAGMA {name}')",
        "newest.py: ",
        "sqlite.py: cursor.execute(f'PRAGMA {pragma}')",
    }
    assert len(found) == 5, found


def test_t115_nobody_chooses_the_column_that_is_sorted_by() -> None:
    for file, node in _trees():
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(".order_by"):
            for argument in node.args:
                column = ast.unparse(argument).removesuffix(".desc()")
                # A column of a table that stands in the code, or one of two that a loop in the code names.
                is_named = f"{file}: {column}" in {"about.py: column", "about.py: order"}
                assert is_named or re.fullmatch(r"\*?[A-Za-z_]+(?:\.[A-Za-z_]+)+", column), f"{file}: {column}"


def test_t115_no_query_is_a_pattern() -> None:
    words = {node.attr for _, node in _trees() if isinstance(node, ast.Attribute)}
    assert not words & {"like", "ilike", "contains", "startswith_", "regexp_match", "match", "op"}


def _modules() -> set[str]:
    folder = Path(store_room.__file__).parent
    return {file.stem for file in folder.glob("*.py")}


def test_t115_every_module_of_queries_is_looked_at() -> None:
    names = {room.__name__.rpartition(".")[2] for room in ROOMS}
    assert _modules() - names == {
        "__init__",
        "archive",
        "audit_table",
        "budgets_table",
        "bulk",
        "check_claims",
        "columns",
        "due",
        "dump",
        "gathering",
        "hints",
        "kept_table",
        "locks",
        "looking",
        "metadata",
        "owners",
        "patience",
        "pauses",
        "postgresql",
        "received",
        "people_tables",
        "repositories_table",
        "requests_table",
        "results_tables",
        "schedules_table",
        "schema",
        "secrets_table",
        "sqlite",
        "transaction",
        "trouble",
        "upgrade",
    }
