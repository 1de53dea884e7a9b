"""Reading a proved request: every request becomes a delivery or one refusal of a closed set."""

from __future__ import annotations

import ast
import copy
import json
import typing
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

import bot
from bot import errors
from bot.model import delivery
from bot.store import deliveries
from bot.webhooks import inbox, parse
from tests import recorded

NOW = datetime(2026, 5, 15, 15, 20, 30, tzinfo=UTC)
EVERY = recorded.all_recorded()


def _read(headers: Mapping[str, str], body: bytes) -> delivery.VerifiedDelivery:
    read, _ = parse.delivery(headers, body=body, received_at=NOW, secrets=[recorded.SECRET], app_id=recorded.APP_ID)
    return read


def _refusal(headers: Mapping[str, str], body: bytes) -> errors.DeliveryRefused:
    with pytest.raises(errors.DeliveryRefused) as caught:
        _read(headers, body)
    return caught.value


def _with(**changes: str | None) -> tuple[dict[str, str], bytes]:
    """The recorded ping with headers changed (underscores for hyphens), or taken away by None."""
    ping = recorded.load("ping")
    headers: dict[str, str | None] = {**ping.lower_headers}
    headers |= {name.replace("_", "-"): value for name, value in changes.items()}
    return {name: value for name, value in headers.items() if value is not None}, ping.body


@pytest.mark.parametrize("one", EVERY, ids=lambda one: one.name)
def test_every_recorded_delivery_is_taken(one: recorded.Recorded) -> None:
    read = _read(one.lower_headers, one.body)
    payload = one.payload()
    assert (read.event, read.action) == (one.event, payload.get("action"))
    assert read.guid == one.headers["X-GitHub-Delivery"]
    assert read.hook_id == recorded.HOOK_ID
    assert read.installation_id == (payload.get("installation") or {}).get("id")
    assert read.repository_id == (payload.get("repository") or {}).get("id")
    assert read.repository == (payload.get("repository") or {}).get("full_name")
    assert (read.body, read.headers, read.received_at) == (one.body, one.lower_headers, NOW)


def test_the_position_of_the_proving_secret_is_given() -> None:
    one = recorded.load("ping")
    for secrets, position in ([recorded.SECRET, b"octo"], 0), ([b"octo", recorded.SECRET], 1):
        _, found = parse.delivery(
            one.lower_headers, body=one.body, received_at=NOW, secrets=secrets, app_id=recorded.APP_ID
        )
        assert found == position


def test_t1_the_proof_comes_before_every_other_question() -> None:
    headers, body = _with(
        x_hub_signature_256=None, x_github_delivery="?", x_github_event=None, x_github_hook_installation_target_id="1"
    )
    assert _refusal(headers, body[:-1]).status == 401


def test_t1_one_text_for_every_signature_that_proves_nothing() -> None:
    headers, body = _with(x_hub_signature_256=None)
    refusals = [
        _refusal(headers, body),
        _refusal({**headers, "x-hub-signature-256": "sha256="}, body),
        _refusal({**headers, "x-hub-signature-256": recorded.sign(body, b"octo")}, body),
    ]
    assert {(str(one), one.status) for one in refusals} == {(str(refusals[0]), 401)}


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"x_github_delivery": None}, 400),
        ({"x_github_delivery": ""}, 400),
        ({"x_github_delivery": "a" * 73}, 400),
        ({"x_github_delivery": "a b"}, 400),
        ({"x_github_delivery": "a\n"}, 400),
        ({"x_github_delivery": "../etc"}, 400),
        ({"x_github_delivery": "é"}, 400),
        ({"x_github_event": None}, 400),
        ({"x_github_event": ""}, 400),
        ({"x_github_event": "push\n"}, 400),
        ({"x_github_event": "push push"}, 400),
        ({"x_github_event": "p" * 101}, 400),
        ({"x_github_hook_id": "-1"}, 400),
        ({"x_github_hook_id": "1e3"}, 400),
        ({"x_github_hook_id": "٣"}, 400),
        ({"x_github_hook_id": "9" * 19}, 400),
        ({"x_github_hook_installation_target_id": "1"}, 403),
        ({"x_github_hook_installation_target_id": ""}, 403),
        ({"x_github_hook_installation_target_id": f"0{recorded.APP_ID}"}, 403),
        ({"x_github_hook_installation_target_id": f"{recorded.APP_ID} "}, 403),
        ({"x_github_hook_installation_target_type": "repository"}, 403),
        ({"x_github_hook_installation_target_type": ""}, 403),
    ],
)
def test_t6_a_header_of_another_form_is_refused(changes: dict[str, str | None], status: int) -> None:
    assert _refusal(*_with(**changes)).status == status


