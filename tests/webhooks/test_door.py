"""The door over real HTTP: a closed set of answers, nothing stored before the proof, all of it after the 202."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import json
import sqlite3
import threading
from collections.abc import AsyncIterator

import pytest
from multidict import CIMultiDict

from bot.model import delivery
from bot.store import deliveries
from bot.webhooks import doorway
from bot.webhooks.door import Credentials
from tests import recorded
from tests.databases import on_sqlite
from tests.webhooks import forgeries
from tests.webhooks.service import Open, Service

PING = recorded.load("ping")


def _headers(**changes: str | None) -> dict[str, str]:
    """The ping's headers with some changed (underscores for hyphens), or left out by None."""
    headers: dict[str, str | None] = {**PING.headers}
    for name, value in changes.items():
        spelled = next(known for known in headers if known.lower() == name.replace("_", "-"))
        headers[spelled] = value
    return {name: value for name, value in headers.items() if value is not None}


def _raw(body: bytes, *lines: str, headers: dict[str, str] | None = None) -> bytes:
    """A request as bytes, for what a well-behaved client cannot send."""
    given = [f"{name}: {value}" for name, value in (PING.headers if headers is None else headers).items()]
    head = "\r\n".join(["POST /webhook HTTP/1.1", "Host: localhost", "Connection: close", *given, *lines])
    return head.encode("utf-8", "surrogateescape") + b"\r\n\r\n" + body


def _status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


async def test_a_genuine_delivery_is_stored_as_it_came(service: Service) -> None:
    opened = recorded.load("pull_request", "opened")
    answer = await service.post(opened)
    assert (answer.status, answer.body) == (
        202,
        {"delivery": opened.headers["X-GitHub-Delivery"], "result": "stored"},
    )
    (stored,) = await service.stored()
    assert stored.body == opened.body
    assert {name.lower(): value for name, value in opened.headers.items()}.items() <= stored.headers.items()
    assert (stored.event, stored.action, stored.state) == ("pull_request", "opened", delivery.State.RECEIVED)
    assert (stored.repository_id, stored.repository, stored.installation_id) == (186853002, "Codertocat/Hello-World", 1)
    assert (stored.hook_id, stored.size_bytes, stored.attempts) == (recorded.HOOK_ID, len(opened.body), 0)
    assert service.wake_ups
    assert service.metric("webhook_deliveries_total", event="pull_request", outcome="stored") == 1
    assert service.metric("webhook_secret_used_total", secret="current") == 1
    assert service.metric("webhook_ack_duration_seconds_count") == 1


async def test_every_recorded_delivery_is_taken_once(service: Service) -> None:
    every = recorded.all_recorded()
    first = await asyncio.gather(*map(service.post, every))
    assert {(one.status, one.result) for one in first} == {(202, "stored")}
    again = await asyncio.gather(*map(service.post, every))
    assert {(one.status, one.result) for one in again} == {(202, "duplicate")}
    assert await service.rows() == len(every)


async def test_t1_what_is_not_proved_is_answered_401_and_leaves_no_row(service: Service) -> None:
    assert len(forgeries.UNPROVED) >= 20
    texts = set()
    for header, _ in forgeries.UNPROVED.values():
        if header is not None and any(letter in header for letter in "\n\0"):
            continue  # A client cannot send these; `test_t1_a_raw_header_line` does.
        headers = _headers(x_hub_signature=None, x_hub_signature_256=header)
        answer = await service.send(headers, forgeries.BODY)
        # HTTP strips the space around a value, so there the value is the right one.
        right = header is not None and header.strip(" ") == forgeries.RIGHT
        assert answer.status == (202 if right else 401), header
        if not right:
            texts.add(json.dumps(answer.body))
    assert len(texts) == 1
    assert await service.rows() == 1


@pytest.mark.parametrize("value", [f"{forgeries.RIGHT}\0", f"{forgeries.RIGHT}\udcff", "sha256=\udcff", "\udc80" * 71])
async def test_t1_a_raw_header_line_of_any_bytes_is_refused(service: Service, value: str) -> None:
    headers = _headers(x_hub_signature=None, x_hub_signature_256=value)
    request = _raw(forgeries.BODY, f"Content-Length: {len(forgeries.BODY)}", headers=headers)
    assert _status(await service.send_raw(request)) in {400, 401}
    assert await service.rows() == 0


