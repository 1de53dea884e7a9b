"""What goes on: the first page, the queue and the engines say what runs, what waits and why, and what failed."""

from __future__ import annotations

import platform
import re
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from bot.builds import waiting
from bot.model import build, engine, job
from bot.store import active, pauses, replicas, self_tests
from bot.web.pages import engines as engines_page
from bot.web.pages import queue as queue_page
from tests import factories
from tests.web.conftest import Client
from tests.web.house import House
from tests.web.test_pages import shown, words

State = job.State


def part(html: str, name: str) -> str:
    """The words of one section."""
    return words(re.split(r"</section>", html.partition(f'aria-labelledby="{name}"')[2])[0])


async def serve(house: House) -> None:
    """Say that a service runs on the database, as it does itself."""
    await house.store.write(replicas.start, replica_id="r", name="worker-1", now=house.now, is_only=True)


async def test_the_first_page_tells_what_runs_what_waits_and_why_and_what_failed_last(
    house: House, client: Client
) -> None:
    await serve(house)
    for state in ("passed", "failed", "errored", "running"):
        new = await house.add_build(factories.make_build(title=f"It is {state}"))
        await house.save_build(new.build.id, state=build.State(state))
    await house.add_build(factories.make_build(title="It is queued"))
    html = await shown(client, "/")
    assert "It is running" in part(html, "runs")
    assert "It is passed" not in part(html, "runs")
    assert re.search(
        r"Waiting 1 .*It is queued.* is queued: 0 jobs run, and 4 jobs of older builds wait", part(html, "waits")
    )
    failed = part(html, "failed")
    assert failed.index("It is errored") < failed.index("It is failed")
    assert "It is running" not in failed
    assert html.count("<h1") == 1
    assert "data-live" in html
    # A part of the list stands alone.
    assert "Failed last" not in await shown(client, "/?state=failed")


async def test_of_each_the_first_page_shows_a_few_and_counts_all(house: House, client: Client) -> None:
    for _ in range(8):
        new = await house.add_build()
        await house.save_build(new.build.id, state=build.State.RUNNING)
    html = await shown(client, "/")
    assert "Running 8" in words(html)
    assert part(html, "runs").count("octo/hello") == 5
    assert 'href="/?state=running"' in html


async def test_the_queue_says_of_every_build_and_every_job_why_it_waits(house: House, client: Client) -> None:
    assert "Nothing waits" in await shown(client, "/queue")
    await serve(house)
    asked = factories.make_pull_build(
        title="A stranger's", head_sha="a" * 40, state=build.State.WAITING, proposal=factories.make_proposal()
    )
    await house.add_build(asked)
    partly = factories.make_build(title="It runs already")
    jobs = [
        factories.make_job(plan=factories.make_plan(key=key, name=key, needs=needs), state=state, check_name=key)
        for key, needs, state in (
            ("lint", (), State.RUNNING),
            ("test", (), State.QUEUED),
            ("package", ("lint", "test"), State.WAITING),
        )
    ]
    await house.add_build(partly, *jobs)
    await house.save_build(partly.id, state=build.State.RUNNING)
    html = await shown(client, "/queue")
    text = words(html)
    assert "It waits for approval." in text
    assert "test It waits for a free place on the engine local." in part(html, "partly")
    assert "package It waits until lint, test have ended." in part(html, "partly")
    assert "lint It" not in text
    assert "data-live" in html


async def test_jobs_that_wait_for_the_same_are_told_of_together(house: House, client: Client) -> None:
    await serve(house)
    plans = [factories.make_plan(key="lint", name="Lint")]
    plans += [
        factories.make_plan(key=f"t{n}", name=f"Test {n}", needs=("lint",)) for n in range(queue_page.MOST_NAMES + 2)
    ]
    jobs = [factories.make_job(plan=one, check_name=one.key, state=State.WAITING) for one in plans]
    jobs[0] = replace(jobs[0], state=State.QUEUED)
    await house.add_build(factories.make_build(), *jobs)
    text = words(await shown(client, "/queue"))
    assert "Lint It waits for a free place on the engine local. Test 0 , Test 1 ," in text
    assert "Test 11 and 2 more Each waits until Lint has ended." in text
    assert text.count("until Lint has ended") == 1


async def test_who_waits_for_a_turn_in_a_group_is_told_so_and_not_of_places(house: House, client: Client) -> None:
    await serve(house)
    first = factories.make_build(concurrency_group="deploy")
    await house.add_build(first)
    second = factories.make_build(concurrency_group="deploy", head_sha="c" * 40, title="The second")
    plans = (factories.make_plan(key=name, name=name) for name in ("one", "two"))
    await house.add_build(second, *(factories.make_job(plan=plan) for plan in plans))
    reason = f"Waits for build {first.id} of the same concurrency group."
    text = words(await shown(client, "/queue"))
    assert text.count(f"Waits for build {first.id} of the same concurrency group.") == 1
    assert f"It is queued. {reason.partition(first.id)[0]}" in text
    text = words(await shown(client, f"/explain?q={'c' * 40}"))
    assert f"Waits for build {first.id}" in text
    assert f"Waits for build {first.id}" in part(await shown(client, f"/builds/{second.id}"), "remarks")