@pytest.mark.parametrize(
    "changes",
    [
        {"x_github_delivery": "a"},
        {"x_github_delivery": "A-9" * 24},
        {"x_github_event": "some_event_of_2031"},
        {"x_github_hook_id": None},
        {"x_github_hook_id": "9" * 18},
        {"x_github_hook_installation_target_id": None},
        {"x_github_hook_installation_target_id": None, "x_github_hook_installation_target_type": None},
        {"x_github_hook_installation_target_type": None},
    ],
)
def test_t13_what_older_servers_leave_out_is_not_needed(changes: dict[str, str | None]) -> None:
    headers, body = _with(**changes)
    assert _read(headers, body).body == body


def test_a_missing_hook_id_is_0() -> None:
    assert _read(*_with(x_github_hook_id=None)).hook_id == 0


def _form(body: bytes) -> tuple[dict[str, str], bytes]:
    form = b"payload=" + quote_plus(body).encode()
    return _with(content_type=delivery.FORM, x_hub_signature_256=recorded.sign(form))[0], form


@pytest.mark.parametrize("event", ["push", "ping"])
def test_a_form_is_read_like_json_and_kept_as_it_was_signed(event: str) -> None:
    one = recorded.load(event)
    headers, form = _form(one.body)
    read, plain = _read(headers, form), _read(one.lower_headers, one.body)
    assert (read.repository_id, read.action, read.body) == (plain.repository_id, plain.action, form)


@pytest.mark.parametrize(
    "form",
    [
        b"",
        b"payload",
        b"payload=",
        b"other={}",
        b"payload={}&payload={}",
        b"payload=%7B",
        b"payload=%ff%fe",
        b"payload=\xff",
        b"payload=%ud800",
        b"&&&",
        b"=" * 1000,
        b"payload={}&" + b"a=b&" * 5000,
    ],
)
def test_t6_a_form_without_one_payload_is_refused(form: bytes) -> None:
    headers, _ = _with(content_type=delivery.FORM, x_hub_signature_256=recorded.sign(form))
    assert _refusal(headers, form).status == 400


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 415),
        ({"content-type": ""}, 415),
        ({"content-type": "text/plain"}, 415),
        ({"content-type": "multipart/form-data; boundary=x"}, 415),
        ({"content-type": "application/json, text/plain"}, 415),
        ({"content-type": "application/jsonp"}, 415),
        ({"content-type": "application/json", "content-encoding": "gzip"}, 415),
        ({"content-type": "application/json", "content-encoding": "identity"}, 415),
        ({"content-type": "application/json", "content-encoding": ""}, 415),
        ({"content-type": "application/json", "content-length": str(parse.MAX_BODY_BYTES + 1)}, 413),
        ({"content-type": "application/json", "content-length": "9" * 40}, 413),
        ({"content-type": "application/json", "content-length": "-1"}, 413),
        ({"content-type": "application/json", "content-length": "x"}, 413),
    ],
)
def test_t3_t4_what_cannot_be_a_delivery_is_refused_before_its_body(headers: dict[str, str], status: int) -> None:
    with pytest.raises(errors.DeliveryRefused) as caught:
        parse.refuse_early(headers)
    assert caught.value.status == status


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "application/json"},
        {"content-type": "Application/JSON; charset=nope"},
        {"content-type": "application/json;charset=utf-8", "content-length": str(parse.MAX_BODY_BYTES)},
        {"content-type": "application/x-www-form-urlencoded", "content-length": "0"},
    ],
)
def test_what_may_be_a_delivery_is_let_on(headers: dict[str, str]) -> None:
    parse.refuse_early(headers)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
