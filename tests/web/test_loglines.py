"""Pieces of a log become the same lines however they were cut, and long ones are shown in parts without a gap."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.web import loglines, logparts
from bot.web.loglines import Assembler, Line
from tests import factories
from tests.web.house import House


def lines_of(*pieces: bytes) -> list[Line]:
    assembler = Assembler(number=1, start_bytes=0)
    found = [line for piece in pieces for line in assembler.feed(piece)]
    rest = assembler.rest()
    return found if rest is None else [*found, rest]


def texts(*pieces: bytes) -> list[str]:
    return [str(line.html) for line in lines_of(*pieces)]


def test_lines_are_numbered_from_one_and_the_last_needs_no_break() -> None:
    assert [(line.number, str(line.html)) for line in lines_of(b"a\n\nb")] == [(1, "a"), (2, ""), (3, "b")]
    assert lines_of(b"") == []


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b" 10%\r 50%\r100%\n", "100%"),
        (b" 10%\r100%\r\n", "100%"),
        (b"windows\r\n", "windows"),
        (b"\r\r\n", ""),
        (b"\rafter", "after"),
    ],
)
def test_a_progress_bar_shows_its_last_state(data: bytes, shown: str) -> None:
    assert texts(data) == [shown]


def test_a_split_character_is_whole_again() -> None:
    assert texts("ä→".encode()[:3], "ä→".encode()[3:]) == ["ä→"]


def test_bytes_that_are_not_text_do_no_harm() -> None:
    assert texts(b"\xff\xfe\n") == ["��"]


def test_t85_a_line_without_end_is_cut_and_what_is_left_out_is_told() -> None:
    (shown,) = texts(*[b"x" * 1000] * 100)
    assert shown.startswith("x" * loglines.MAX_LINE_BYTES + "<span")
    assert f"{100_000 - loglines.MAX_LINE_BYTES} more bytes" in shown


def test_reading_can_go_on_where_the_first_line_that_is_not_whole_begins() -> None:
    assembler = Assembler(number=7, start_bytes=100)
    assert [line.number for line in assembler.feed(b"one\ntw")] == [7]
    assert assembler.next_bytes == 104
    assert [line.number for line in assembler.feed(b"o\n")] == [8]
    assert assembler.next_bytes == 108
    assert assembler.rest() is None


log_bytes = st.lists(
    st.sampled_from([b"a", b"bc", b"\n", b"\r", b"\r\n", b"\x1b[31m", b"\xc3", b"\xa4", b"<"]), max_size=40
)


@given(log_bytes, st.lists(st.integers(0, 80), max_size=10))
def test_lines_do_not_depend_on_how_the_log_was_cut(parts: list[bytes], cuts: list[int]) -> None:
    data = b"".join(parts)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [data[start:end] for start, end in itertools.pairwise(edges)]
    assert lines_of(*pieces) == lines_of(data)


@given(log_bytes, st.integers(0, 80))
def test_going_on_at_the_offset_given_repeats_at_most_the_unfinished_line(parts: list[bytes], cut: int) -> None:
    data = b"".join(parts)
    first = Assembler(number=1, start_bytes=0)
    before = first.feed(data[:cut])
    second = Assembler(number=1 + data[: first.next_bytes].count(b"\n"), start_bytes=first.next_bytes)
    after = second.feed(data[first.next_bytes :])
    assert [*before, *after] == Assembler(number=1, start_bytes=0).feed(data)


async def test_a_long_log_is_shown_in_parts_that_leave_nothing_out(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = factories.new_id()
    data = (
        b"".join(b"line %d %s\n" % (number, b"." * (number % 90)) for number in range(1, 200)) + b"x" * 5000 + b"\nend"
    )
    await house.logs.append(job_id, offset_bytes=0, data=data)
    monkeypatch.setattr(loglines, "MAX_LINE_BYTES", 500)
    for is_packed in (False, True):
        if is_packed:
            await house.logs.seal(job_id)
        numbers, first = [], 1
        while first:
            part = await logparts.load(house.logs, job_id, first=first, limit=30)
            assert (part.first, part.total) == (first, 201)
            numbers += [line.number for line in part.lines]
            first = part.newer or 0
        assert numbers == list(range(1, 202))
        assert part.next_bytes == len(data) - len(b"end")
        for number in (1, 2, 50, 120, 199, 201):
            found = await logparts.load(house.logs, job_id, line=number, limit=30)
            assert number in [line.number for line in found.lines]
            assert len(found.lines) == 30
        last = await logparts.load(house.logs, job_id, limit=30)
        assert (last.first, last.last, last.newer, last.older) == (172, 201, None, 1)
        for behind in ({"first": 202}, {"line": 999}):
            assert await logparts.load(house.logs, job_id, limit=30, **behind) == last


async def test_f61_a_part_with_very_long_lines_stays_light(house: House) -> None:
    job_id = factories.new_id()
    await house.logs.append(job_id, offset_bytes=0, data=(b"x" * 10_000 + b"\n") * 300)
    heavy = await logparts.load(house.logs, job_id)
    assert all(f"{10_000 - logparts.WIDE_LINE_BYTES} more bytes" in line.html for line in heavy.lines)
    (alone,) = (await logparts.load(house.logs, job_id, first=7, limit=1)).lines
    assert "more bytes" not in alone.html


async def test_a_log_that_is_not_there_has_one_empty_part(house: House) -> None:
    found = await logparts.load(house.logs, factories.new_id())
    assert (found.lines, found.first, found.total, found.next_bytes) == ((), 1, 0, 0)
    assert (found.older, found.newer) == (None, None)
