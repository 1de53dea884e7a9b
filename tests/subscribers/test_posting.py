"""One POST over real HTTP: to the address that was checked, once, within bounds; nothing else is ever connected to."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from bot import policy
from bot.subscribers import posting
from bot.subscribers.posting import Poster
from tests.subscribers import receiver
from tests.subscribers.receiver import NAME, Receiver

PUBLIC = "93.184.216.34"
Make = Callable[..., Poster]


@pytest.fixture
async def plain() -> AsyncIterator[Receiver]:
    """A receiver over http."""
    async with receiver.receiving() as made:
        yield made


@pytest.fixture
def tls(tmp_path: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """What the server shows, and what the client trusts."""
    return receiver.certificates(tmp_path)


@pytest.fixture
async def secure(tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> AsyncIterator[Receiver]:
    """A receiver over https."""
    async with receiver.receiving(tls=tls[0]) as made:
        yield made


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    """Makes posters, and closes them in the end."""
    async with AsyncExitStack() as stack:

        def made(**given: Any) -> Poster:
            one = Poster(**given)
            stack.callback(one.close)
            return one

        yield made


class Names:
    """A name server that says something else each time it is asked."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def subscriber(url: str, **changes: Any) -> policy.Subscriber:
    """A subscriber as the policy has it."""
    return policy.Subscriber(name="chat", url=url, secrets=(), **changes)


async def post(poster: Poster, to: policy.Subscriber) -> posting.Answer:
    return await poster.post(to, headers={"webhook-id": "msg_1"}, body=b"{}")


async def test_a_body_is_posted_as_json_by_name_to_the_address_that_was_looked_up(
    secure: Receiver, tls: tuple[ssl.SSLContext, ssl.SSLContext], make: Make
) -> None:
    names = Names(["127.0.0.1"])
    to = subscriber(f"https://{NAME}:{secure.port}/hooks/7?a=b", allow_private=True)
    answer = await post(make(lookup=names, tls=tls[1]), to)
    assert answer == posting.Answer(status=204)
    (came,) = secure.received
    assert came.body == b"{}"
    assert came.headers["content-type"] == "application/json"
    assert came.headers["host"] == f"{NAME}:{secure.port}"
    assert came.headers["user-agent"].startswith("buildhook/")
    assert names.asked == [NAME]


async def test_a_certificate_that_is_not_trusted_gets_nothing(secure: Receiver, make: Make) -> None:
    answer = await post(
        make(lookup=Names(["127.0.0.1"])), subscriber(f"https://{NAME}:{secure.port}/", allow_private=True)
    )
    assert answer == posting.Answer(status=None, reason=f"The certificate of {NAME} is not trusted.")
    assert secure.received == []


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.8.9.10",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "127.1",
        "localhost",
        "0.0.0.0",
        "10.0.0.1",
        "192.168.0.1",
        "169.254.169.254",
        "[fd00:ec2::254]",
        "[fe80::1]",
        "[64:ff9b::7f00:1]",
    ],
)
async def test_t109_an_address_in_the_url_itself_is_checked_however_it_is_written(
    secure: Receiver, tls: tuple[ssl.SSLContext, ssl.SSLContext], make: Make, host: str
) -> None:
    answer = await post(make(tls=tls[1], total_seconds=5), subscriber(f"https://{host}:{secure.port}/"))
    assert answer.status is None
    # Some ways of writing a number the client does not take for a host at all.
    assert answer.reason.startswith(("The policy does not allow its address", "Its URL cannot be used"))
    assert secure.received == []


@pytest.mark.parametrize(
    "found",
    [
        ["127.0.0.1"],
        ["::1"],
        [PUBLIC, "127.0.0.1"],
        ["127.0.0.1", PUBLIC],
        [PUBLIC, "169.254.169.254"],
        ["10.0.0.7"],
        ["fe80::1%lo"],
        ["not an address"],
    ],
    ids=" ".join,
)
async def test_t109_a_name_that_leads_inwards_gets_nothing(secure: Receiver, make: Make, found: list[str]) -> None:
    answer = await post(make(lookup=Names(found)), subscriber(f"https://{NAME}:{secure.port}/"))
    assert answer.status is None
    assert "The policy does not allow its address: nothing is sent to" in answer.reason
    assert secure.received == []


