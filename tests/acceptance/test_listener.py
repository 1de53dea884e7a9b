"""The door as it is shipped: sizes, slow and silent clients, smuggled requests, settings, stopping."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import aiohttp
import pytest

from bot.simulator import Simulator
from tests import recorded
from tests.acceptance import process
from tests.acceptance.conftest import pipeline

MIB = 1024 * 1024


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as opened:
        yield opened


def delivery(github: Simulator, *, size_bytes: int, guid: str) -> tuple[bytes, dict[str, str]]:
    """A signed delivery of exactly this size, of an event that nothing follows from."""
    body = b'{"zen":"' + b"a" * (size_bytes - len(b'{"zen":""}')) + b'"}'
    assert len(body) == size_bytes
    return body, github.hooks.headers(body, event="star", guid=guid)


@pytest.mark.parametrize(
    ("size_bytes", "status"),
    [(MIB - 1, 202), (MIB, 202), (MIB + 1, 202), (25 * MIB, 202), (26 * MIB, 202), (26 * MIB + 1, 413)],
)
async def test_f96_every_size_that_github_sends_is_taken(
    github: Simulator,
    service: process.Process,
    session: aiohttp.ClientSession,
    size_bytes: int,
    status: int,
) -> None:
    body, headers = delivery(github, size_bytes=size_bytes, guid=f"size-{size_bytes}")
    async with session.post(service.webhook_url, data=io.BytesIO(body), headers=headers) as answer:
        assert answer.status == status
    stored = [one["id"] for one in await service.command("deliveries", "list")]
    assert (f"size-{size_bytes}" in stored) == (status == 202)


async def test_t5_f58_silent_and_slow_clients_are_closed_and_others_are_answered(
    github: Simulator, service: process.Process, session: aiohttp.ClientSession
) -> None:
    silent = [await asyncio.open_connection("127.0.0.1", service.port) for _ in range(200)]
    for _, writer in silent[:100]:
        writer.write(b"POST /webhook HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ")
    body, headers = delivery(github, size_bytes=2_000, guid="healthy")
    async with session.post(service.webhook_url, data=body, headers=headers) as answer:
        assert answer.status == 202
    # Each of them is closed by the service, without having been told anything.
    assert await asyncio.wait_for(asyncio.gather(*(reader.read() for reader, _ in silent)), 20) == [b""] * 200
    for _, writer in silent:
        writer.close()


async def test_t5_f58_a_body_that_never_ends_is_given_up(service: process.Process) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    writer.write(
        b"POST /webhook HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    )
    answer = await asyncio.wait_for(reader.read(), 20)
    assert answer.startswith(b"HTTP/1.1 400")
    writer.close()


@pytest.mark.parametrize(
    "smuggled",
    [
        b"POST /webhook HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /webhook HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcd",
        b"POST /webhook HTTP/1.1\r\nHost: a\r\nContent-Length: +4\r\n\r\nabcd",
        b"POST /webhook HTTP/1.1\r\nHost: a\r\nContent-Length: 4_0\r\n\r\nabcd",
        b"POST /webhook HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        b"POST /webhook HTTP/1.1\r\nHost : a\r\n\r\n",
        b"POST /webhook HTTP/1.1\r\nHost: a\r\n folded: b\r\n\r\n",
        b"POST /webhook HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n",
        b"POST /webhook HTTP/3.9\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x00\xa5\x01\x00\x00",
    ],
)
async def test_t17_t124_requests_that_two_parsers_read_differently_are_refused_without_a_trace(
    service: process.Process, tmp_path: Path, smuggled: bytes
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    writer.write(smuggled)
    writer.write_eof()
    answer = await asyncio.wait_for(reader.read(), 15)
    writer.close()
    # Nothing but refusals: what stands in front may have seen another request in the same bytes.
    assert b" 202 " not in answer
    assert b" 200 " not in answer
    assert "Traceback" not in (tmp_path / "service.log").read_text()


async def test_without_credentials_the_door_asks_to_come_again_and_says_so(tmp_path: Path) -> None:
    environment = process.environment(tmp_path / "data")
    ping = recorded.load("ping")
    async with process.serving(environment, log=tmp_path / "service.log") as service, aiohttp.ClientSession() as client:
        async with client.post(service.webhook_url, data=ping.body, headers=dict(ping.headers)) as answer:
            assert answer.status == 503
            assert int(answer.headers["Retry-After"]) > 0
        async with client.get(f"{service.url}/readyz") as answer:
            assert answer.status == 503
            assert "[-]credentials" in await answer.text()
        async with client.get(f"{service.url}/livez") as answer:
            assert answer.status == 200
        assert await service.command("deliveries", "list") == []


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"port": "seventy"}, "BUILDHOOK_PORT"),
        ({"app_id": "7"}, "BUILDHOOK_PRIVATE_KEY, BUILDHOOK_WEBHOOK_SECRET"),
        ({"app_id": "7", "private_key": "no key", "webhook_secret": "s"}, "BUILDHOOK_PRIVATE_KEY"),
        ({"github_api_url": "http://github.example"}, "BUILDHOOK_GITHUB_API_URL"),
        ({"sandbox": "maybe"}, "BUILDHOOK_SANDBOX"),
        ({"database_url": "mysql://db"}, "DATABASE_URL"),
    ],
)
async def test_f86_a_wrong_setting_stops_the_start_with_one_clear_line(
    tmp_path: Path, wrong: Mapping[str, str], says: str
) -> None:
    status, out, err = await process.run("serve", environment=process.environment(tmp_path / "data", **wrong))
    assert status == 1
    assert out == ""
    (line,) = (one for one in err.splitlines() if one.startswith("error:"))
    assert says in line
    assert "Traceback" not in err


async def test_t15_f87_the_secret_is_changed_live_and_the_old_one_ends(
    github: Simulator, environment: Mapping[str, str], tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    settings = data / "settings.env"
    written = ("BUILDHOOK_WEBHOOK_SECRET", "BUILDHOOK_PRIVATE_KEY")
    base = {name: value for name, value in environment.items() if name not in written}
    key = github.private_key.replace("\n", "\\n")

    def write(**secrets: str) -> None:
        whole = {"PRIVATE_KEY": key, **secrets}
        settings.write_text("".join(f"BUILDHOOK_{name}={value}\n" for name, value in whole.items()))

    async def status(secret: bytes, guid: str) -> int:
        body = b'{"zen":"?"}'
        headers = {**github.hooks.headers(body, event="star", guid=guid)}
        headers["X-Hub-Signature-256"] = recorded.sign(body, secret)
        async with session.post(service.webhook_url, data=body, headers=headers) as answer:
            return answer.status

    write(WEBHOOK_SECRET="first")
    async with process.serving(base, log=tmp_path / "service.log") as service:
        assert await status(b"first", "1") == 202
        write(WEBHOOK_SECRET="second", WEBHOOK_SECRET_PREVIOUS="first")
        os.kill(service.process.pid, signal.SIGHUP)
        while await status(b"second", "2") != 202:
            pass
        assert await status(b"first", "3") == 202
        write(WEBHOOK_SECRET="second")
        os.kill(service.process.pid, signal.SIGHUP)
        while await status(b"first", "4") != 401:
            pass
        # A wrong file keeps the old values and says why.
        for number, wrong in enumerate(({"SANDBOX": "maybe"}, {"PRIVATE_KEY": "no-key"}), 1):
            write(WEBHOOK_SECRET="third", **wrong)
            os.kill(service.process.pid, signal.SIGHUP)
            async with asyncio.timeout(20):
                while (tmp_path / "service.log").read_text().count("the old ones stay") < number:
                    await asyncio.sleep(0.01)
            assert await status(b"second", f"second-{number}") == 202
            assert await status(b"third", f"third-{number}") == 401
        # What comes after it is worked on as before.
        repository = await github.create_repository("octo/hello", files=pipeline("echo ok"))
        github.webhook_url, github.webhook_secret = service.webhook_url, "second"
        head = await github.push(repository, "main", {"a.txt": "a"})
        await github.wait_for_check(repository, head, conclusion="success")


async def test_t16_nothing_from_a_request_gets_into_a_link(
    github: Simulator, service: process.Process, session: aiohttp.ClientSession
) -> None:
    repository = await github.create_repository("octo/hello", files={".buildhook.yml": "on: push\njobs: {}\n"})
    pushed = github.hooks.headers(b"{}", event="push", guid="spoofed")
    spoofed = {**pushed, "Host": "evil.example", "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https"}
    async with session.post(service.webhook_url, data=b"{}", headers=spoofed) as answer:
        assert answer.status == 202
    async with session.get(f"{service.url}/", headers={"X-Forwarded-Host": "evil.example"}) as answer:
        assert answer.status == 404
        assert "evil.example" not in await answer.text()
    head = await github.push(repository, "main", {"a.txt": "a"})
    run = await github.wait_for_check(repository, head, conclusion="failure")
    assert run.details_url.startswith(service.url)


async def test_serve_as_json_says_where_it_is(service: process.Process) -> None:
    assert service.webhook_url.endswith("/webhook")
    assert json.loads(json.dumps(await service.command("version")))["version"]