_HEADER_NAMES = st.sampled_from(
    [
        "x-github-event",
        "x-github-delivery",
        "x-github-hook-id",
        "x-github-hook-installation-target-id",
        "x-github-hook-installation-target-type",
        "content-type",
        "x-hub-signature",
    ]
)


def _outcome(headers: Mapping[str, str], body: bytes) -> int:
    """The status of the answer; an error beyond the closed set is raised."""
    refusal: errors.DeliveryRefused | None = None
    try:
        assert len(_read(headers, body).ordering_key) <= 512
    except errors.DeliveryRefused as error:
        refusal = error
    if refusal is None:
        return 202
    assert refusal.status in {400, 401, 403}
    assert len(str(refusal)) < 500
    return refusal.status


@given(changes=st.dictionaries(_HEADER_NAMES, st.text(max_size=100), max_size=3), body=st.binary(max_size=200))
def test_t6_no_headers_and_bytes_end_outside_of_the_closed_set(changes: dict[str, str], body: bytes) -> None:
    headers = recorded.load("push").lower_headers | changes
    _outcome(headers, body)
    _outcome({**headers, "x-hub-signature-256": recorded.sign(body)}, body)


@settings(max_examples=300)
@given(data=st.data())
def test_t6_a_recorded_payload_with_wrong_types_is_a_delivery_or_a_refusal(data: st.DataObject) -> None:
    one = data.draw(st.sampled_from(EVERY))
    payload = copy.deepcopy(one.payload())
    for _ in range(data.draw(st.integers(1, 4))):
        _mutate(payload, data)
    changed = recorded.resigned(one, body=json.dumps(payload).encode())
    assert _outcome(changed.lower_headers, changed.body) == 202


def _mutate(payload: dict[str, Any], data: st.DataObject) -> None:
    target: Any = payload
    while True:
        if not target:
            return
        key = data.draw(st.sampled_from(list(target))) if isinstance(target, dict) else len(target) - 1
        if isinstance(target[key], dict | list) and data.draw(st.booleans()):
            target = target[key]
            continue
        # Texts without lone surrogates: those are broken JSON to us and have a test of their own.
        target[key] = data.draw(_JSON)
        return


@settings(max_examples=300)
@given(data=st.data())
def test_t6_a_recorded_body_with_broken_bytes_is_a_delivery_or_a_refusal(data: st.DataObject) -> None:
    one = data.draw(st.sampled_from(EVERY))
    body = bytearray(one.body)
    for _ in range(data.draw(st.integers(1, 5))):
        place = data.draw(st.integers(0, len(body)))
        gone = data.draw(st.integers(0, 20))
        body[place : place + gone] = data.draw(
            st.binary(max_size=8) | st.sampled_from([b'"', b"{", b"[", b"\\", b"NaN"])
        )
    changed = recorded.resigned(one, body=bytes(body))
    if _outcome(changed.lower_headers, changed.body) == 202:
        json.loads(changed.body)


def test_t6_what_the_peer_library_falls_over_is_answered() -> None:
    """A signature beyond ASCII, no event, a charset that does not exist, JSON nested 100 000 deep."""
    headers, body = _with()
    deep = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
    assert _outcome({**headers, "x-hub-signature-256": "sha256=é"}, body) == 401
    assert _outcome(_with(x_github_event=None)[0], body) == 400
    assert _outcome({**headers, "content-type": "application/json; charset=nope"}, body) == 202
    assert _outcome({**headers, "x-hub-signature-256": recorded.sign(deep)}, deep) == 400


