"""The recorded deliveries are what they say: complete, signed, small."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from bot.webhooks import signature
from tests import recorded

EVERY = recorded.all_recorded()
_FIXTURES = Path(__file__).parent.parent / "fixtures"


@pytest.mark.parametrize("one", EVERY, ids=lambda one: one.name)
def test_every_recorded_delivery_is_genuine(one: recorded.Recorded) -> None:
    header = one.headers["X-Hub-Signature-256"]
    assert signature.verify(one.body, header=header, secrets=[recorded.SECRET]) == 0
    assert header == recorded.sign(one.body)
    assert one.headers["X-GitHub-Event"] == one.event
    assert one.headers["X-GitHub-Hook-Installation-Target-Type"] == "integration"
    assert one.headers["X-GitHub-Hook-Installation-Target-ID"] == str(recorded.APP_ID)
    assert one.headers["X-GitHub-Hook-ID"] == str(recorded.HOOK_ID)
    assert one.headers["Content-Type"] == "application/json"
    assert one.headers["User-Agent"].startswith("GitHub-Hookshot/")
    assert one.payload().get("action") == one.action


def test_each_has_an_id_of_its_own() -> None:
    guids = [one.headers["X-GitHub-Delivery"] for one in EVERY]
    assert len(set(guids)) == len(guids) > 250
    assert all(uuid.UUID(guid) for guid in guids)


def test_an_apps_deliveries_name_their_installation() -> None:
    without = {one.event for one in EVERY if "installation" not in one.payload()}
    assert without == {
        "github_app_authorization",
        "marketplace_purchase",
        "ping",
        "security_advisory",
        "sponsorship",
    }


@pytest.mark.parametrize(
    ("event", "actions"),
    [
        ("check_run", {"created", "completed", "rerequested", "requested_action"}),
        ("check_suite", {"completed", "requested", "rerequested"}),
        ("installation", {"created", "deleted", "suspend", "unsuspend", "new_permissions_accepted"}),
        ("installation_repositories", {"added", "removed"}),
        ("issue_comment", {"created", "edited", "deleted"}),
        ("merge_group", {"checks_requested", "destroyed"}),
        ("pull_request", {"opened", "synchronize", "reopened", "closed", "edited", "ready_for_review", "enqueued"}),
        ("push", {None}),
        ("repository", {"renamed", "transferred", "deleted", "privatized"}),
    ],
)
def test_every_action_that_builds_hang_on_is_there(event: str, actions: set[str | None]) -> None:
    assert actions <= {one.action for one in EVERY if one.event == event}


def test_a_changed_delivery_is_signed_again() -> None:
    opened = recorded.load("pull_request", "opened")
    changed = recorded.resigned(opened, changes={"pull_request.head.sha": "a" * 40}, guid="hello-1")
    assert changed.payload()["pull_request"]["head"]["sha"] == "a" * 40
    assert opened.payload()["pull_request"]["head"]["sha"] != "a" * 40
    assert changed.headers["X-GitHub-Delivery"] == "hello-1"
    assert changed.headers["X-Hub-Signature-256"] == recorded.sign(changed.body)
    assert "X-Hub-Signature" not in changed.headers


def test_what_was_derived_is_written_down() -> None:
    derived = dict(line.split(": ", 1) for line in (_FIXTURES / "derived.txt").read_text().splitlines())
    assert set(derived) <= {f"{one.event}/{one.action or '_'}" for one in EVERY}


def test_they_are_small_enough_to_be_kept_with_the_code() -> None:
    assert sum(file.stat().st_size for file in _FIXTURES.rglob("*") if file.is_file()) < 6_000_000