async def test_t109_a_name_that_changes_between_check_and_use_is_used_as_it_was_checked(
    secure: Receiver, tls: tuple[ssl.SSLContext, ssl.SSLContext], make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: the first answer is harmless, all later ones lead to this machine."""
    names = Names([PUBLIC], ["127.0.0.1"])
    connected: list[str] = []

    def gate(rule: Any) -> Any:
        real = make_gate(rule)

        def made(info: Any) -> Any:
            connected.append(info[4][0])
            if info[4][0] == PUBLIC:
                raise ConnectionRefusedError(f"nobody is at {PUBLIC}")
            return real(info)

        return made

    make_gate = posting._gate
    monkeypatch.setattr(posting, "_gate", gate)
    poster = make(lookup=names, tls=tls[1])
    to = subscriber(f"https://{NAME}:{secure.port}/")
    first = await post(poster, to)
    assert (first.status, first.reason) == (None, f"No connection to {NAME}:{secure.port} comes about.")
    # One look, and what it said is all that was connected to.
    assert (names.asked, set(connected)) == ([NAME], {PUBLIC})
    second = await post(poster, to)
    assert "this machine's own" in second.reason
    assert set(connected) == {PUBLIC}
    assert secure.received == []


async def test_t109_the_socket_itself_is_made_for_allowed_addresses_only() -> None:
    """Should a resolver or a library ever give on something else."""
    import socket

    gate = posting._gate(posting.rule_of(subscriber("https://example.org/")))
    with pytest.raises(posting.Refused):
        gate((socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 443)))
    gate((socket.AF_INET, socket.SOCK_STREAM, 6, "", (PUBLIC, 443))).close()


async def test_plain_http_reaches_loopback_where_the_policy_says_so(plain: Receiver, make: Make) -> None:
    to = subscriber(f"http://127.0.0.1:{plain.port}/", allow_http=True)
    assert (await post(make(), to)).status == 204


@pytest.mark.parametrize("found", [["10.0.0.1"], [PUBLIC], ["127.0.0.1", PUBLIC]], ids=" ".join)
async def test_t109_plain_http_reaches_nothing_else(plain: Receiver, make: Make, found: list[str]) -> None:
    to = subscriber(f"http://{NAME}:{plain.port}/", allow_http=True, allow_private=True)
    answer = await post(make(lookup=Names(found)), to)
    assert "http goes to this machine's own addresses only" in answer.reason
    assert plain.received == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_t127_no_redirect_is_followed(plain: Receiver, make: Make, status: int) -> None:
    async def redirect(request: web.Request) -> web.Response:
        return web.Response(status=status, headers={"Location": f"http://127.0.0.1:{plain.port}/elsewhere"})

    plain.answer = redirect
    to = subscriber(f"http://127.0.0.1:{plain.port}/", allow_http=True)
    assert await post(make(), to) == posting.Answer(status=status)
    assert len(plain.received) == 1


async def test_an_endless_answer_is_not_read_on(plain: Receiver, make: Make) -> None:
    sent = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse(headers={"Content-Encoding": "gzip"})
        await response.prepare(request)
        while True:
            await response.write(bytes(64 * 1024))
            sent += 64 * 1024

    plain.answer = endless
    to = subscriber(f"http://127.0.0.1:{plain.port}/", allow_http=True)
    assert (await post(make(), to)).status == 200
    assert sent < 16 * 1024 * 1024


async def test_a_receiver_that_does_not_answer_is_left(plain: Receiver, make: Make) -> None:
    async def hang(request: web.Request) -> web.Response:
        await asyncio.sleep(60)
        return web.Response()

    plain.answer = hang
    to = subscriber(f"http://127.0.0.1:{plain.port}/", allow_http=True)
    answer = await post(make(total_seconds=0.2), to)
    assert answer == posting.Answer(status=None, reason="It took too long to answer.")


async def test_f101_a_name_server_that_does_not_answer_holds_up_nobody_else(make: Make) -> None:
    async def never(host: str, port: int) -> list[str]:
        await asyncio.sleep(60)
        return []

    answer = await post(make(lookup=never, total_seconds=0.2), subscriber("https://example.org/"))
    assert answer.status is None
    assert answer.reason == "It took too long to answer."


async def test_a_receiver_that_is_not_there_is_told_in_words(make: Make, unused_tcp_port: int) -> None:
    to = subscriber(f"http://127.0.0.1:{unused_tcp_port}/", allow_http=True)
    assert (await post(make(), to)).reason == f"No connection to 127.0.0.1:{unused_tcp_port} comes about."

    async def unknown(host: str, port: int) -> list[str]:
        raise OSError("Name or service not known")

    answer = await post(make(lookup=unknown), subscriber("https://nowhere.example/secret-path?token=hunter2"))
    assert answer.reason == "The name nowhere.example cannot be resolved."
