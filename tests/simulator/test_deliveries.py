"""Webhooks as GitHub sends, records and repeats them."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json

import aiohttp
import pytest

from bot.simulator import Repository, Simulator, hooks
from tests.simulator.conftest import Client, Receiver


async def test_a_delivery_is_signed_over_the_bytes_that_go_out(
    github: Simulator, repository: Repository, receiver: Receiver
) -> None:
    await github.push(repository, "main", {"grüße.txt": "ü"}, "Grüße 🎉")
    await github.hooks.settle()
    sent = next(one for one in receiver.received if one.headers["X-GitHub-Event"] == "push")
    secret = (github.webhook_secret or "").encode()
    assert sent.headers["X-Hub-Signature-256"] == "sha256=" + hmac.new(secret, sent.body, hashlib.sha256).hexdigest()
    assert sent.headers["X-Hub-Signature"] == "sha1=" + hmac.new(secret, sent.body, hashlib.sha1).hexdigest()
    assert "Grüße 🎉".encode() in sent.body
    assert sent.headers["Content-Type"] == "application/json"
    assert sent.headers["User-Agent"].startswith("GitHub-Hookshot/")
    assert sent.headers["X-GitHub-Hook-ID"].isdigit()
    assert sent.headers["X-GitHub-Hook-Installation-Target-Type"] == "integration"
    assert sent.headers["X-GitHub-Hook-Installation-Target-ID"] == str(github.app_id)
    assert len(sent.headers["X-GitHub-Delivery"]) == 36


async def test_every_attempt_is_recorded_and_none_repeated(
    github: Simulator, repository: Repository, receiver: Receiver
) -> None:
    receiver.status = 503
    await github.push(repository, "main", {"a.txt": "a"})
    await github.hooks.settle()
    delivery = next(one for one in github.deliveries if one.event == "push")
    assert (delivery.status, delivery.status_code) == ("Invalid HTTP Response: 503", 503)
    assert (delivery.response_body, delivery.response_headers["X-Receiver"]) == ("taken", "here")
    assert receiver.events().count("push") == 1


async def test_a_redelivery_has_the_same_guid_and_bytes(
    client: Client, repository: Repository, receiver: Receiver
) -> None:
    github = client.github
    receiver.status = 500
    await github.push(repository, "main", {"a.txt": "a"})
    await github.hooks.settle()
    first = next(one for one in github.deliveries if one.event == "push")
    receiver.status = 202
    assert (await client.as_app("POST", f"/app/hook/deliveries/{first.id}/attempts")).status == 202
    await github.hooks.settle()
    second = github.deliveries[-1]
    assert (second.guid, second.body, second.headers) == (first.guid, first.body, first.headers)
    assert (second.redelivery, second.status, first.status_code) == (True, "OK", 500)
    assert second.id > first.id
    assert github.redeliver(first.id).guid == first.guid
    assert (await client.as_app("POST", "/app/hook/deliveries/1/attempts")).status == 404


async def test_deliveries_are_listed_newest_first_by_cursor(
    client: Client, repository: Repository, receiver: Receiver
) -> None:
    github = client.github
    await github.push_many(repository, [f"b{number}" for number in range(40)])
    await github.hooks.settle()
    seen: list[int] = []
    path = "/app/hook/deliveries?per_page=25"
    while path:
        answer = await client.as_app("GET", path)
        seen += [one["id"] for one in answer.body]
        link = answer.headers.get("Link", "")
        assert not link or 'rel="next"' in link
        path = link.partition(">")[0].removeprefix("<").removeprefix(github.api_url)
    assert seen == sorted((one.id for one in github.deliveries), reverse=True)
    assert len(seen) == 81
    assert (await client.as_app("GET", "/app/hook/deliveries?cursor=nonsense")).status == 422
    installation = github.installation_of("octo")
    assert installation is not None
    item = (await client.as_app("GET", "/app/hook/deliveries?per_page=1")).body[0]
    assert (item["installation_id"], item["repository_id"]) == (installation.id, repository.id)


async def test_deliveries_are_chosen_by_outcome(client: Client, repository: Repository, receiver: Receiver) -> None:
    await client.github.hooks.settle()
    receiver.status = 401
    await client.github.push(repository, "main", {"a.txt": "a"})
    await client.github.hooks.settle()
    for status, expected in (("success", {202}), ("failure", {401})):
        listed = (await client.as_app("GET", f"/app/hook/deliveries?status={status}")).body
        assert {one["status_code"] for one in listed} == expected


async def test_one_delivery_shows_what_was_sent_and_answered(client: Client, repository: Repository) -> None:
    await client.github.push(repository, "main", {"a.txt": "a"})
    await client.github.hooks.settle()
    found = next(one for one in client.github.deliveries if one.event == "push")
    body = (await client.as_app("GET", f"/app/hook/deliveries/{found.id}")).body
    assert body["request"]["payload"] == json.loads(found.body)
    assert body["request"]["headers"]["X-Hub-Signature-256"] == client.github.sign(found.body)
    assert (body["response"]["payload"], body["status"], body["event"]) == ("taken", "OK", "push")
    assert (await client.as_app("GET", "/app/hook/deliveries/1")).status == 404


async def test_what_is_under_way_is_not_listed_yet(client: Client, receiver: Receiver) -> None:
    receiver.hold = asyncio.Event()
    await client.github.create_repository("octo/hello")
    assert (await client.as_app("GET", "/app/hook/deliveries")).body == []
    receiver.hold.set()
    await client.github.hooks.settle()
    assert len((await client.as_app("GET", "/app/hook/deliveries")).body) == 1


async def test_deliveries_go_out_side_by_side(github: Simulator, repository: Repository, receiver: Receiver) -> None:
    await github.hooks.settle()
    receiver.hold = asyncio.Event()
    await github.push_many(repository, [f"b{number}" for number in range(150)])
    async with asyncio.timeout(20):
        while len(receiver.received) < 301:
            await asyncio.sleep(0)
    receiver.hold.set()
    await github.hooks.settle()
    assert {one.status for one in github.deliveries} == {"OK"}


async def test_a_slow_receiver_times_out(github: Simulator, repository: Repository, receiver: Receiver) -> None:
    await github.hooks.settle()
    assert github.hooks.timeout_seconds == 10
    github.hooks.timeout_seconds = 0.05
    receiver.hold = asyncio.Event()
    await github.push(repository, "main", {"a.txt": "a"})
    await github.hooks.settle()
    assert {(one.status, one.status_code) for one in github.deliveries[1:]} == {("timed out", 504)}


async def test_no_receiver_at_all_is_recorded(github: Simulator, repository: Repository) -> None:
    github.webhook_url = "http://127.0.0.1:1/webhook"
    await github.push(repository, "main", {"a.txt": "a"})
    await github.hooks.settle()
    assert {(one.status, one.status_code) for one in github.deliveries[1:]} == {("failed to connect to host", 502)}


async def test_without_an_address_events_are_kept_and_can_be_sent_later(
    client: Client, repository: Repository, receiver: Receiver
) -> None:
    github = client.github
    github.webhook_url = None
    await github.push(repository, "main", {"a.txt": "a"})
    kept = next(one for one in github.deliveries if one.event == "push")
    assert (kept.url, kept.status) == (None, "no webhook URL")
    listed = (await client.as_app("GET", "/app/hook/deliveries")).body
    assert kept.id not in [one["id"] for one in listed]
    github.webhook_url = receiver.url
    again = github.redeliver(kept.id)
    await again.done.wait()
    assert again.status == "OK"


async def test_anything_can_be_posted(github: Simulator, receiver: Receiver) -> None:
    assert await github.deliver_raw(b"{}", event="ping", guid="one") == (202, "taken")
    sent = receiver.received[-1]
    assert (sent.headers["X-GitHub-Delivery"], sent.headers["X-GitHub-Event"]) == ("one", "ping")
    assert sent.headers["X-Hub-Signature-256"] == github.sign(b"{}")
    await github.deliver_raw(
        b"\xff", headers={"X-Hub-Signature-256": None, "content-type": "text/plain", "X-Extra": "1"}
    )
    sent = receiver.received[-1]
    assert sent.body == b"\xff"
    assert "X-Hub-Signature-256" not in sent.headers
    assert (sent.headers["Content-Type"], sent.headers["X-Extra"]) == ("text/plain", "1")
    github.webhook_url = "http://127.0.0.1:1/webhook"
    with pytest.raises(aiohttp.ClientError):
        await github.deliver_raw(b"{}")


async def test_without_a_secret_there_is_no_signature(github: Simulator, receiver: Receiver) -> None:
    github.webhook_secret = None
    await github.create_repository("octo/hello")
    await github.hooks.settle()
    assert not any(name.lower().startswith("x-hub-signature") for name in receiver.received[-1].headers)


async def test_an_event_that_is_too_large_is_never_sent(
    github: Simulator, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hooks, "LARGEST_PAYLOAD_BYTES", 3_000)
    await github.push(repository, "main", {"a.txt": "a"})
    assert [one.event for one in github.deliveries] == ["installation"]


async def test_a_redirect_is_not_followed(github: Simulator, receiver: Receiver) -> None:
    receiver.status = 307
    await github.create_repository("octo/hello")
    await github.hooks.settle()
    assert [one.status_code for one in github.deliveries] == [307]
    assert len(receiver.received) == 1


async def test_a_redelivery_may_come_unsigned(github: Simulator, repository: Repository, receiver: Receiver) -> None:
    await github.hooks.settle()
    github.hooks.unsigned_redeliveries = True
    await github.redeliver(github.deliveries[0].id).done.wait()
    first, second = receiver.received
    assert "X-Hub-Signature-256" in first.headers
    assert "X-Hub-Signature-256" not in second.headers
    assert second.headers["X-Hub-Signature"] == first.headers["X-Hub-Signature"]
    assert second.body == first.body


async def test_what_is_older_than_three_days_is_gone(client: Client, repository: Repository) -> None:
    github = client.github
    await github.hooks.settle()
    old = github.deliveries[0].id
    github.hooks.age(2.9)
    assert [one["id"] for one in (await client.as_app("GET", "/app/hook/deliveries")).body] == [old]
    assert (await client.as_app("GET", f"/app/hook/deliveries/{old}")).status == 200
    github.hooks.age(0.1)
    await github.push(repository, "main", {"a.txt": "a"})
    await github.hooks.settle()
    listed = (await client.as_app("GET", "/app/hook/deliveries")).body
    assert [one["id"] for one in listed] == [one.id for one in reversed(github.deliveries) if one.id != old]
    assert (await client.as_app("GET", f"/app/hook/deliveries/{old}")).status == 404
    assert (await client.as_app("POST", f"/app/hook/deliveries/{old}/attempts")).status == 422


async def test_a_receiver_that_is_down_hears_nothing_and_can_be_asked_again(
    client: Client, repository: Repository, receiver: Receiver
) -> None:
    github = client.github
    await github.hooks.settle()
    heard = len(receiver.received)
    github.hooks.is_down = True
    await github.push(repository, "main", {"a.txt": "a"})
    await github.hooks.settle()
    assert len(receiver.received) == heard
    failed = (await client.as_app("GET", "/app/hook/deliveries?status=failure")).body
    assert {(one["status"], one["status_code"]) for one in failed} == {("failed to connect to host", 502)}
    assert sorted(one["event"] for one in failed) == ["check_suite", "push"]
    github.hooks.is_down = False
    for one in failed:
        await client.as_app("POST", f"/app/hook/deliveries/{one['id']}/attempts")
    await github.hooks.settle()
    assert len(receiver.received) == heard + 2


async def test_the_webhook_is_shown_without_its_secret_and_pinged(client: Client, receiver: Receiver) -> None:
    github = client.github
    shown = {"url": receiver.url, "content_type": "json", "insecure_ssl": "0", "secret": "********"}
    assert (await client.as_app("GET", "/app/hook/config")).body == shown
    assert (await client("GET", "/app/hook/config", token="")).status == 401
    await github.ping().done.wait()
    assert receiver.events() == ["ping"]
    github.webhook_url, github.webhook_secret, github.hooks.is_insecure = None, None, True
    assert (await client.as_app("GET", "/app/hook/config")).body == {"content_type": "json", "insecure_ssl": "1"}


async def test_a_form_holds_the_same_payload(client: Client, receiver: Receiver) -> None:
    client.github.hooks.content_type = "form"
    sent = client.github.ping()
    await sent.done.wait()
    (came,) = receiver.received
    assert came.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert came.body.startswith(b"payload=%7B")
    shown = (await client.as_app("GET", f"/app/hook/deliveries/{sent.id}")).body
    assert shown["request"]["payload"]["hook"]["config"]["content_type"] == "form"
