"""Mistakes on GitHub, planted in the simulator, each named with its remedy."""

from __future__ import annotations

import asyncio
import functools
import re
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from bot import app, clock
from bot.doctor import ask_github
from bot.engines import contract
from bot.engines.local import cgroups
from bot.settings import load
from bot.store import Store
from tests.doctor.conftest import Place


@functools.cache
def another_key() -> str:
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    ).decode()


@pytest.fixture
async def served(place: Place, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Place]:
    """The installation with its service, as the webhook finds it."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        place.settings["port"] = held.getsockname()[1]
    place.github.webhook_url = f"http://127.0.0.1:{place.settings['port']}/webhook"
    with monkeypatch.context() as given:
        for name, value in place.environment().items():
            given.setenv(name, value)
        settings = load()
    async with app.running(settings):
        yield place


@pytest.fixture
def has_no_groups(tmp_path: Path) -> bool:
    """Whether this machine lets nobody limit jobs."""
    held = cgroups.find(tmp_path, contract.JobLimits(memory_bytes=1 << 30, processes=100))
    held.close()
    return held.problem is not None


async def _at_rest(data: Path) -> list[Path]:
    """All that lies in the data folder while nobody tries a sandbox there, as a service does beside its start."""
    folders = [data / "engine" / name for name in ("probes", "trash")]
    async with asyncio.timeout(20):
        while any(any(one.iterdir()) for one in folders):
            await asyncio.sleep(0.01)
    return sorted(data.rglob("*"))


async def test_a_healthy_installation_is_fine(served: Place, has_no_groups: bool) -> None:
    served.github.required_checks("octo/hello", "main", {"buildhook": served.github.app_id, "lint": None})
    await served.ping(202)
    before = await _at_rest(served.data)
    report = await served.doctor()
    # What an unprivileged user may not do on the machine of the tests is no mistake of the doctor.
    allowed = {"limits"} if has_no_groups else set()
    assert report.wrong().keys() <= allowed
    assert [one["check"] for one in report.lines if one["state"] != "fine" and one["check"] not in allowed] == []
    assert len(report.lines) >= 30
    # Nothing is left behind, on this machine or on GitHub.
    assert await _at_rest(served.data) == before
    assert {one.method for one in served.github.requests if "access_tokens" not in one.path} == {"GET"}
    store = await Store(f"sqlite:///{served.data / 'buildhook.db'}").open()
    assert len(await store.read(lambda connection: connection.exec_driver_sql("SELECT 1 FROM deliveries").all())) == 1
    await store.close()


async def test_another_secret_at_github_shows_in_the_answers_of_the_door(served: Place) -> None:
    await served.ping(202)
    served.github.webhook_secret = "another-secret-of-somebody"
    await served.ping(401)
    await served.ping(401)
    report = await served.doctor()
    assert report.wrong().keys() - {"limits"} == {"webhook-secret"}
    report.tells("webhook-secret", "refused with 401", "another secret", "Write the same secret in both places")
    served.github.webhook_secret = "0123456789abcdef"
    await served.ping(202)
    assert "webhook-secret" not in (await served.doctor()).wrong()


async def test_another_program_answers_at_the_webhook_and_at_our_port(place: Place) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=404, text="nginx")

    application = web.Application()
    application.router.add_route("*", "/{tail:.*}", answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    place.github.webhook_url = f"http://127.0.0.1:{port}/webhook"
    await place.ping(404)
    report = await place.doctor(port=port)
    await runner.cleanup()
    assert report.wrong().keys() - {"limits"} == {"door", "service", "deliveries"}
    report.tells("door", "something else (404)", "let the proxy pass POST /webhook on")
    report.tells("service", "Something else than buildhook", "Choose another port")
    report.tells("deliveries", "answered with 404", "the path is /webhook")


async def test_nothing_runs(place: Place) -> None:
    place.github.webhook_url = "http://127.0.0.1:9/webhook"
    await place.ping(502)
    report = await place.doctor(port=9)
    assert report.wrong().keys() - {"limits"} == {"door", "service", "deliveries"}
    report.tells("service", "Nothing answers at http://127.0.0.1:9/webhook", "`buildhook serve`")
    report.tells("door", "cannot be reached", "that the service runs")
    report.tells("deliveries", "answered with 502 (failed to connect to host)", "firewall")


async def test_mistakes_of_the_webhook_are_named(place: Place) -> None:
    place.github.webhook_url, place.github.webhook_secret = "http://builds.invalid/hook", None
    place.github.hooks.is_insecure = True
    report = await place.doctor(public_url="https://ci.invalid/x", webhook_secret="0123456789abcdef")
    mend = "Write https://ci.invalid/x/webhook there"
    report.tells("webhook-address", "is not https", mend)
    report.tells("webhook-address", "leads to builds.invalid", "BUILDHOOK_PUBLIC_URL", mend)
    report.tells("webhook-address", "path is /hook, and the door is at /x/webhook", mend)
    report.tells("webhook-certificate", "insecure_ssl", "Enable SSL verification")
    report.tells("webhook-secret", "has no secret", "openssl rand")
    report.tells("door", "builds.invalid", "cannot be reached")
    report = await place.doctor(public_url=None, webhook_secret="0123456789abcdef")
    report.tells("public-url", "BUILDHOOK_PUBLIC_URL", "this machine only", "Set it to the address")
    place.github.webhook_url = None
    report = await place.doctor(public_url=None, webhook_secret="0123456789abcdef")
    report.tells("webhook-address", "has no webhook", "<your host>/webhook")
    assert report.of("door")[0]["what"] == "Not asked: the App has no webhook."


async def test_missing_permissions_and_events_are_named_one_by_one(place: Place) -> None:
    github = place.github
    github.app.permissions = {"checks": "read", "contents": "read", "metadata": "read", "pull_requests": "write"}
    github.app.events -= {"merge_group", "push"}
    github.grant("octo", {"checks": "read", "contents": "read", "metadata": "read", "pull_requests": "read"})
    report = await place.doctor()
    wrong = report.wrong()
    assert [one.split("`")[3] for one in wrong["permissions"]] == [
        "checks: write",
        "statuses: write",
        "merge_queues: read",
    ]
    report.tells("permissions", "`Permissions & events`", "Add it as app.yml says")
    # What the App does not ask for cannot be accepted.
    report.tells("accepted-permissions", "octo has not accepted", "yet: pull_requests: write.", "Review request")
    assert len(wrong["accepted-permissions"]) == 1
    assert len(wrong["events"]) == 2
    report.tells("events", "event `push`", "Subscribe to it")
    # Its tokens are not given, so what is required there is not known.
    report.tells("required-known", "octo/hello", "has not accepted what the App needs")


async def test_an_app_that_is_suspended_or_nowhere_installed(place: Place) -> None:
    place.github.suspend("octo")
    (await place.doctor()).tells("installations", "octo is suspended", "An owner lifts it")
    place.github.uninstall("octo")
    (await place.doctor()).tells("installations", "installed nowhere", "Install App")


async def test_wrong_credentials_are_told_apart(place: Place) -> None:
    report = await place.doctor(app_id=place.github.app_id + 7)
    report.tells("app-key", "BUILDHOOK_APP_ID", "no App with this id", "`App ID`")
    assert {one["state"] for one in report.of("permissions") + report.of("door")} == {"unknown"}
    report = await place.doctor(private_key=another_key())
    report.tells("app-key", "BUILDHOOK_PRIVATE_KEY", "not one of this App's", "Generate a private key")
    report = await place.doctor(private_key="-----BEGIN RSA PRIVATE KEY-----\nnothing\n-----END RSA PRIVATE KEY-----")
    report.tells("app-key", "BUILDHOOK_PRIVATE_KEY", "not a private key in PEM form", "Make a new one")
    assert [one["state"] for one in report.of("github-api")] == ["unknown"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(400, "(399|400|401) seconds behind"), (-3600, "(3599|3600|3601) seconds ahead of")],
    ids=["behind", "ahead"],
)
async def test_a_wrong_clock_is_measured(place: Place, seconds: float, words: str) -> None:
    place.github.clock.advance(seconds)
    report = await place.doctor()
    (told,) = report.wrong()["clock"]
    assert re.search(words, told)
    assert "timedatectl" in told
    assert "app-key" not in report.wrong()


async def test_an_api_that_is_not_there(place: Place) -> None:
    report = await place.doctor(github_api_url="http://127.0.0.1:9/api/v3")
    report.tells("github-api", "BUILDHOOK_GITHUB_API_URL", "127.0.0.1:9", "See that this machine reaches it")
    assert report.of("clock")[0]["state"] == "unknown"
    report = await place.doctor(github_api_url=f"{place.github.url}/api/v3/v9")
    report.tells("github-api", "no API of GitHub at this address", "https://HOST/api/v3")
    report = await place.doctor(github_api_url="https://github.com")
    report.tells("github-api", "BUILDHOOK_GITHUB_API_URL", "GitHub's API is at https://api.github.com")
    assert [one["state"] for one in report.of("app-key")] == ["unknown"]
    place.github.faults.add(path=".*", html=True, status=200, times=9)
    report = await place.doctor()
    report.tells("github-api", "HTML page", "BUILDHOOK_GITHUB_API_URL")


async def test_t39_a_required_check_that_is_not_ours_alone_is_told(place: Place) -> None:
    github = place.github
    where, pin = "octo/hello, rules of main", "Choose this App as the source"
    github.required_checks("octo/hello", "main", {"buildhook": None})
    (await place.doctor()).tells("required-checks", where, "anybody who can write there", "forged", pin)
    github.required_checks("octo/hello", "main", {"buildhook": github.other_app.id})
    (await place.doctor()).tells("required-checks", where, "of another App", pin)
    # A ruleset that pins it makes good what the protection leaves open.
    github.ruleset("octo/hello", "main", {"buildhook": github.app_id})
    assert (await place.doctor()).of("required-checks")[0]["state"] == "fine"
    github.required_checks("octo/hello", "main", [])
    github.ruleset("octo/hello", "main", {"buildhook / test": github.app_id, "Buildhook": None, "ci": github.app_id})
    report = await place.doctor()
    report.tells("required-checks", where, "Only single jobs", "buildhook / test", "Require 'buildhook' instead")
    report.tells("required-checks", where, "'Buildhook' is required, and nobody ever posts one", "Require 'buildhook'")
    report.tells("required-checks", where, "'ci' is required")
    assert len(report.wrong()["required-checks"]) == 3


async def test_what_github_does_not_say_is_told(place: Place) -> None:
    place.github.faults.add(path=".*/rules/branches/.*", status=403, times=1)
    (await place.doctor()).tells("required-known", "octo/hello", "403")


async def test_of_very_many_repositories_some_are_asked(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ask_github, "MOST_REPOSITORIES", 1)
    await place.github.create_repository("octo/other")
    report = await place.doctor()
    assert [one["state"] for one in report.of("required-known")] == ["unknown"]
    assert [one["state"] for one in report.of("required-checks")] == ["fine"]
    assert "required-known" not in report.wrong()


async def test_a_service_behind_a_network_that_leads_nowhere_from_within_is_well(place: Place) -> None:
    place.github.webhook_url = "http://127.0.0.1:9/webhook"
    sent = place.github.ping()
    await sent.done.wait()
    # As GitHub found it, from outside.
    sent.status, sent.status_code = "OK", 202
    report = await place.doctor()
    assert report.of("door")[0]["state"] == "fine"
    assert clock.now() > sent.created_at


async def test_t16_a_proxy_that_no_setting_names_is_told_of(served: Place) -> None:
    public = "https://builds.example.org"
    assert (await served.doctor(public_url=public)).of("proxies")[0]["state"] == "fine"
    headers = {"X-Forwarded-For": "203.0.113.9", "X-GitHub-Event": "ping"}
    url = str(served.github.webhook_url)
    async with aiohttp.ClientSession() as session, session.post(url, data=b"{}", headers=headers) as answer:
        assert answer.status == 415
    report = await served.doctor(public_url=public)
    report.tells(
        "proxies", "BUILDHOOK_TRUSTED_PROXIES", "headers come from 127.0.0.1", "if it is not, somebody pretends"
    )
    # Who passes it on is not looked for where people come without TLS.
    assert (await served.doctor(public_url="http://127.0.0.1:1")).of("proxies")[0]["state"] == "fine"
