"""Coverage in its two formats, told apart by what the file begins with."""

from __future__ import annotations

import pytest

from bot.model import report
from bot.reports import coverage, limits

LINES = b"""\
<packages><package><classes><class><methods><method><lines><line number="1" hits="1"/></lines></method></methods>
<lines><line number="1" hits="1"/><line number="2" hits="0"/><line number="3" hits="12345678901234567890"/></lines>
</class></classes></package></packages>
"""
LCOV = b"""\
TN:
SF:/workspace/a.js
DA:1,5
DA:2,0
LF:4
LH:1
end_of_record
SF:b.js
DA:1,0
DA:2,1,abc
end_of_record
"""


def of(covered: int, total: int) -> report.Coverage:
    return report.Coverage(lines_covered=covered, lines_total=total)


def test_cobertura_says_its_sum_or_has_it_counted() -> None:
    head = b'<?xml version="1.0" ?>\n'
    told = b'<coverage line-rate="0.5" lines-covered="10" lines-valid="20">' + LINES + b"</coverage>"
    assert coverage.parse(head + told) == of(10, 20)
    assert coverage.parse(b"\xef\xbb\xbf" + head + b"<coverage>" + LINES + b"</coverage>") == of(2, 3)
    lie = b'<coverage lines-covered="30" lines-valid="20">' + LINES + b"</coverage>"
    assert coverage.parse(lie) == of(2, 3)


def test_lcov_says_its_sums_or_has_them_counted() -> None:
    assert coverage.parse(LCOV) == of(2, 6)
    assert coverage.parse(LCOV.replace(b"\n", b"\r\n")) == of(2, 6)


def test_a_file_that_several_tests_tell_of_counts_once() -> None:
    better = b"SF:a.js\nLF:4\nLH:3\nend_of_record\n"
    worse = b"SF:a.js\nLF:4\nLH:2\nend_of_record\n"
    assert coverage.parse(worse + better + worse) == of(3, 4)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "neither XML nor LCOV"),
        (b"SF:a\nDA:1,1\n", "neither XML nor LCOV"),
        (b"<testsuite/>", "its root is not `coverage`"),
        (b"<coverage/>", "no lines"),
        (b"\xff\xfe<\x00", "no XML"),
    ],
)
def test_what_is_neither_is_said_to_be_neither(data: bytes, why: str) -> None:
    with pytest.raises(limits.Unreadable, match=why):
        coverage.parse(data)


def test_a_part_of_nothing_is_no_error() -> None:
    assert of(0, 0).percent == 0.0
    assert of(1, 3).percent == pytest.approx(33.333, abs=0.001)
