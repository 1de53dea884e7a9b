"""T92: badges and feeds tell of public repositories, and of private ones to who shows their token; else nothing."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from lxml import etree

from bot.model import audit, build, job, outcome
from bot.store import audit as entries
from bot.store import installations, repositories
from bot.web import badge
from tests import factories
from tests.web import gate as gates
from tests.web.conftest import Client
from tests.web.gate import Gate
from tests.web.house import House
from tests.web.test_browser import XSS
from tests.web.test_contrast import contrast

ATOM = "{http://www.w3.org/2005/Atom}"
SAFE = etree.XMLParser(resolve_entities=False, no_network=True)


@pytest.fixture
async def gate(tmp_path: Path) -> AsyncIterator[Gate]:
    async with gates.gate(tmp_path) as opened:
        yield opened


async def ended(house: House, state: str, **changes: Any) -> build.Build:
    new = await house.add_build(factories.make_build(**changes))
    await house.save_build(new.build.id, state=build.State(state))
    return new.build


async def seen(house: House, repository_id: int, *, is_public: bool | None, is_asked: bool = False) -> None:
    told = outcome.Visibility(repository_id=repository_id, is_public=is_public, is_asked=is_asked)
    await house.store.write(repositories.note, told, now=house.now)


async def three(gate: Gate) -> None:
    """A private and a public repository, each with a build that failed."""
    for of, name in ((gate.hello, "octo/hello"), (gate.open, "other/open")):
        await ended(gate.house, "failed", repository_id=of.id, repository=name, title=f"secret of {name}")
        await seen(gate.house, of.id, is_public=not of.is_private)


async def everything(gate: Gate, path: str) -> tuple[int, dict[str, str], bytes]:
    """An answer to a stranger, with all that could tell one from another."""
    answer = await gate.ask("GET", path)
    told = {name: value for name, value in answer.headers.items() if name != "Date"}
    return answer.status, told, await answer.read()


@pytest.mark.parametrize("kind", ["svg", "json"])
async def test_t92_a_private_badge_is_like_that_of_a_repository_that_is_not_there(gate: Gate, kind: str) -> None:
    await three(gate)
    unknown = await everything(gate, f"/badge/octo/nothing.{kind}")
    assert unknown[0] == 200
    assert b"unknown" in unknown[2]
    for path in ("octo/hello.KIND", "octo/hello.KIND?branch=main", "octo/hello.KIND?token=bhb_wrong", "o/h.KIND"):
        assert await everything(gate, f"/badge/{path.replace('KIND', kind)}") == unknown
    public = await everything(gate, f"/badge/other/open.{kind}")
    assert b"failing" in public[2]
    assert await everything(gate, f"/badge/other/open.{kind}?branch=none") == unknown


async def test_t92_a_private_feed_is_like_one_that_is_not_there(gate: Gate) -> None:
    await three(gate)
    unknown = await everything(gate, "/feed/octo/nothing.atom")
    assert unknown[0] == 404
    assert await everything(gate, "/feed/octo/hello.atom") == unknown
    assert await everything(gate, "/feed/octo/hello.atom?token=bhb_wrong") == unknown
    public = await everything(gate, "/feed/other/open.atom")
    assert public[0] == 200
    assert b"secret of other/open" in public[2]


async def test_t92_a_token_shows_its_own_repository_until_the_next_one_is_made(gate: Gate) -> None:
    await three(gate)
    for login in ("reader", "writer"):
        await gate.sign_in(login)
    path = "/repos/octo/hello/badge-token"
    assert (await gate.ask("POST", path, login="reader")).status == 403
    answer = await gate.ask("POST", path, login="writer")
    assert answer.status == 200
    assert "/badge/octo/hello.svg?token=bhb_made" in await answer.text()
    assert b"failing" in (await everything(gate, "/badge/octo/hello.svg?token=bhb_made"))[2]
    assert (await everything(gate, "/feed/octo/hello.atom?token=bhb_made"))[0] == 200
    unknown = await everything(gate, "/badge/octo/nothing.svg")
    assert await everything(gate, "/badge/octo/hello.svg") == unknown
    assert await everything(gate, "/badge/other/secret.svg?token=bhb_made") == unknown
    (entry,) = await gate.house.store.read(entries.list_newest, limit=9)
    assert (entry.action, entry.actor_id) == (audit.Action.BADGE_TOKEN, gate.github.user("writer").id)
    # As when the next one is made.
    await gate.house.store.write(repositories.set_badge_digest, gate.hello.id, b"n" * 32, now=gate.house.now)
    assert await everything(gate, "/badge/octo/hello.svg?token=bhb_made") == unknown


async def test_t92_what_became_private_is_unknown_at_once_whatever_came_late(gate: Gate) -> None:
    await three(gate)
    unknown = await everything(gate, "/badge/octo/nothing.svg")
    for is_public in (False, True):
        # A push from before still says that it is public.
        await seen(gate.house, gate.open.id, is_public=is_public)
        assert await everything(gate, "/badge/other/open.svg") == unknown
    await seen(gate.house, gate.open.id, is_public=True, is_asked=True)
    assert b"failing" in (await everything(gate, "/badge/other/open.svg"))[2]
    gone = factories.make_installation(state="deleted")
    await gate.house.store.write(installations.save, gone)
    assert await everything(gate, "/badge/other/open.svg") == unknown
    await gate.house.store.write(installations.save, factories.make_installation(id=9))
    await seen(gate.house, gate.open.id, is_public=None)
    assert await everything(gate, "/badge/other/open.svg") == unknown


async def test_what_nothing_is_kept_of_is_forgotten(house: House) -> None:
    await ended(house, "passed")
    for repository_id in (factories.REPOSITORY_ID, 5):
        await seen(house, repository_id, is_public=True)
    assert await house.store.write(repositories.forget_unbuilt) == 1
    assert await house.store.read(repositories.is_told, factories.REPOSITORY_ID, digest=None)


async def test_a_badge_tells_the_newest_end_of_the_branch_and_is_asked_for_anew(house: House, client: Client) -> None:
    payload = {"repository": {"default_branch": "trunk"}}
    await ended(house, "failed", ref="refs/heads/trunk", payload=payload)
    await ended(house, "passed", ref="refs/heads/trunk", payload=payload)
    await ended(house, "cancelled", ref="refs/heads/trunk", payload=payload)
    await ended(house, "errored", ref="refs/heads/side", payload=payload)
    await house.add_build(factories.make_build(ref="refs/heads/trunk", payload=payload))
    await house.add_build(factories.make_pull_build(payload=payload))
    answer = await client.get("/badge/octo/hello.svg")
    text = await answer.text()
    assert answer.content_type == "image/svg+xml"
    assert answer.headers["Cache-Control"] == "no-cache, max-age=0"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert "<title>build: passing</title>" in text
    assert etree.fromstring(text.encode(), SAFE).get("aria-label") == "build: passing"
    again = await client.get("/badge/octo/hello.svg", headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status, await again.read()) == (304, b"")
    side = await (await client.get("/badge/octo/hello.json?branch=side")).json()
    assert side == {"schemaVersion": 1, "label": "build", "message": "errored", "color": "#9a4a00", "isError": False}


async def message(client: Client, query: str) -> str:
    answer = await client.get(f"/badge/octo/hello.json{query}")
    assert answer.status == 200
    said: str = (await answer.json())["message"]
    return said


async def test_a_badge_is_about_the_events_of_the_branch_that_it_names(house: House, client: Client) -> None:
    payload = {"repository": {"default_branch": "main"}}
    for event, state in (
        ("push", "failed"),
        ("schedule", "passed"),
        ("hook", "errored"),
        ("workflow_dispatch", "failed"),
    ):
        await ended(house, state, event=event, payload=payload)
    await house.add_build(factories.make_build(payload=payload, event="schedule"))
    for base, state in (("main", "timed_out"), ("next", "errored"), ("main", "cancelled")):
        new = await house.add_build(factories.make_pull_build(base_ref=base, payload=payload))
        await house.save_build(new.build.id, state=build.State(state))
    queue = {"event": "merge_group", "ref": "refs/heads/gh-readonly-queue/main/pr-7", "base_ref": "main"}
    await ended(house, "passed", payload=payload, **queue)
    said = {
        "": "passing",
        "?event=push": "failing",
        "?event=schedule": "passing",
        "?event=hook": "errored",
        "?event=workflow_dispatch,push": "failing",
        "?event=pull_request": "timed out",
        "?event=pull_request&branch=next": "errored",
        "?event=push, pull_request": "timed out",
        "?event=merge_group,pull_request": "passing",
        "?event=push&branch=next": "unknown",
        "?branch=gh-readonly-queue/main/pr-7": "unknown",
        "?event=": "passing",
    }
    assert {query: await message(client, query) for query in said} == said


async def test_a_badge_is_about_the_newest_end_of_the_job_that_it_names(house: House, client: Client) -> None:
    payload = {"repository": {"default_branch": "main"}}
    matrix = [{"group": "unit", "key": f"unit ({one})", "name": f"Unit on {one}"} for one in ("3.12", "3.13")]

    async def built(*states: str) -> None:
        plans = [{"key": "lint", "name": "Lint it"}, *matrix, {"key": "late", "name": "late"}]
        its = [factories.make_job(plan=factories.make_plan(**plan)) for plan in plans]
        new = await house.add_build(factories.make_build(payload=payload), *its)
        for one, state in zip(new.jobs, states, strict=True):
            await house.save_job(one, state=job.State(state))

    await built("passed", "passed", "passed", "timed_out")
    # Still running, but for the jobs that ended.
    await built("failed", "passed", "errored", "running")
    await built("cancelled", "queued", "skipped", "waiting")
    said = {
        "Lint it": "failing",
        "lint": "failing",
        "Unit on 3.12": "passing",
        "unit (3.13)": "errored",
        "unit": "errored",
        "late": "timed out",
        "buildhook / Lint it": "unknown",
        "none": "unknown",
    }
    assert {name: await message(client, f"?job={quote(name)}") for name in said} == said
    assert await message(client, "?job=lint&event=pull_request") == "unknown"


async def test_a_badge_of_an_event_is_found_behind_many_other_builds_of_the_branch(
    house: House, client: Client
) -> None:
    await ended(house, "failed", event="schedule")
    for _ in range(30):
        await ended(house, "passed")
    assert await message(client, "?event=schedule") == "failing"


HOSTILE = (*XSS, "%", "_", "' OR '1'='1", "\x00", "\x1b[31m\u202e", "x" * 5_000, "*", "push,*", "," * 5_000, "Push")


@pytest.mark.parametrize("kind", ["svg", "json"])
async def test_t92_hostile_names_show_the_same_badge_as_what_is_not_there(gate: Gate, kind: str) -> None:
    await three(gate)
    unknown = await everything(gate, f"/badge/octo/nothing.{kind}")
    for name, text in itertools.product(("branch", "event", "job"), HOSTILE):
        query = urlencode({name: text})
        assert await everything(gate, f"/badge/octo/hello.{kind}?{query}") == unknown
        is_like_none = name == "event" and not text.strip(",")
        assert (await everything(gate, f"/badge/other/open.{kind}?{query}") == unknown) != is_like_none, query


def test_every_badge_can_be_read_and_says_in_text_what_its_colour_says() -> None:
    for state in (None, *build.State):
        one = badge.look(state)
        assert (one == badge.UNKNOWN) == (state not in badge.TELLING)
        assert contrast("#ffffff", one.color) >= 4.5
        drawn = badge.svg(one)
        assert f"<title>build: {one.message}</title>" in drawn
        assert "style" not in drawn
        assert "script" not in drawn


async def test_t84_hostile_text_is_only_text_in_feeds(house: House, client: Client) -> None:
    for number, text in enumerate((*XSS, "\x00\x1b[31m\ufffe\uffff]]><!--\u202e")):
        await ended(house, "failed", title=text, sender=text, head_sha=f"{number:040x}", ref=f"refs/heads/{text}")
    answer = await client.get("/feed/octo/hello.atom")
    assert answer.content_type == "application/atom+xml"
    feed = etree.fromstring(await answer.read(), SAFE)
    found = feed.findall(f"{ATOM}entry")
    assert len(found) == len(XSS) + 1
    assert {one.tag for one in feed.iter()} <= {
        ATOM + name for name in ("feed", "id", "title", "updated", "link", "entry", "author", "name", "summary")
    }
    titles = [one.findtext(f"{ATOM}title") or "" for one in reversed(found)]
    assert titles[0] == f"Failed: {XSS[0]}"
    assert "\u202e" not in titles[-1]
    assert "U+202E" in titles[-1]
    for one in feed.iter(f"{ATOM}link"):
        assert (one.get("href") or "").startswith("/")


async def test_t91_desktop_widgets_are_told_of_what_may_be_seen(gate: Gate) -> None:
    await three(gate)
    await ended(gate.house, "passed", repository_id=gate.secret.id, repository="other/secret", head_sha="a" * 40)
    await gate.house.add_build(
        factories.make_build(repository_id=gate.hello.id, repository="octo/hello", head_sha="b" * 40)
    )
    await gate.sign_in("reader")
    await gate.sign_in(gates.OPERATOR)
    assert (await gate.ask("GET", "/cc.xml")).status == 401

    async def projects(login: str) -> list[tuple[str | None, str | None, str | None]]:
        answer = await gate.ask("GET", "/cc.xml", login=login)
        assert answer.headers["Cache-Control"] == "no-cache, max-age=0"
        found = etree.fromstring(await answer.read(), SAFE)
        assert all((one.get("webUrl") or "").startswith(f"{gates.URL}/repos/") for one in found)
        return [(one.get("name"), one.get("activity"), one.get("lastBuildStatus")) for one in found]

    own = ("octo/hello", "Building", "Failure")
    assert await projects("reader") == [own]
    assert await projects(gates.OPERATOR) == [
        own,
        ("other/open", "Sleeping", "Failure"),
        ("other/secret", "Sleeping", "Success"),
    ]
