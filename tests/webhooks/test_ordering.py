"""Ordering keys: what is about one thing waits in line, everything else does not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bot.webhooks import ordering, shape
from tests import recorded

_HEAD = shape.Head(installation_id=9, repository_id=7, number=3, ref="refs/heads/main", head_sha="a" * 40)
_HEADS = st.builds(
    shape.Head,
    action=st.none() | st.text(max_size=5),
    installation_id=st.none() | st.integers(1, 3),
    repository_id=st.none() | st.integers(1, 3),
    repository=st.none() | st.text(max_size=5),
    number=st.none() | st.integers(1, 3),
    ref=st.none() | st.text(max_size=4096),
    head_sha=st.none() | st.text(max_size=255),
)
_EVENTS = st.sampled_from([one.event for one in recorded.all_recorded()]) | st.from_regex(
    "[a-z_]{1,100}", fullmatch=True
)


def _key(event: str, head: shape.Head = _HEAD, *, hook_id: int = 4242, guid: str = "g-1") -> str:
    return ordering.key(event, head=head, hook_id=hook_id, guid=guid)


@pytest.mark.parametrize(
    "events",
    [
        ["pull_request", "pull_request_review", "issue_comment"],
        ["push", "create", "delete"],
        ["check_run", "check_suite"],
        ["installation", "installation_repositories"],
    ],
)
def test_events_that_move_one_thing_share_a_key(events: list[str]) -> None:
    assert len({_key(event, guid=event) for event in events}) == 1


def test_a_tag_is_in_line_with_the_push_of_it_although_it_is_named_otherwise() -> None:
    pushed = _key("push", replace(_HEAD, ref="refs/tags/v1"))
    assert _key("create", replace(_HEAD, ref="v1", ref_type="tag")) == pushed
    assert _key("delete", replace(_HEAD, ref="v1", ref_type="tag")) == pushed
    assert _key("create", replace(_HEAD, ref="v1", ref_type="branch")) == _key(
        "push", replace(_HEAD, ref="refs/heads/v1")
    )


def test_what_happens_to_a_repository_is_in_line() -> None:
    assert _key("repository", guid="a") == _key("repository", guid="b")


@pytest.mark.parametrize(
    ("event", "other"),
    [
        ("pull_request", replace(_HEAD, number=4)),
        ("push", replace(_HEAD, ref="refs/heads/other")),
        ("push", replace(_HEAD, ref="refs/tags/main")),
        ("check_run", replace(_HEAD, head_sha="b" * 40)),
        ("pull_request", replace(_HEAD, repository_id=8)),
        ("push", replace(_HEAD, repository_id=8)),
        ("check_suite", replace(_HEAD, repository_id=8)),
        ("installation", replace(_HEAD, installation_id=8)),
    ],
)
def test_another_thing_has_another_key(event: str, other: shape.Head) -> None:
    assert _key(event) != _key(event, other)


@pytest.mark.parametrize("event", ["ping", "star", "workflow_job", "delivery", "security_advisory"])
def test_an_event_about_nothing_of_ours_waits_for_nobody(event: str) -> None:
    keys = {_key(event, guid="a"), _key(event, guid="b"), _key(event, guid="a", hook_id=1)}
    assert len(keys) == 3


@given(event=_EVENTS, head=_HEADS)
def test_every_event_gets_a_key_that_fits_its_column(event: str, head: shape.Head) -> None:
    key = _key(event, head, hook_id=10**18 - 1, guid="g" * 72)
    assert 0 < len(key) <= 512


@given(event=_EVENTS, head=_HEADS, other=_HEADS)
def test_without_a_shared_subject_two_deliveries_never_share_a_key(
    event: str, head: shape.Head, other: shape.Head
) -> None:
    if head.repository_id != other.repository_id and head.installation_id != other.installation_id:
        assert _key(event, head, guid="a") != _key(event, other, guid="b")


@given(head=_HEADS, event=_EVENTS)
def test_the_same_delivery_always_gets_the_same_key(head: shape.Head, event: str) -> None:
    assert _key(event, head) == _key(event, head)


@pytest.mark.parametrize("action", ["opened", "synchronize", "edited", "closed", "reopened"])
def test_the_deliveries_of_one_recorded_pull_request_are_in_one_line(action: str) -> None:
    head = shape.read(recorded.load("pull_request", action).body)
    assert _key("pull_request", head) == f"pull:{head.repository_id}:{head.number}"
