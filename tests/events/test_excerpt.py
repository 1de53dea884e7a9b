"""What expressions find as `github.event`: a bounded part of the payload, in the names and shapes that it has there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from bot import errors
from bot.events import excerpt, imagining, payloads
from tests import recorded

PULLS = [one for one in recorded.all_recorded() if one.event == "pull_request"]
#: What is not GitHub's own word for it, and why.
OURS = {
    # A push that was made up for knows only the last commit of what came.
    "created",
}


def differing(found: Any, told: Any, at: str = "") -> list[str]:
    """Where an excerpt says something else than the payload."""
    if isinstance(found, Mapping):
        return [
            where
            for name, value in found.items()
            if name not in OURS
            for where in differing(value, (told or {}).get(name), f"{at}.{name}")
        ]
    if isinstance(found, list):
        return [where for one, other in zip(found, told or [], strict=True) for where in differing(one, other, at)]
    return [] if found == told or (found == "" and told is None) else [f"{at}: {found!r} is not {told!r}"]


@pytest.mark.parametrize("one", PULLS, ids=lambda one: one.name)
def test_a_pull_request_says_what_its_payload_says(one: recorded.Recorded) -> None:
    told = one.payload()
    found = excerpt.of_pull(msgspec.convert(told, payloads.PullRequest))
    told["pull_request"]["labels"] = [{"name": label["name"]} for label in told["pull_request"]["labels"]]
    assert differing(found, told) == []
    assert found["pull_request"]["head"]["sha"] == told["pull_request"]["head"]["sha"]


def test_a_push_says_what_its_payload_says() -> None:
    told = recorded.load("push").payload()
    made = imagining.make(imagining.Wish(event="push"), told)
    assert differing(made.build.payload, told) == []
    assert made.build.ref == told["ref"]


def test_a_merge_group_says_what_its_payload_says() -> None:
    told = recorded.load("merge_group", "checks_requested").payload()
    made = imagining.make(imagining.Wish(event="merge_group"), told)
    assert differing(made.build.payload, told) == []
    assert made.facts.action == "checks_requested"


def test_t33_however_much_somebody_writes_little_of_it_is_kept() -> None:
    told = recorded.load("pull_request", "opened").payload()
    told["pull_request"] |= {
        "title": "a" * 10**6,
        "body": "b" * 10**6,
        "labels": [{"name": "c" * 10_000} for _ in range(1000)],
    }
    found = excerpt.of_pull(msgspec.convert(told, payloads.PullRequest))
    assert len(found["pull_request"]["title"]) == excerpt.MAX_TEXT
    assert len(found["pull_request"]["labels"]) == excerpt.MAX_LABELS
    assert len(json.dumps(found)) < (excerpt.MAX_LABELS + 4) * (excerpt.MAX_TEXT + 100)


@pytest.mark.parametrize(
    ("wish", "ref", "base"),
    [
        (imagining.Wish(event="push"), "refs/heads/main", None),
        (imagining.Wish(event="push", branch="dev"), "refs/heads/dev", None),
        (imagining.Wish(event="push", tag="v1"), "refs/tags/v1", None),
        (imagining.Wish(event="pull_request", base="dev"), "refs/pull/1/merge", "dev"),
        (imagining.Wish(event="merge_group"), f"refs/heads/gh-readonly-queue/main/pr-1-{'0' * 40}", "main"),
    ],
)
def test_an_event_can_be_imagined_from_little(wish: imagining.Wish, ref: str, base: str | None) -> None:
    made = imagining.make(wish)
    assert (made.facts.ref, made.facts.base_ref, made.facts.changed_files) == (ref, base, None)
    assert (made.build.ref, made.build.base_ref, made.build.event) == (ref, base, wish.event)


def test_a_payload_of_something_else_is_told() -> None:
    with pytest.raises(errors.ShapeUnknown, match="The payload is not that of a push event"):
        imagining.make(imagining.Wish(event="push"), {"action": "opened"})
