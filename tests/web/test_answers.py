"""Buttons, errors, the raw log and health: each answers in one shape and gives nothing away."""

from __future__ import annotations

import asyncio
import gzip
import json
import sqlite3
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from structlog.testing import capture_logs

import bot
from bot import errors, telemetry
from bot import web as dashboard
from bot.model import job
from bot.web import error_pages, health
from tests import factories
from tests.web.conftest import Client
from tests.web.house import HTML, House

OWN = {"Sec-Fetch-Site": "same-origin"}


# Buttons.


@pytest.mark.parametrize("verb", ["cancel", "retry", "retry-failed"])
async def test_a_build_button_acts_and_leads_to_the_build(house: House, client: Client, verb: str) -> None:
    build_id = factories.new_id()
    answer = await client.post(f"/builds/{build_id}/{verb}", headers=OWN, allow_redirects=False)
    assert answer.status == 303
    assert house.asked == [(verb, build_id)]
    target = answer.headers["Location"]
    assert target.startswith("/builds/")
    assert (target == f"/builds/{build_id}") == (verb == "cancel")


async def test_a_delivery_is_replayed(house: House, client: Client) -> None:
    answer = await client.post("/deliveries/abc-1/replay", headers=OWN, allow_redirects=False)
    assert (answer.status, answer.headers["Location"]) == (303, "/deliveries/abc-1")
    assert house.asked == [("replay", "abc-1")]


async def test_a_build_is_started_from_the_page_of_its_repository(house: House, client: Client) -> None:
    form = {"ref": " topic ", "inputs": "level=debug\n\n dry = true \n"}
    answer = await client.post("/repos/octo/hello/start", data=form, headers=OWN, allow_redirects=False)
    assert answer.status == 303
    assert answer.headers["Location"].startswith("/deliveries/")
    assert house.asked == [("start", "octo/hello topic {'level': 'debug', 'dry': 'true'}")]
    await client.post("/repos/octo/hello/start", headers=OWN, allow_redirects=False)
    assert house.asked[1] == ("start", "octo/hello None {}")
    wrong = await client.post("/repos/octo/hello/start", data={"inputs": "level"}, headers=OWN)
    assert (wrong.status, len(house.asked)) == (409, 2)
    foreign = {"Sec-Fetch-Site": "cross-site"}
    assert (await client.post("/repos/octo/hello/start", data=form, headers=foreign)).status == 403
    assert len(house.asked) == 2


