"""A webhook out of what a relay says: the bytes of its body as they stand, and only headers that the door reads."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.relay import unwrap

GOOD = {
    "host": "smee.io",
    "content-type": "application/json",
    "x-github-event": "push",
    "X-GitHub-Delivery": "0-1",
    "x-hub-signature-256": "sha256=" + "a" * 64,
    "cookie": "a=b",
    "x-forwarded-for": "203.0.113.5",
    "transfer-encoding": "chunked",
    "query": {},
    "timestamp": 1,
}


@pytest.mark.parametrize("body", ['{"a":1.0,"b":"\\u00fc ü \\ud83d\\ude00","c":[1e3, 2]}', '{ "a" : 1 }', "[]", '"x"'])
def test_the_body_is_not_written_anew(body: str) -> None:
    data = json.dumps(GOOD)[:-1] + f', "body": {body} }}'
    assert unwrap.unwrap(data.encode()).body == body.encode()


def test_only_what_the_door_reads_is_passed_on() -> None:
    made = unwrap.unwrap(json.dumps({**GOOD, "body": {}}).encode())
    assert dict(made.headers) == {
        "content-type": "application/json",
        "x-github-event": "push",
        "x-github-delivery": "0-1",
        "x-hub-signature-256": "sha256=" + "a" * 64,
    }
    assert (made.event, made.guid) == ("push", "0-1")


@pytest.mark.parametrize("value", ["a\r\nx-github-event: pwn", "a\x00", "é", "x" * 1001, 5, None, ["a"], {}])
def test_a_header_that_cannot_be_one_is_left_out(value: object) -> None:
    made = unwrap.unwrap(json.dumps({**GOOD, "x-github-event": value, "body": {}}).encode())
    assert "x-github-event" not in made.headers


def test_the_bytes_of_gosmee_come_as_they_were() -> None:
    body = b"payload=%7B%22a%22%3A1%7D"
    form = {**GOOD, "content-type": "application/x-www-form-urlencoded", "bodyB": base64.b64encode(body).decode()}
    assert unwrap.unwrap(json.dumps(form).encode()).body == body


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "no JSON object"),
        (b"[]", "no JSON object"),
        (b"{", "no JSON object"),
        (b'{"\xff": 1}', "no JSON object"),
        (b"[" * 100_000, "no JSON object"),
        (b"{}", "no body"),
        (b'{"bodyB": "!"}', "no base64"),
        (b'{"bodyB": 5}', "no base64"),
        (b'{"content-type": "application/x-www-form-urlencoded", "body": {"payload": "{}"}}', "application/json"),
    ],
)
def test_what_is_no_webhook_is_told(data: bytes, says: str) -> None:
    with pytest.raises(unwrap.Unreadable, match=says):
        unwrap.unwrap(data)


@given(st.binary(max_size=200))
def test_whatever_comes_is_a_webhook_or_is_told(data: bytes) -> None:
    try:
        unwrap.unwrap(data)
    except unwrap.Unreadable:
        return