async def test_a_long_queue_is_shown_in_parts(house: House, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_page, "LIMIT", 2)
    monkeypatch.setattr(queue_page.make_context, "__kwdefaults__", {"limit": 2})
    for number in range(5):
        await house.add_build(factories.make_build(title=f"build {number}"))
    path, found = "/queue", []
    while path:
        html = await shown(client, path)
        found += re.findall(r'class="row-title"[^>]*>([^<]+)<', html)
        older = re.search(r'href="(\?[^"]+)">Older', html)
        path = f"/queue{older.group(1)}" if older else ""
    assert found == [f"build {number}" for number in reversed(range(5))]
    assert (await client.get("/queue?before=x")).status == 400


@pytest.mark.parametrize(
    ("changes", "of", "says"),
    [
        ({"state": State.RUNNING}, {}, None),
        ({"state": State.PASSED}, {}, None),
        ({"state": State.QUEUED}, {}, "a free place on the engine local"),
        ({"state": State.QUEUED, "reason": "Two of them run."}, {}, "Two of them run."),
        ({"state": State.QUEUED, "cancel_requested_at": factories.NOW}, {}, "is being cancelled"),
        ({"state": State.WAITING}, {"state": build.State.WAITING}, "lets it run"),
        ({"state": State.WAITING}, {"state": build.State.RUNNING}, "its turn"),
    ],
)
def test_a_job_says_why_it_waits(changes: dict[str, Any], of: dict[str, Any], says: str | None) -> None:
    one = factories.make_job(**changes)
    told = waiting.why(one, of=factories.make_build(**of), of_build=[one])
    assert told is None if says is None else says in (told or "")


def test_of_many_needs_a_few_are_named() -> None:
    needs = [factories.make_job(plan=factories.make_plan(key=f"k{n}", name=f"n{n}")) for n in range(9)]
    done = factories.make_job(plan=factories.make_plan(key="done", name="done"), state=State.PASSED)
    plan = factories.make_plan(needs=("done", *(f"k{n}" for n in range(9))))
    one = factories.make_job(plan=plan, state=State.WAITING)
    told = waiting.why(one, of=factories.make_build(), of_build=[*needs, done, one])
    assert told == "It waits until n0, n1, n2, n3, n4 and 4 more have ended."


async def test_the_engines_show_what_runs_on_each_and_how_it_went_there(house: House, client: Client) -> None:
    await serve(house)
    for number, state in enumerate((State.PASSED, State.ERRORED, State.RUNNING)):
        await house.add_job(
            state=state,
            engine="big",
            of=factories.make_build(title=f"Build {number}"),
            finished_at=factories.NOW if state in job.FINAL else None,
        )
    html = await shown(client, "/engines")
    text = words(html)
    assert "2 jobs ended, 1 could not be run" in text
    assert "Build 2" in text
    assert "Build 0" not in text
    assert "Active worker-1" in text
    assert "no more: no new job comes to it" in text
    house.now += timedelta(hours=1)
    assert "Silent worker-1" in words(await shown(client, "/engines"))


async def test_the_last_test_of_a_sandbox_is_told_or_that_there_was_none(house: House, client: Client) -> None:
    await serve(house)
    assert "Never tried on this machine: run buildhook engines test local" in words(await shown(client, "/engines"))
    for test in (
        factories.make_self_test(host="worker-2", held=30, escaped=("a file <of> this host",), untried=("a device",)),
        factories.make_self_test(host=platform.node(), kernel="1.2.3", held=29),
        factories.make_self_test(host=platform.node(), kernel="1.2.3", held=31),
        factories.make_self_test(engine="gone", host=platform.node()),
    ):
        await house.store.write(self_tests.save, test)
    house.now = factories.NOW + timedelta(hours=1)
    text = words(await shown(client, "/engines"))
    here, there = "31 of 31 attempts were held.", "30 of 31 attempts were held; got out: a file &lt;of&gt; this host;"
    assert f"{here} 1 h ago on this machine That was on kernel 1.2.3; it is {platform.release()} by now" in text
    assert f"{there} not tried: a device. 1 h ago on worker-2" in text
    assert text.index(here) < text.index(there)
    assert "Never tried" not in text
    assert "29 of 29" not in text


async def test_of_machines_that_are_gone_nothing_is_kept(house: House) -> None:
    for test in (
        factories.make_self_test(host="gone", tried_at=factories.NOW - self_tests.KEPT - timedelta(seconds=1)),
        factories.make_self_test(host="there", tried_at=factories.NOW - self_tests.KEPT),
        factories.make_self_test(host="new"),
    ):
        await house.store.write(self_tests.save, test)
    assert [one.host for one in await house.store.read(self_tests.list_all)] == ["new", "there"]


def test_engines_stand_in_the_order_of_the_settings_with_those_of_earlier_jobs_behind() -> None:
    known = engine.Engines(
        all=(engine.Engine(name="gpu", labels=("cuda",)), engine.Engine(name="local", is_default=True)), max_jobs=3
    )
    ended = active.Ended(engine="gone", state=State.PASSED, count=4, newest_at=factories.NOW)
    pause = pauses.Pause(reason="It was restored.", at=factories.NOW)
    found = engines_page.Found(ended=[ended], pause=pause)
    context = engines_page.make_context(known, found, now=factories.NOW)
    assert [(row.name, row.ended, row.errored) for row in context.rows] == [
        ("local", 0, 0),
        ("gpu", 0, 0),
        ("gone", 4, 0),
    ]
    assert context.trouble == "The service stands still: It was restored."
    assert not context.is_live
