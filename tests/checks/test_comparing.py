"""The comparison of what was restored with what GitHub shows: who wins, check by check and delivery by delivery."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bot.checks import comparing
from bot.checks.comparing import Action
from bot.github.checks import Found
from bot.model import check
from tests import factories, recorded


def run(external_id: str, *, id: int = 1, status: str = "completed", name: str = "buildhook") -> Found:
    return Found(
        id=id,
        name=name,
        external_id=external_id,
        status=status,
        conclusion="success" if status == "completed" else None,
        annotations_count=0,
    )


def own(**changes: Any) -> check.Check:
    return factories.make_check(**{"external_id": "mine", **changes})


def judged(*found: Found, of: check.Check | None = None, is_wanted: bool = True) -> Action:
    (verdict,) = comparing.judge([of or own()], found, is_wanted=is_wanted)
    return verdict.action


def test_what_github_shows_to_have_ended_stays() -> None:
    assert judged(run("mine")) == Action.TAKE
    assert judged(run("mine"), is_wanted=False) == Action.TAKE


@pytest.mark.parametrize("status", ["queued", "in_progress"])
@pytest.mark.parametrize("is_wanted", [True, False])
def test_what_hangs_on_github_is_told_and_so_comes_to_its_end(status: str, is_wanted: bool) -> None:
    (verdict,) = comparing.judge([own()], [run("mine", id=7, status=status)], is_wanted=is_wanted)
    assert (verdict.action, verdict.found and verdict.found.id) == (Action.KEEP, 7)


def test_what_github_never_heard_of_is_told_only_where_it_matters() -> None:
    assert judged(is_wanted=True) == Action.KEEP
    assert judged(is_wanted=False) == Action.DROP


def test_a_run_that_the_backup_does_not_know_is_newer() -> None:
    assert judged(run("later", id=9)) == Action.DROP
    assert judged(run("later", id=9), run("mine", id=2, status="in_progress")) == Action.DROP
    assert judged(run("later", id=9), run("mine", id=2)) == Action.DROP


def test_a_run_from_before_ours_is_older_whoever_knows_it() -> None:
    assert judged(run("mine", id=9, status="queued"), run("forgotten", id=2)) == Action.KEEP


def test_runs_of_other_names_say_nothing() -> None:
    assert judged(run("later", id=9, name="buildhook / lint"), run("mine", status="queued")) == Action.KEEP
    # Even under our id: a run is known by both.
    assert judged(run("mine", name="buildhook / lint"), is_wanted=False) == Action.DROP


def test_of_generations_that_are_known_the_newest_that_github_has_counts() -> None:
    first, second = own(external_id="first", generation=1), own(external_id="second", generation=2)
    verdicts = comparing.judge([first, second], [run("second", id=2, status="queued")], is_wanted=True)
    assert [(one.check, one.action) for one in verdicts] == [(first, Action.DROP), (second, Action.KEEP)]
    verdicts = comparing.judge([first, second], [run("first", id=2, status="queued")], is_wanted=True)
    assert [one.action for one in verdicts] == [Action.KEEP, Action.KEEP]


def test_of_a_superseded_build_no_check_is_told_whatever_its_name() -> None:
    whole = own(build_id="b", external_id="whole")
    part = own(build_id="b", external_id="part", name="buildhook / lint", job_id="j")
    verdicts = comparing.judge([whole, part], [run("later", id=9)], is_wanted=True)
    assert [one.action for one in verdicts] == [Action.DROP, Action.DROP]


def test_what_was_told_to_its_end_needs_no_verdict_but_tells_of_its_generation() -> None:
    ended = own(external_id="second", generation=2, reported_version=1, reported_status="completed")
    opened = own(external_id="first", generation=1)
    (verdict,) = comparing.judge([opened, ended], [run("second", id=2), run("first", status="queued")], is_wanted=True)
    assert (verdict.check, verdict.action) == (opened, Action.DROP)


@pytest.mark.parametrize(
    ("action", "name", "ends_build"),
    [
        (Action.DROP, "buildhook / lint", True),
        (Action.TAKE, "buildhook / lint", False),
        (Action.TAKE, "buildhook", True),
        (Action.KEEP, "buildhook", False),
    ],
)
def test_a_build_ends_when_it_is_dropped_or_its_whole_has_ended(action: Action, name: str, ends_build: bool) -> None:
    verdict = comparing.Verdict(check=own(name=name), action=action, found=None, text="Why.")
    assert verdict.ends_build is ends_build


@pytest.mark.parametrize(
    ("event", "action", "path"),
    [
        ("push", None, "after"),
        ("pull_request", "opened", "pull_request.head.sha"),
        ("pull_request", "synchronize", "pull_request.head.sha"),
        ("pull_request", "closed", None),
        ("check_run", "rerequested", "check_run.head_sha"),
        ("check_suite", "rerequested", "check_suite.head_sha"),
        ("check_run", "created", None),
        ("installation", "deleted", None),
        ("ping", None, None),
    ],
)
def test_the_commit_of_a_recorded_delivery(event: str, action: str | None, path: str | None) -> None:
    given = recorded.load(event, action)
    wanted: Any = None
    if path is not None:
        wanted = given.payload()
        for name in path.split("."):
            wanted = wanted[name]
    found = comparing.told(event, given.body)
    assert (found and found.head_sha) == wanted
    # GitHub says of each when it happened.
    assert found is None or found.at is not None


@pytest.mark.parametrize("payload", [b"", b"[]", b"\xff", b'{"after": 7}', json.dumps({"after": "0" * 40}).encode()])
def test_a_payload_without_a_commit_has_none(payload: bytes) -> None:
    assert comparing.told("push", payload) is None


def test_a_delivery_was_handled_where_github_shows_what_the_backup_does_not_know() -> None:
    for is_wanted in (True, False):
        assert "behind the backup" in (comparing.why_done([own()], [run("later")], is_wanted=is_wanted) or "")
        # What it shows was there before: the delivery still has to be handled.
        assert comparing.why_done([own()], [run("mine")], is_wanted=is_wanted) is None
    assert comparing.why_done([], [], is_wanted=True) is None
    assert "head of no open" in (comparing.why_done([], [], is_wanted=False) or "")