async def test_t1_each_refusal_is_counted_under_its_reason(service: Service) -> None:
    await service.send(_headers(x_hub_signature=None, x_hub_signature_256=None), PING.body)
    await service.send(_headers(x_hub_signature_256=None), PING.body)
    await service.send(_headers(x_hub_signature_256="sha256="), PING.body)
    await service.send(_headers(x_hub_signature_256=recorded.sign(PING.body, b"octo")), PING.body)
    for reason in "missing", "sha1_only", "malformed", "wrong":
        assert service.metric("webhook_rejected_total", reason=f"signature_{reason}") == 1


async def test_without_credentials_everybody_is_asked_to_come_again(service: Service) -> None:
    service.credentials = None
    answer = await service.post(PING)
    assert (answer.status, answer.headers["Retry-After"]) == (503, str(doorway.RETRY_AFTER_SECONDS))
    assert await service.rows() == 0
    service.credentials = Credentials(recorded.APP_ID, (recorded.SECRET,))
    assert (await service.post(PING)).status == 202


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"x_github_delivery": None}, 400),
        ({"x_github_delivery": "no spaces"}, 400),
        ({"x_github_delivery": "a" * 73}, 400),
        ({"x_github_event": None}, 400),
        ({"x_github_event": "not-an-event!"}, 400),
        ({"x_github_hook_id": "x"}, 400),
        ({"content_type": "text/plain"}, 415),
        ({"content_type": "multipart/form-data; boundary=b"}, 415),
    ],
)
async def test_t6_a_header_of_another_form_is_refused(
    service: Service, changes: dict[str, str | None], status: int
) -> None:
    answer = await service.send(_headers(**changes), PING.body)
    assert answer.status == status
    assert set(answer.body) == {"error"}
    assert await service.rows() == 0


@pytest.mark.parametrize("name", ["X-GitHub-Delivery", "X-GitHub-Event", "X-Hub-Signature-256", "Content-Type"])
async def test_t6_a_header_that_comes_twice_is_refused(service: Service, name: str) -> None:
    headers = CIMultiDict(PING.headers)
    headers.add(name, PING.headers[name])
    assert (await service.send(headers, PING.body)).status == 400
    assert await service.rows() == 0


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b'{"a":NaN}',
        b'{"a":"\\ud800"}',
        b'{"a":"\xff"}',
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b'{"number":' + b"9" * 1_000_000 + b"}",
    ],
    ids=range(9),
)
async def test_t6_a_proved_body_that_is_no_json_object_is_400(service: Service, body: bytes) -> None:
    one = recorded.resigned(PING, body=body)
    answer = await service.post(one)
    assert (answer.status, service.metric("webhook_rejected_total", reason="body")) == (400, 1)
    assert await service.rows() == 0


async def test_a_form_is_taken_and_kept_as_it_was_signed(service: Service) -> None:
    form = b"payload=%7B%22repository%22%3A%7B%22id%22%3A5%7D%7D"
    one = recorded.resigned(PING, body=form)
    assert (await service.post(one, headers={**one.headers, "Content-Type": delivery.FORM})).status == 202
    (stored,) = await service.stored()
    assert (stored.body, stored.repository_id) == (form, 5)


async def test_t9_one_thousand_replays_at_once_are_one_row(service: Service) -> None:
    answers = await asyncio.gather(*(service.post(PING) for _ in range(1000)))
    assert {one.status for one in answers} == {202}
    assert sorted(one.result or "" for one in answers) == ["duplicate"] * 999 + ["stored"]
    assert await service.rows() == 1


async def test_t11_the_first_body_of_an_id_is_kept(service: Service) -> None:
    await service.post(PING)
    answer = await service.post(recorded.resigned(PING, changes={"zen": "Other."}))
    assert (answer.status, answer.result) == (202, "conflict")
    assert service.metric("webhook_conflicts_total") == 1
    (stored,) = await service.stored()
    assert stored.body == PING.body


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"x_github_hook_installation_target_id": "7"}, 403),
        ({"x_github_hook_installation_target_id": ""}, 403),
        ({"x_github_hook_installation_target_type": "repository"}, 403),
        ({"x_github_hook_installation_target_id": None}, 202),
        ({"x_github_hook_installation_target_id": None, "x_github_hook_installation_target_type": None}, 202),
    ],
)
async def test_t13_a_delivery_for_another_app_is_403(
    service: Service, changes: dict[str, str | None], status: int
) -> None:
    assert (await service.send(_headers(**changes), PING.body)).status == status
    assert await service.rows() == (1 if status == 202 else 0)