def callers(name: str) -> set[str]:
    """The files in which something of this name is called."""
    top = Path(bot.__file__).parent
    return {
        file.relative_to(top).as_posix()
        for file in sorted(top.rglob("*.py"))
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(name)
    }


def test_t8_only_parse_makes_a_verified_delivery_of_what_comes_from_outside() -> None:
    assert callers("VerifiedDelivery") == {"webhooks/parse.py", "model/delivery.py"}
    # What we want ourselves: a time that came, and a build that somebody starts.
    assert callers("delivery.own") == {"builds/commands.py", "builds/timer.py"}


def test_t8_the_inbox_and_the_store_take_verified_deliveries_only() -> None:
    assert typing.get_type_hints(inbox.Inbox.put)["new"] is delivery.VerifiedDelivery
    hints = typing.get_type_hints(deliveries.insert_many)
    assert typing.get_args(hints["new"]) == (delivery.VerifiedDelivery,)


def test_t8_the_proof_is_the_first_statement() -> None:
    function = next(
        node
        for node in ast.parse(Path(parse.__file__).read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name == "delivery"
    )
    first = next(
        one for one in function.body if not (isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant))
    )
    assert ast.unparse(first).startswith("secret = _prove(")


def test_percent_encoding_of_every_kind_is_undone() -> None:
    body = json.dumps({"repository": {"id": 5, "full_name": "octo/hello"}, "text": "a+b %20 ü 🚀"}).encode()
    form = b"payload=" + quote(body, safe="").encode()
    headers, _ = _with(content_type=delivery.FORM, x_hub_signature_256=recorded.sign(form))
    assert _read(headers, form).repository_id == 5


def _told(**changes: str) -> dict[str, str]:
    return {**recorded.load("push").lower_headers, **changes}


def test_what_githubs_api_told_is_read_like_a_request_and_says_where_it_came_from() -> None:
    push = recorded.load("push")
    at = datetime(2026, 5, 15, tzinfo=UTC)
    given = {"content-type": "application/x-www-form-urlencoded", "content-length": "7", "host": "example.org"}
    read = parse.recovered(_told(**given), body=push.body, received_at=at, app_id=recorded.APP_ID, source="api")
    sent, _ = parse.delivery(
        push.lower_headers, body=push.body, received_at=at, secrets=[recorded.SECRET], app_id=recorded.APP_ID
    )
    assert replace(read, headers=sent.headers) == sent
    assert read.headers["x-buildhook-source"] == "api"
    assert read.headers["content-type"] == "application/json"
    # What was about the bytes that were signed says nothing about these.
    assert {name for name in read.headers if not name.startswith("x-github-")} == {
        "content-type",
        "user-agent",
        "x-buildhook-source",
    }


@pytest.mark.parametrize(
    ("changes", "body", "status"),
    [
        ({"x-github-hook-installation-target-id": "1"}, b"{}", 403),
        ({"x-github-delivery": "no id"}, b"{}", 400),
        ({"x-github-event": ""}, b"{}", 400),
        ({"x-github-hook-id": "x"}, b"{}", 400),
        ({}, b"[]", 400),
        ({}, b'{"a":' * 101 + b"1" + b"}" * 101, 400),
        ({}, b'"' + b"a" * parse.MAX_BODY_BYTES + b'"', 413),
    ],
)
def test_what_githubs_api_told_is_refused_like_a_request(changes: dict[str, str], body: bytes, status: int) -> None:
    with pytest.raises(errors.DeliveryRefused) as refused:
        parse.recovered(
            _told(**changes), body=body, received_at=datetime.now(UTC), app_id=recorded.APP_ID, source="api"
        )
    assert refused.value.status == status


def test_a_request_cannot_claim_to_come_from_the_api() -> None:
    push = recorded.load("push")
    read, _ = parse.delivery(
        {**push.lower_headers, "x-buildhook-source": "state"},
        body=push.body,
        received_at=datetime.now(UTC),
        secrets=[recorded.SECRET],
        app_id=recorded.APP_ID,
    )
    assert read.headers == push.lower_headers
