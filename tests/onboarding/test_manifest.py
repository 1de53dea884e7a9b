"""The manifest: what app.yml says, and not one permission more; and where it is sent."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
from ruamel.yaml import YAML

from bot.github import needs
from bot.onboarding import manifest, wish

WISH = wish.Wish(
    organization=None,
    name="builds",
    public_url="https://builds.example.org",
    webhook_url="https://builds.example.org/webhook",
)
BACK = "http://127.0.0.1:8080/setup/callback"


def test_t125_the_manifest_asks_for_what_app_yml_says_and_no_more() -> None:
    written = YAML(typ="safe").load((Path(__file__).parents[2] / "app.yml").read_text())
    assert json.loads(manifest.text(WISH, back=BACK)) == {
        "name": "builds",
        "description": written["description"],
        "url": "https://builds.example.org",
        "hook_attributes": {"url": "https://builds.example.org/webhook", "active": True},
        "redirect_url": BACK,
        "callback_urls": ["https://builds.example.org/login/callback"],
        "public": False,
        "default_permissions": written["default_permissions"],
        "default_events": written["default_events"],
    }


def test_behind_a_relay_nobody_signs_in() -> None:
    relayed = msgspec.structs.replace(WISH, public_url=None, webhook_url="https://smee.example/abc")
    made = json.loads(manifest.text(relayed, back=BACK))
    assert made["callback_urls"] == []
    assert made["hook_attributes"]["url"] == "https://smee.example/abc"


def test_it_is_sent_to_whom_the_app_shall_belong() -> None:
    assert (
        manifest.target("https://github.com", WISH, state="a&b") == "https://github.com/settings/apps/new?state=a%26b"
    )
    of_octo = msgspec.structs.replace(WISH, organization="octo")
    assert manifest.target("https://ghe.example", of_octo, state="s") == (
        "https://ghe.example/organizations/octo/settings/apps/new?state=s"
    )


def test_each_permission_and_event_has_its_reason() -> None:
    assert all(one.why and one.why[0] != " " for one in (*needs.ASKED, *needs.HEARD))
    assert [one.name for one in needs.HEARD] == sorted(needs.EVENTS)
    assert needs.unheard({"push"}) == tuple(one.name for one in needs.HEARD if one.name != "push")