async def test_t13_whether_it_is_for_us_is_told_to_those_only_who_proved_themselves(service: Service) -> None:
    headers = _headers(x_github_hook_installation_target_id="7", x_hub_signature_256=None)
    assert (await service.send(headers, PING.body)).status == 401


async def test_t15_both_secrets_are_taken_while_the_secret_changes_and_only_then(service: Service) -> None:
    old, new = recorded.SECRET, b"mona"

    async def burst(label: str, secret: bytes) -> set[int]:
        signed = [recorded.resigned(PING, guid=f"{label}-{number}", secret=secret) for number in range(40)]
        return {one.status for one in await asyncio.gather(*map(service.post, signed))}

    under_way = asyncio.gather(burst("before", old), burst("while", old))
    service.credentials = Credentials(recorded.APP_ID, (new, old))
    assert [*await under_way] == [{202}, {202}]
    assert (await burst("new", new), await burst("old", old)) == ({202}, {202})
    current = service.metric("webhook_secret_used_total", secret="current")
    previous = service.metric("webhook_secret_used_total", secret="previous")
    assert (current + previous, previous >= 40, current >= 40) == (160, True, True)
    service.credentials = Credentials(recorded.APP_ID, (new,))
    assert (await burst("expired", old), await burst("after", new)) == ({401}, {202})
    assert await service.rows() == 200


def test_t15_credentials_do_not_show_their_secrets() -> None:
    assert "Everybody" not in repr(Credentials(recorded.APP_ID, (recorded.SECRET,)))


def _of_size(size_bytes: int) -> recorded.Recorded:
    """A ping whose body has exactly this size."""
    frame = b'{"zen":"%s"}'
    return recorded.resigned(PING, body=frame % (b"x" * (size_bytes - len(frame) + 2)), guid=f"size-{size_bytes}")


MIB = 1024 * 1024


@pytest.mark.parametrize(
    ("size_bytes", "status"),
    [
        (MIB - 1, 202),
        (MIB, 202),
        (MIB + 1, 202),
        (10 * MIB, 202),
        (25 * MIB, 202),
        (25 * MIB + 1, 202),
        (26 * MIB, 202),
        (26 * MIB + 1, 413),
    ],
)
@pytest.mark.parametrize("is_chunked", [False, True])
async def test_f96_a_delivery_of_any_size_that_github_sends_is_taken(
    service: Service, size_bytes: int, status: int, is_chunked: bool
) -> None:
    one = _of_size(size_bytes)
    assert len(one.body) == size_bytes
    answer = await service.post(one, body=_chunks(one.body) if is_chunked else one.body)
    assert answer.status == status
    if status == 202:
        (stored,) = await service.stored()
        assert (stored.size_bytes, stored.body == one.body) == (size_bytes, True)
    else:
        assert await service.rows() == 0


async def _chunks(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), 256 * 1024):
        yield body[start : start + 256 * 1024]


async def test_a_full_inbox_is_503_until_it_has_drained(open_service: Open) -> None:
    service = await open_service(inbox={"max_rows": 1})
    one, other = (recorded.resigned(PING, guid=guid) for guid in "ab")
    assert (await service.post(one)).status == 202
    answer = await service.post(other)
    assert (answer.status, answer.headers["Retry-After"]) == (503, str(doorway.RETRY_AFTER_SECONDS))
    assert service.metric("webhook_rejected_total", reason="inbox_full") == 1
    await service.store.write(deliveries.delete_finished, before=(await service.stored())[0].received_at, limit=1)
    assert await service.rows() == 1


