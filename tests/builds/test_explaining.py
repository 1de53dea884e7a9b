"""The answer to "why did it not build?": from what is known, on both databases."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bot import clock
from bot.builds import explaining, finding
from bot.builds.explaining import Cause, Kind
from bot.model import budget, build, delivery, job
from bot.store import (
    Store,
    audit,
    budgets,
    builds,
    checks,
    deliveries,
    installations,
    jobs,
    outcomes,
    pauses,
    pulls,
    replicas,
)
from tests import factories
from tests.factories import HEAD_SHA, REPOSITORY_ID

MINUTE = timedelta(minutes=1)
OTHER_SHA = HEAD_SHA[:10] + "f" * 30
PULL_KEY = f"pull:{REPOSITORY_ID}:7"


async def ask(store: Store, text: str) -> explaining.Explanation:
    question = explaining.read(text)
    assert question is not None
    return await store.read(finding.explain, question, now=clock.now())


async def receive(store: Store, guid: str, **changes: object) -> None:
    changes = {"head_sha": HEAD_SHA, "received_at": clock.now(), "ordering_key": guid, **changes}
    await store.write(deliveries.insert_many, [factories.make_verified_delivery(guid=guid, **changes)])


async def claim(store: Store) -> delivery.Delivery:
    (one,) = await store.write(deliveries.claim_next, now=clock.now(), owner="test", lease=MINUTE, limit=1)
    return one


async def serve(store: Store) -> None:
    await store.write(replicas.start, replica_id="r", name="r", now=clock.now(), is_only=False)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("72d3162e-cc78-11e3-81ab-4c9367dc0958", Kind.DELIVERY),
        (" state-0123456789abcdef0123456789abcdef01234567\n", Kind.DELIVERY),
        ("abc123", Kind.DELIVERY),
        ("ABCDEF0", Kind.COMMIT),
        ("a" * 64, Kind.COMMIT),
        ("octo/hello#7", Kind.PULL),
        ("octo/hello#0", None),
        ("octo/hello", None),
        ("octo/hello#7; DROP", None),
        ("a" * 73, None),
        ("%", None),
        ("", None),
        ("ä" * 7, None),
    ],
)
def test_what_is_asked_for_is_told_apart_by_its_form(text: str, kind: Kind | None) -> None:
    asked = explaining.read(text)
    assert (asked.kind if asked is not None else None) == kind


@given(text=st.text())
def test_no_text_breaks_the_reading(text: str) -> None:
    explaining.read(text)


async def test_nothing_that_ever_came_is_told_with_what_may_be_the_cause(store: Store) -> None:
    for text in ("abcdef0", "octo/hello#7", "no-such-delivery"):
        found = await ask(store, text)
        assert found.cause == Cause.NO_DELIVERY
        assert text in found.answer
        assert any("deliveries recover" in one for one in found.advice)
    found = await ask(store, "octo/hello#7")
    assert found.advice[:2] == (
        "No delivery came at all: the App's webhook URL has to lead to this service's /webhook.",
        "Nothing was ever heard of this repository.",
    )
    await receive(store, "g", repository="octo/hello", head_sha=None)
    await store.write(installations.save, factories.make_installation(state="suspended"))
    assert (await ask(store, "octo/hello#7")).cause == Cause.SUSPENDED
    assert any("1 account has suspended" in one for one in (await ask(store, "abcdef0")).advice)


async def test_a_prefix_that_several_commits_have_lists_them_and_a_longer_one_finds_one(store: Store) -> None:
    await receive(store, "a")
    await store.write(
        outcomes.create, factories.make_new_build(factories.make_build(head_sha=OTHER_SHA)), now=clock.now()
    )
    found = await ask(store, HEAD_SHA[:8])
    assert (found.cause, found.facts.shas) == (Cause.AMBIGUOUS, tuple(sorted((HEAD_SHA, OTHER_SHA))))
    assert (found.facts.builds, found.facts.deliveries) == ((), ())
    found = await ask(store, HEAD_SHA[:14].upper())
    assert found.question.text == HEAD_SHA
    assert [one.id for one in found.facts.deliveries] == ["a"]
    assert (await ask(store, OTHER_SHA)).cause == Cause.QUEUED
    # A text that is a delivery's id as well is that.
    await receive(store, "deadbeef", head_sha=None)
    assert (await ask(store, "deadbeef")).question.kind == Kind.DELIVERY


async def test_what_a_delivery_waits_for_is_told_as_it_changes(store: Store) -> None:
    await receive(store, "first", ordering_key=PULL_KEY, event="pull_request", action="opened")
    await receive(store, "second", ordering_key=PULL_KEY, event="pull_request", action="closed")
    assert "no service runs" in (await ask(store, "second")).answer
    await serve(store)
    found = await ask(store, "second")
    assert (found.cause, "waits for delivery first" in found.answer) == (Cause.IN_QUEUE, True)
    assert "It is the next." in (await ask(store, "first")).answer
    wait = budget.Wait(seconds=60, text="GitHub is tired.")
    await store.write(budgets.block, factories.INSTALLATION_ID, wait, now=clock.now())
    assert "GitHub is tired." in (await ask(store, "first")).answer
    await store.write(pauses.save, pauses.Pause(reason="restored", at=clock.now()), now=clock.now())
    assert "stands still (restored)" in (await ask(store, "first")).answer
    await store.write(pauses.end, now=clock.now())
    await store.write(
        budgets.block, factories.INSTALLATION_ID, budget.Wait(seconds=0, text=""), now=clock.now() - MINUTE
    )


async def test_how_handling_went_is_told_as_it_changes(store: Store) -> None:
    await serve(store)
    await receive(store, "g")
    one = await claim(store)
    assert "right now" in (await ask(store, "g")).answer
    await store.write(deliveries.look_again, one, at=clock.now(), reason="Another one is waited for.")
    found = await ask(store, HEAD_SHA)
    assert (found.cause, found.answer.startswith("Another one is waited for.")) == (Cause.PUT_OFF, True)
    await store.write(deliveries.fail, await claim(store), error="Ouch.", next_attempt_at=clock.now())
    assert (await ask(store, "g")).cause == Cause.RETRYING
    await store.write(deliveries.fail, await claim(store), error="Ouch.", next_attempt_at=None)
    found = await ask(store, "g")
    assert (found.cause, "Ouch." in found.answer) == (Cause.PARKED, True)
    assert "deliveries replay g" in found.advice[0]


async def test_the_state_of_the_newest_build_answers_for_its_commit(store: Store) -> None:
    await receive(store, "g")
    new = factories.make_new_build(factories.make_build(delivery_id="g", created_at=clock.now()))
    decided = factories.make_outcome(builds=(new,))
    await store.write(outcomes.apply, await claim(store), decided, now=clock.now())
    found = await ask(store, HEAD_SHA)
    assert (found.cause, "no service runs" in found.answer) == (Cause.QUEUED, True)
    await serve(store)
    assert "0 jobs run" in (await ask(store, "g")).answer
    told = {}
    for state in build.State:
        finished_at = clock.now() if state in build.FINAL else None
        await store.write(builds.save_state, new.build.id, state=state, started_at=None, finished_at=finished_at)
        told[state] = (await ask(store, HEAD_SHA)).cause
    assert told == {
        build.State.WAITING: Cause.WAITS_FOR_APPROVAL,
        build.State.QUEUED: Cause.QUEUED,
        build.State.RUNNING: Cause.RUNNING,
        build.State.PASSED: Cause.ENDED,
        build.State.FAILED: Cause.ENDED,
        build.State.ERRORED: Cause.ENDED,
        build.State.CANCELLED: Cause.CANCELLED,
        build.State.TIMED_OUT: Cause.ENDED,
        build.State.SKIPPED: Cause.SKIPPED,
    }
    # What is still to be handled may change the answer.
    await receive(store, "later", received_at=clock.now() + MINUTE)
    assert (await ask(store, HEAD_SHA)).cause == Cause.IN_QUEUE


async def test_a_build_that_github_does_not_show_says_so_and_a_failed_one_which_job(store: Store) -> None:
    new = factories.make_new_build()
    await store.write(outcomes.create, new, now=clock.now())
    failed = replace(new.jobs[0], state=job.State.FAILED, reason="exit status 1")
    await store.write(jobs.save, failed)
    await store.write(
        builds.save_state, new.build.id, state=build.State.FAILED, started_at=None, finished_at=clock.now()
    )
    (check,) = await store.write(checks.claim_stale, now=clock.now(), owner="test", lease=MINUTE, limit=1)
    await store.write(checks.give_up, check, error="The repository is archived.")
    assert (await ask(store, HEAD_SHA)).answer == (
        f"Build {new.build.id} failed: test: exit status 1. GitHub does not show it: The repository is archived."
    )


async def test_a_pull_request_tells_its_state_its_deliveries_builds_and_the_audit(store: Store) -> None:
    await receive(store, "g", ordering_key=PULL_KEY, event="pull_request", action="opened")
    await receive(store, "other", ordering_key=f"pull:{REPOSITORY_ID}:77", event="pull_request", action="opened")
    made = factories.make_pull_build(delivery_id="g", state=build.State.WAITING, reason="Somebody has to approve.")
    decided = factories.make_outcome(
        builds=(replace(factories.make_new_build(made), jobs=()),),
        pulls=(factories.make_pull(),),
        audit=(factories.make_audit_entry(pull_number=7, actor="mona"), factories.make_audit_entry(pull_number=77)),
    )
    await store.write(outcomes.apply, await claim(store), decided, now=clock.now())
    found = await ask(store, "octo/hello#7")
    assert found.cause == Cause.WAITS_FOR_APPROVAL
    assert found.answer == (
        f"Pull request #7 is open at {HEAD_SHA}. Build {made.id} waits for approval. Somebody has to approve."
    )
    assert [one.id for one in found.facts.deliveries] == ["g"]
    assert [one.id for one in found.facts.builds] == [made.id]
    assert {one.actor for one in found.facts.entries} >= {"mona"}
    await store.write(pulls.save, factories.make_pull(number=8), now=clock.now())
    assert "Nothing of it was built." in (await ask(store, "octo/hello#8")).answer
    assert (await ask(store, "octo/hello#9")).cause == Cause.NO_DELIVERY


async def test_the_deliveries_of_builds_that_earlier_versions_stored_are_found_all_the_same(store: Store) -> None:
    await receive(store, "old", head_sha=None)
    new = factories.make_new_build(factories.make_build(delivery_id="old"))
    await store.write(outcomes.create, new, now=clock.now())
    assert [one.id for one in (await ask(store, HEAD_SHA)).facts.deliveries] == ["old"]


async def test_reports_on_our_own_checks_are_left_out_and_what_people_ask_for_is_not(store: Store) -> None:
    for number, action in enumerate(("created", "completed", "rerequested", "requested_action")):
        await receive(store, f"check-{number}", event="check_run", action=action)
    await receive(store, "suite", event="check_suite", action="completed")
    assert [one.id for one in (await ask(store, HEAD_SHA)).facts.deliveries] == ["check-3", "check-2"]


async def test_what_people_did_to_a_commit_is_among_what_is_told(store: Store) -> None:
    new = factories.make_new_build()
    await store.write(outcomes.create, new, now=clock.now())
    for changes in ({"head_sha": HEAD_SHA}, {"head_sha": OTHER_SHA}):
        await store.write(audit.add, factories.make_audit_entry(**changes), now=clock.now())
    assert [one.head_sha for one in (await ask(store, HEAD_SHA)).facts.entries] == [HEAD_SHA]
