"""Lines fold by what builds print for others: GitHub Actions and Buildkite; what only looks so does not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.web import groups, scanning
from bot.web.groups import Group, Mark
from tests import factories
from tests.web.house import House


def found(text: bytes, *, steps: tuple[int, ...] = (), failures: tuple[int, ...] = ()) -> list[Group]:
    total = text.count(b"\n") + 1
    return groups.group(groups.marks(text, number=1), total=total, steps=steps, failures=failures)


def test_groups_of_github_end_where_they_say_and_are_closed() -> None:
    text = b"a\n::group::Install\nb\nc\n::endgroup::\nd\n##[group]Test\ne\n##[endgroup]\nf"
    assert found(text) == [Group(2, 5, False), Group(7, 9, False)]


def test_groups_of_buildkite_end_where_the_next_begins() -> None:
    text = b"--- Install\na\n+++ Test\nb\nc\n~~~ Clean\nd\ne"
    assert found(text) == [Group(1, 2, False), Group(3, 5, True), Group(6, 8, False)]


def test_a_closed_group_opens_itself() -> None:
    assert found(b"--- Test\nbad\n^^^ +++\nmore") == [Group(1, 4, True)]


def test_colours_may_stand_before_a_mark_and_nothing_else() -> None:
    assert found(b"\x1b[33;1m--- Test\x1b[0m\na") == [Group(1, 2, False)]
    assert found(b"x --- Test\na\n  ::group::x\na\n-----\na\n---\na") == []


@pytest.mark.parametrize(
    "text",
    [
        b"--- a/one.py\n+++ b/one.py\n@@ -1 +1 @@",
        b"--- /dev/null\n+++ b/new.py\nx",
        b"--- FAIL: TestHello (0.00s)\n    hello_test.go:9: no\n--- PASS: TestBye (0.00s)\nok",
    ],
)
def test_a_diff_and_go_test_fold_nothing(text: bytes) -> None:
    assert found(text) == []


def test_no_group_goes_beyond_its_step_and_failures_stand_open() -> None:
    text = b"::group::one\na\nb\n::group::two\nc\nd"
    assert found(text, steps=(1, 3)) == [Group(1, 2, False), Group(4, 6, False)]
    assert found(text, failures=(5,)) == [Group(1, 3, False), Group(4, 6, True)]
    # A step that begins with a group's own line.
    assert found(text, steps=(1, 4)) == [Group(1, 3, False), Group(4, 6, False)]


@given(st.lists(st.sampled_from([b"::group::g", b"::endgroup::", b"--- b", b"+++ c", b"^^^ +++", b"x"]), max_size=30))
def test_groups_never_overlap_and_lie_in_the_log(lines: list[bytes]) -> None:
    made = found(b"\n".join(lines), steps=(4,), failures=(7,))
    edges = [edge for one in made for edge in (one.first, one.last)]
    assert edges == sorted(set(edges))
    assert not edges or (edges[0] >= 1 and edges[-1] <= max(len(lines), 1))


async def test_marks_are_found_in_a_log_of_many_steps_of_reading(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scanning, "STEP_BYTES", 64)
    job_id = factories.new_id()
    lines = [b"::group::g" if number % 9 == 0 else b"line %d" % number for number in range(1, 200)]
    await house.logs.append(job_id, offset_bytes=0, data=b"\n".join(lines))
    expected = [Mark(number, "begin") for number in range(9, 200, 9)]
    assert await groups.load(house.logs, job_id) == expected
    await house.logs.seal(job_id)
    assert await groups.load(house.logs, job_id) == expected


def test_there_are_not_more_groups_than_a_page_can_bear() -> None:
    assert len(found(b"::group::g\na\n" * (groups.MAX_GROUPS + 9))) == groups.MAX_GROUPS