@pytest.mark.parametrize(
    ("refusal", "status", "says"),
    [
        (errors.NotFound("There is no build X."), 404, "There is no build X."),
        (errors.Conflict("It has ended already."), 409, "It has ended already."),
        (errors.StoreUnavailable(), 503, "The database cannot be written right now."),
        (errors.GitHubUnavailable("GitHub did not answer."), 503, "GitHub did not answer."),
        (errors.Forbidden("The App lacks checks: write."), 502, "The App lacks checks: write."),
        (errors.BuildhookError("secret detail"), 500, "Something went wrong here."),
        (RuntimeError("secret detail"), 500, "Something went wrong here."),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
async def test_what_an_action_refuses_becomes_a_page_and_json(
    house: House, client: Client, refusal: Exception, status: int, says: str
) -> None:
    house.refusal = refusal
    path = f"/builds/{factories.new_id()}/retry"
    page = await client.post(path, headers={**OWN, **HTML}, allow_redirects=False)
    assert page.status == status
    assert says in await page.text()
    assert "secret detail" not in await page.text()
    answer = await client.post(path, headers=OWN, allow_redirects=False)
    body = await answer.json()
    assert set(body) == {"error"}
    assert body["error"]["status"] == answer.status == status
    assert says in body["error"]["text"]


async def test_an_unforeseen_error_is_logged_once_with_its_trace(house: House, client: Client) -> None:
    house.refusal = RuntimeError("boom")
    with capture_logs() as logged:
        await client.post(f"/builds/{factories.new_id()}/cancel", headers=OWN)
    assert [line["log_level"] for line in logged] == ["error"]
    assert isinstance(logged[0]["exc_info"], RuntimeError)


async def test_a_clients_mistake_is_not_logged_as_trouble(client: Client) -> None:
    with capture_logs() as logged:
        await client.get("/nothing")
        await client.post("/", headers=OWN)
        await client.get("/?state=x")
    assert logged == []


# Errors.


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nothing", 404), ("POST", "/", 405), ("DELETE", "/deliveries", 405), ("GET", "/?state=x", 400)],
)
async def test_errors_have_one_shape(client: Client, method: str, path: str, status: int) -> None:
    answer = await client.request(method, path, headers=OWN)
    assert answer.status == status
    body = await answer.json()
    assert set(body["error"]) == {"status", "text"}
    assert body["error"]["status"] == status
    assert body["error"]["text"].endswith((".", "`."))
    page = await client.request(method, path, headers={**OWN, **HTML})
    assert page.status == status
    assert page.content_type == "text/html"
    assert (await page.text()).startswith("<!doctype html>")


async def test_405_says_what_is_allowed(client: Client) -> None:
    answer = await client.post("/", headers=OWN)
    assert sorted(answer.headers["Allow"].split(",")) == ["GET", "HEAD"]


def test_every_status_has_words() -> None:
    for status in (400, 403, 404, 405, 409, 413, 500, 502, 503):
        context = error_pages.make_context(status)
        assert context.text.endswith(".")
        assert context.title


@pytest.mark.parametrize(
    ("accept", "is_html"),
    [("text/html", True), ("text/html,*/*;q=0.8", True), ("*/*", False), ("application/json", False), ("", False)],
)
async def test_people_get_pages_and_programs_get_json(client: Client, accept: str, is_html: bool) -> None:
    answer = await client.get("/nothing", headers={"Accept": accept})
    assert (answer.content_type == "text/html") is is_html


# The raw log.


async def test_the_raw_log_is_the_bytes_as_plain_text(house: House, client: Client) -> None:
    data = bytes(range(256)) * 9000 + b"<script>alert(1)</script>"
    one = await house.add_job(log=data)
    answer = await client.get(f"/jobs/{one.id}/log", headers=HTML)
    assert await answer.read() == data
    assert answer.content_type == "text/plain"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "Content-Disposition" not in answer.headers
    head = await client.head(f"/jobs/{one.id}/log")
    assert (head.headers["Content-Length"], await head.read()) == (str(len(data)), b"")


async def test_the_raw_log_can_be_saved_under_a_name_of_ours(house: House, client: Client) -> None:
    one = await house.add_job(log=b"x")
    answer = await client.get(f"/jobs/{one.id}/log?download")
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{one.id}.log"'


async def test_the_raw_log_can_be_saved_packed(house: House, client: Client) -> None:
    data = bytes(range(256)) * 9000
    one = await house.add_job(log=data)
    answer = await client.get(f"/jobs/{one.id}/log?download=gz")
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{one.id}.log.gz"'
    assert (answer.content_type, "Content-Encoding" in answer.headers) == ("application/gzip", False)
    packed = await answer.read()
    assert len(packed) < len(data) // 4
    assert gzip.decompress(packed) == data


async def test_the_log_of_no_job_is_404_and_an_empty_one_is_empty(house: House, client: Client) -> None:
    assert (await client.get(f"/jobs/{factories.new_id()}/log")).status == 404
    one = await house.add_job(state=job.State.QUEUED)
    answer = await client.get(f"/jobs/{one.id}/log")
    assert (answer.status, await answer.read()) == (200, b"")


# Health.


async def test_the_process_is_alive_whatever_else_is_broken(house: House, client: Client) -> None:
    house.trouble = "the reporter stopped"
    answer = await client.get("/livez")
    assert (answer.status, await answer.text()) == (200, "ok\n")


async def test_only_a_loop_that_turns_no_more_is_not_alive() -> None:
    trouble: list[str | None] = [None]
    application = web.Application()
    readiness = dashboard.Readiness({})
    application.add_routes(
        health.routes(readiness, metrics=telemetry.Metrics(), refresh=None, why_wedged=lambda: trouble[0])
    )
    async with TestClient(TestServer(application)) as client:
        assert await (await client.get("/livez?verbose")).text() == "[+]loop ok\nalive\n"
        trouble[0] = "the event loop is 12 s late"
        answer = await client.get("/livez")
        assert (answer.status, await answer.text()) == (503, "[-]loop the event loop is 12 s late\nwedged\n")


async def test_the_version_is_told_to_whoever_has_access(client: Client) -> None:
    assert await (await client.get("/version")).json() == {"version": bot.__version__}
    assert (await client.get("/version", headers={"Host": "example.com"})).status == 404


@pytest.mark.parametrize("path", ["/readyz", "/healthz"])
async def test_readiness_names_each_check(house: House, client: Client, path: str) -> None:
    assert await (await client.get(path)).text() == "ok\n"
    lines = (await (await client.get(f"{path}?verbose")).text()).splitlines()
    assert lines == ["[+]db ok", "[+]loops ok", "[+]proxies ok", "[+]draining ok", "ready"]
    house.trouble = "the reporter\nstopped"
    answer = await client.get(path)
    assert answer.status == 503
    assert (await answer.text()).splitlines() == [
        "[+]db ok",
        "[-]loops the reporter\\nstopped",
        "[+]proxies ok",
        "[+]draining ok",
        "not ready",
    ]


async def test_readiness_tells_what_the_operator_should_know_although_deliveries_are_taken() -> None:
    async def note() -> str | None:
        return "paused: restored from a secret place; comparing with GitHub"

    application = web.Application()
    readiness = dashboard.Readiness({}, note=note)
    application.add_routes(health.routes(readiness, metrics=telemetry.Metrics(), refresh=None))
    async with TestClient(TestServer(application)) as client:
        answer = await client.get("/readyz")
        assert (answer.status, (await answer.text()).splitlines()) == (
            200,
            [
                "[+]work paused: restored from a secret place; comparing with GitHub",
                "[+]proxies ok",
                "[+]draining ok",
                "ready",
            ],
        )
        stranger = await client.get("/readyz", headers={"Host": "example.com"})
        assert (stranger.status, "[+]work ok: note withheld" in await stranger.text()) == (200, True)


async def test_strangers_learn_which_check_failed_but_not_why(house: House, client: Client) -> None:
    house.trouble = "the disk at a secret place is full"
    answer = await client.get("/readyz?verbose", headers={"Host": "example.com"})
    assert answer.status == 503
    text = await answer.text()
    assert "[-]loops failed: reason withheld" in text
    assert "secret place" not in text


async def test_a_service_that_is_about_to_stop_is_not_ready_but_alive(house: House, client: Client) -> None:
    house.readiness.drain()
    assert (await client.get("/readyz")).status == 503
    assert (await client.get("/livez")).status == 200


async def test_a_database_that_cannot_be_written_is_not_ready(house: House, client: Client) -> None:
    # Another process holds the write lock and does not let go.
    await house.store.write(lambda connection: connection.exec_driver_sql("PRAGMA busy_timeout=1"))

    def hold() -> sqlite3.Connection:
        other = sqlite3.connect(house.store.path, check_same_thread=False)
        other.execute("BEGIN IMMEDIATE")
        return other

    other = await asyncio.to_thread(hold)
    answer = await client.get("/readyz")
    assert answer.status == 503
    assert "[-]db The database cannot be used" in await answer.text()
    await asyncio.to_thread(other.close)
    assert (await client.get("/readyz")).status == 200


async def test_checks_that_hang_or_break_are_trouble_and_asking_often_asks_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bot.web.health.CHECK_TIMEOUT_SECONDS", 0.01)
    calls: list[str] = []

    async def hangs() -> str | None:
        calls.append("hangs")
        await asyncio.Event().wait()
        return None

    async def breaks() -> str | None:
        raise RuntimeError("boom")

    async def is_down() -> str | None:
        raise errors.StoreUnavailable("The disk is full.")

    readiness = dashboard.Readiness({"a": hangs, "b": breaks, "c": is_down}, fresh_seconds=60)
    with capture_logs():
        found = {one.name: one.trouble for one in await readiness.look()}
    assert "no answer" in str(found["a"])
    assert "boom" not in str(found["b"])
    assert found["c"] == "The disk is full."
    assert found["draining"] is None
    await readiness.look()
    assert calls == ["hangs"]


async def test_metrics_are_fresh_and_in_the_format_of_prometheus(house: House, client: Client) -> None:
    await house.add_delivery()
    answer = await client.get("/metrics")
    assert answer.content_type == "text/plain"
    assert "version=" in answer.headers["Content-Type"]
    assert "buildhook_inbox_depth 1.0" in await answer.text()


async def test_json_errors_are_json_for_any_text(house: House, client: Client) -> None:
    house.refusal = errors.Conflict('quote " and <tag> \u202e')
    answer = await client.post(f"/builds/{factories.new_id()}/cancel", headers=OWN)
    body: dict[str, Any] = json.loads(await answer.read())
    assert body["error"]["text"] == 'quote " and <tag> \u202e'
    assert answer.headers["Content-Type"].startswith("application/json")
