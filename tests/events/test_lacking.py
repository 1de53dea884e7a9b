"""What GitHub's state has and nobody told of: pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from gidgethub import sansio
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bot.events import lacking, payloads
from bot.github import checks, pulls, refs
from bot.model import build, check
from bot.store import known
from tests.factories import BASE_SHA, HEAD_SHA, NOW, REPOSITORY_ID, make_check, make_pull

MINUTE = timedelta(minutes=1)
MAIN = "refs/heads/main"
REPOSITORY = json.dumps(
    {"id": REPOSITORY_ID, "full_name": "octo/hello", "owner": {"id": 5, "login": "octo", "type": "User"}}
).encode()
END: dict[str, Any] = {"sha": HEAD_SHA, "ref": "feature", "repo": {"id": REPOSITORY_ID}}


def open_pull(**changes: Any) -> pulls.OpenPull:
    """An open pull request as GitHub lists it, and as read."""
    pull = pulls.Pull(
        number=7,
        state="open",
        head_sha=HEAD_SHA,
        head_ref="feature",
        head_repository_id=REPOSITORY_ID,
        base_sha=BASE_SHA,
        base_ref="main",
        base_repository_id=REPOSITORY_ID,
        author="mona",
        author_id=3,
        is_draft=False,
        updated_at=NOW,
    )
    raw = {
        "number": 7,
        "state": "open",
        "title": "Greet",
        "user": {"id": 3, "login": "mona"},
        "head": END,
        "base": {**END, "sha": BASE_SHA, "ref": "main"},
        "updated_at": "2026-03-04T05:06:07Z",
    }
    return pulls.OpenPull(pull=replace(pull, **changes), raw=json.dumps(raw).encode())


def shown(**changes: Any) -> lacking.Shown:
    """A repository with a default branch and nothing else."""
    made = lacking.Shown(repository_id=REPOSITORY_ID, default_branch="main", branch_sha=HEAD_SHA, pulls=(), tags=())
    return replace(made, **changes)


def told(*heads: known.Head, pulls: Mapping[int, build.Pull] | None = None, **changes: Any) -> lacking.Told:
    return replace(lacking.Told(pulls=pulls or {}, heads=heads), **changes)


def head(**changes: Any) -> known.Head:
    """A trusted build that passed, of a push to main."""
    made = known.Head(event="push", ref=MAIN, trust=build.Trust.TRUSTED, state=build.State.PASSED)
    return replace(made, **changes)


def visit(**changes: Any) -> lacking.Visit:
    return replace(lacking.Visit(visited_at=NOW, branch_sha=BASE_SHA, tags=()), **changes)


def lacks(view: lacking.Shown, known_: lacking.Told, before: lacking.Visit | None = None) -> list[str]:
    return [one.ref or f"pull {one.pull and one.pull.pull.number}" for one in lacking.find(view, known_, before)]


@pytest.mark.parametrize(
    ("known_", "before", "is_lacking"),
    [
        (told(), None, True),
        (told(head()), None, False),
        (told(head(state=build.State.CANCELLED)), None, False),
        (told(head(event="pull_request", ref="refs/pull/7/merge")), None, False),
        (told(head(event="pull_request", trust=build.Trust.UNTRUSTED)), None, True),
        (told(head(event="pull_request", state=build.State.CANCELLED)), None, True),
        (told(pushes={(MAIN, HEAD_SHA)}), None, False),
        (told(pushes={(MAIN, BASE_SHA)}), None, True),
        (told(), visit(branch_sha=HEAD_SHA), False),
        (told(), visit(), True),
    ],
)
def test_a_head_of_the_default_branch(known_: lacking.Told, before: lacking.Visit | None, is_lacking: bool) -> None:
    assert lacks(shown(), known_, before) == ([MAIN] if is_lacking else [])


def test_an_empty_repository_lacks_nothing() -> None:
    assert lacks(shown(branch_sha=None), told()) == []


@pytest.mark.parametrize(
    ("last", "action"),
    [
        (None, "synchronize"),
        (make_pull(), None),
        (make_pull(base_sha="1" * 40), None),
        (make_pull(head_sha=BASE_SHA), "synchronize"),
        (make_pull(base_ref="release"), "synchronize"),
        (make_pull(state="closed"), "reopened"),
    ],
)
def test_a_head_of_a_pull_request(last: build.Pull | None, action: str | None) -> None:
    known_ = told(head(), pulls={} if last is None else {7: last})
    found = lacking.find(shown(pulls=(open_pull(),)), known_, None)
    assert [one.action for one in found] == ([] if action is None else [action])


def test_f46_tags_that_are_new_since_the_last_look() -> None:
    tags = tuple(refs.Tag(name=name, sha=HEAD_SHA) for name in ("v1", "v2", "v3"))
    view = shown(tags=tags, branch_sha=None)
    # A new installation does not build every old tag.
    assert lacks(view, told(), None) == []
    assert lacks(view, told(), visit(tags=("v1",))) == ["refs/tags/v2", "refs/tags/v3"]
    # The object of an annotated tag is another one than its commit.
    assert lacks(view, told(pushes={("refs/tags/v2", "9" * 40)}), visit(tags=("v1",))) == ["refs/tags/v3"]


def test_what_lacks_waits_for_its_event_and_is_remembered_until_it_is_made() -> None:
    view = shown(tags=(refs.Tag(name="v1", sha=HEAD_SHA),))
    found = lacking.find(view, told(), visit())
    due, since = lacking.due(found, visit(), now=NOW, grace=MINUTE)
    assert due == []
    still = {one: since[one.guid] for one in found}
    first = lacking.visited(view, visit(), still=still, now=NOW + MINUTE / 2)
    assert (first.branch_sha, first.tags, first.visited_at) == (BASE_SHA, (), NOW)
    due, _ = lacking.due(found, first, now=NOW + MINUTE, grace=MINUTE)
    assert due == found
    second = lacking.visited(view, first, still={}, now=NOW + MINUTE)
    assert second == lacking.Visit(visited_at=NOW + MINUTE, branch_sha=HEAD_SHA, tags=("v1",))
    assert lacks(view, told(), second) == []
    assert msgspec.json.decode(msgspec.json.encode(first), type=lacking.Visit) == first


def test_a_guid_is_that_of_its_state_and_of_no_other() -> None:
    def guids(view: lacking.Shown, *, last: build.Pull | None = None) -> set[str]:
        return {one.guid for one in lacking.find(view, told(pulls={7: last} if last else {}), visit())}

    views = [
        shown(),
        shown(repository_id=REPOSITORY_ID + 1),
        shown(branch_sha="1" * 40),
        shown(default_branch="trunk"),
        *(
            shown(branch_sha=None, pulls=(open_pull(**changes),))
            for changes in ({}, {"number": 8}, {"head_sha": "1" * 40}, {"base_sha": "2" * 40}, {"base_ref": "next"})
        ),
    ]
    made = [guids(view) for view in views]
    assert len(set.union(*made)) == len(views)
    assert [guids(view) for view in views] == made
    # What only the time of its last change tells apart is one state, unless it was opened anew.
    later = shown(branch_sha=None, pulls=(open_pull(updated_at=NOW + MINUTE),))
    now = shown(branch_sha=None, pulls=(open_pull(),))
    assert guids(later) == guids(now)
    closed = make_pull(state="closed")
    assert guids(later, last=closed) != guids(now, last=closed)


def test_the_payloads_are_those_that_handlers_read() -> None:
    (branch, pull) = lacking.find(shown(pulls=(open_pull(),)), told(), None)
    read = payloads.read(_event(branch), payloads.Push)
    assert (read.ref, read.after, read.before, read.deleted) == (MAIN, HEAD_SHA, "0" * 40, False)
    assert (read.repository.full_name, read.sender.login) == ("octo/hello", "octo")
    assert read.installation is not None
    assert read.installation.id == 9
    changed = payloads.read(_event(pull), payloads.PullRequest)
    assert (changed.action, changed.number, changed.pull_request.head.sha) == ("synchronize", 7, HEAD_SHA)
    assert (changed.sender.login, changed.sender.id) == ("mona", 3)


def test_the_pull_request_of_a_deleted_user_is_ghosts() -> None:
    (pull,) = lacking.find(shown(branch_sha=None, pulls=(open_pull(author="ghost", author_id=0),)), told(), None)
    assert payloads.read(_event(pull), payloads.PullRequest).sender.login == "ghost"


def _event(one: lacking.Lacking) -> sansio.Event:
    body = lacking.payload(one, repository=REPOSITORY, installation_id=9)
    return sansio.Event(json.loads(body), event=one.event, delivery_id=one.guid)


LONG_AGO = NOW - timedelta(hours=2)
ORPHAN = "01J" + "0" * 23


def ended(**changes: Any) -> check.Check:
    """A check that GitHub acknowledged as completed, long ago."""
    made = make_check(
        github_id=1, reported_version=1, reported_status="completed", reported_at=LONG_AGO, sent_at=LONG_AGO
    )
    return replace(made, **changes)


def run(**changes: Any) -> checks.Found:
    """A check run of ours that is completed."""
    made = checks.Found(
        id=1,
        name="buildhook",
        external_id=ORPHAN,
        status="completed",
        conclusion="success",
        annotations_count=0,
        started_at=LONG_AGO,
    )
    return replace(made, **changes)


def test_check_runs_that_agree_are_left_alone() -> None:
    assert lacking.compare([ended()], [run()], now=NOW) == lacking.Difference()
    assert lacking.compare([], [], now=NOW) == lacking.Difference()


def test_a_completed_check_that_github_shows_otherwise_is_sent_again() -> None:
    one = ended()
    assert lacking.compare([one], [run(status="queued", conclusion=None)], now=NOW).unfinished == (one,)
    assert lacking.compare([one], [], now=NOW).gone == (one,)
    assert lacking.compare([one], [run(id=2)], now=NOW).gone == (one,)


@pytest.mark.parametrize(
    "changes",
    [
        {"desired_version": 2},
        {"error": "GitHub says no."},
        {"github_id": None},
        {"reported_at": None, "reported_status": "in_progress"},
        {"reported_at": NOW - MINUTE},
    ],
)
def test_a_check_that_is_on_its_way_or_given_up_is_left_alone(changes: dict[str, Any]) -> None:
    assert lacking.compare([ended(**changes)], [], now=NOW) == lacking.Difference()


def test_only_the_newest_generation_counts() -> None:
    older, newer = ended(generation=1), ended(generation=2, github_id=2)
    assert lacking.compare([newer, older], [run(id=2)], now=NOW) == lacking.Difference()
    assert lacking.compare([newer, older], [run(id=1)], now=NOW).gone == (newer,)


def test_a_list_that_may_be_cut_proves_nothing_gone() -> None:
    many = [run(id=number) for number in range(2, 1002)]
    assert lacking.compare([ended()], many, now=NOW).gone == ()


@pytest.mark.parametrize(
    ("changes", "is_orphaned"),
    [
        ({}, True),
        ({"name": "buildhook / test"}, True),
        ({"status": "in_progress"}, True),
        ({"status": "completed"}, False),
        ({"started_at": NOW - MINUTE}, False),
        ({"started_at": None}, False),
        ({"name": "lint"}, False),
        ({"name": "buildhooked"}, False),
        ({"external_id": "mine"}, False),
        ({"external_id": None}, False),
    ],
)
def test_f21_a_run_of_ours_that_nobody_will_complete(changes: dict[str, Any], is_orphaned: bool) -> None:
    one = run(**{"status": "queued", "conclusion": None, **changes})
    assert lacking.compare([], [one], now=NOW).orphaned == ((one,) if is_orphaned else ())
    # Known by either mark, it is no orphan.
    assert lacking.compare([make_check(github_id=one.id)], [one], now=NOW).orphaned == ()
    if one.external_id is not None:
        assert lacking.compare([make_check(external_id=one.external_id)], [one], now=NOW).orphaned == ()


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 4)), max_size=12), st.integers(0, 4))
def test_whatever_lacks_is_made_once_and_forgotten_never(arrivals: list[tuple[bool, int]], grace: int) -> None:
    """Tags appear at some minutes, with their event or without; a look each minute."""
    made: list[str] = []
    before: lacking.Visit | None = lacking.Visit(visited_at=NOW, tags=())
    there: list[refs.Tag] = []
    pushes: set[tuple[str, str]] = set()
    for minute in range(20):
        now = NOW + minute * MINUTE
        there += [refs.Tag(name=f"t{n}", sha=HEAD_SHA) for n, (_, at) in enumerate(arrivals) if at == minute]
        # An event comes a minute after its tag.
        pushes |= {
            (f"refs/tags/t{n}", HEAD_SHA) for n, (is_told, at) in enumerate(arrivals) if is_told and at + 1 == minute
        }
        view = shown(branch_sha=None, tags=tuple(there))
        found = [one for one in lacking.find(view, told(pushes=pushes), before) if one.guid not in made]
        due, since = lacking.due(found, before, now=now, grace=grace * MINUTE)
        made += [one.guid for one in due]
        still = {one: since[one.guid] for one in found if one not in due}
        before = lacking.visited(view, before, still=still, now=now)
    untold = sum(not is_told for is_told, _ in arrivals)
    assert len(made) == len(set(made)) == (untold if grace > 0 else len(arrivals))
    assert before is not None
    assert before.waiting == {}