@pytest.mark.parametrize(
    "rest",
    [
        b"zz\r\nbroken\r\n",
        b"5\r\nhelloworld\r\n",
        b"-1\r\n\r\n",
    ],
)
async def test_t124_a_body_that_breaks_http_is_the_senders_trouble(
    service: Service, rest: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await service.send_raw(_raw(b'4\r\n{"a"\r\n', "Transfer-Encoding: chunked"), rest)
    assert _status(answer) == 400
    assert await service.rows() == 0
    assert [one for one in caplog.records if one.exc_info] == []


async def test_t124_a_body_that_breaks_off_is_the_senders_trouble(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", service.port)
    writer.write(_raw(PING.body[:100], f"Content-Length: {len(PING.body)}"))
    for _ in range(50):
        await asyncio.sleep(0)
    writer.transport.abort()
    async with asyncio.timeout(10):
        while service.metric("webhook_rejected_total", reason="broken_body") == 0:
            await asyncio.sleep(0.01)
    assert await service.rows() == 0
    assert [one for one in caplog.records if one.exc_info] == []


async def test_a_body_that_does_not_arrive_is_given_up(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    assert doorway.BODY_TIMEOUT_SECONDS < 10
    monkeypatch.setattr(doorway, "BODY_TIMEOUT_SECONDS", 0.05)
    answer = await service.send_raw(_raw(PING.body[:100], f"Content-Length: {len(PING.body)}"))
    assert (_status(answer), service.metric("webhook_rejected_total", reason="slow_body")) == (400, 1)
    assert await service.rows() == 0


async def test_f100_a_client_that_leaves_at_any_byte_leaves_a_whole_row_or_none(service: Service) -> None:
    request = _raw(PING.body, f"Content-Length: {len(PING.body)}")
    start = request.index(b"\r\n\r\n") + 4
    cuts = [1, 50, start - 1, start, start + 1, (start + len(request)) // 2, len(request) - 1]
    for cut in cuts:
        _, writer = await asyncio.open_connection("127.0.0.1", service.port)
        writer.write(request[:cut])
        await writer.drain()
        writer.transport.abort()
    # The door answers the next one, and none of the halves left a row.
    assert (await service.post(recorded.resigned(PING, guid="whole"))).status == 202
    assert [one.id for one in await service.stored()] == ["whole"]


@on_sqlite
@pytest.mark.parametrize("turns", [0, 1, 2, 3, 5, 8, 13, 200])
async def test_f100_a_client_that_leaves_before_the_answer_leaves_a_whole_row_or_none(
    service: Service, turns: int
) -> None:
    with contextlib.closing(sqlite3.connect(service.store.path, isolation_level=None)) as other:
        # While another process writes, the commit has to wait: the client leaves in the middle of it.
        other.execute("BEGIN IMMEDIATE")
        _, writer = await asyncio.open_connection("127.0.0.1", service.port)
        writer.write(_raw(PING.body, f"Content-Length: {len(PING.body)}"))
        for _ in range(turns):
            await asyncio.sleep(0)
        writer.transport.abort()
        other.execute("ROLLBACK")
    if turns == 200:
        async with asyncio.timeout(10):
            while await service.rows() == 0:
                await asyncio.sleep(0.01)
    # GitHub saw no answer. Its redelivery meets the whole row, or makes one.
    answer = await service.post(PING)
    assert (answer.status, answer.result in {"stored", "duplicate"}) == (202, True)
    (stored,) = await service.stored()
    assert stored.body == PING.body


async def test_t8_nothing_wakes_the_dispatcher_before_the_proof(service: Service) -> None:
    await service.send(_headers(x_hub_signature_256=None), PING.body)
    await service.send(_headers(x_github_hook_installation_target_id="7"), PING.body)
    await service.post(recorded.resigned(PING, body=b"[]"))
    assert (service.wake_ups, service.store.writes_since_checkpoint) == ([], 0)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
async def test_only_post_is_taken(service: Service, method: str) -> None:
    address = f"http://127.0.0.1:{service.port}/webhook"
    async with service.http.request(method, address, data=PING.body, headers=PING.headers) as response:
        assert response.status == 405
    assert await service.rows() == 0


async def test_f101_threads_that_are_all_busy_elsewhere_delay_no_small_delivery(service: Service) -> None:
    """Look-ups of names and large bodies share the loop's own threads; what is stored has threads of its own."""
    may_end = threading.Event()
    threads = concurrent.futures.ThreadPoolExecutor(2)
    loop = asyncio.get_running_loop()
    loop.set_default_executor(threads)
    stuck = [loop.run_in_executor(None, may_end.wait) for _ in range(4)]
    try:
        assert (await service.post(recorded.load("push"))).status == 202
        assert not any(one.done() for one in stuck)
    finally:
        may_end.set()
        await asyncio.gather(*stuck)
