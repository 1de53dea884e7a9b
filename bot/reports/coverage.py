"""Coverage as Cobertura's XML or as LCOV's text, told apart by what the file begins with.

https://github.com/cobertura/web/blob/master/htdocs/xml/coverage-04.dtd
https://github.com/linux-test-project/lcov/blob/master/man/geninfo.1
"""

from __future__ import annotations

from collections.abc import Mapping

from bot.model import report
from bot.reports import limits, xml

_XML_STARTS = (b"<", b"\xef\xbb\xbf<", b"\xff\xfe", b"\xfe\xff")
_MAX_LINES = 2_000_000_000


def parse(data: bytes) -> report.Coverage:
    """The coverage that a file tells of.

    :raises limits.Unreadable: if it is neither of both, or goes beyond a limit.
    """
    limits.check_size(data)
    if data.lstrip().startswith(_XML_STARTS):
        return _cobertura(data)
    return _lcov(data)


def _cobertura(data: bytes) -> report.Coverage:
    reader = _Cobertura()
    xml.read(data, reader)
    if reader.told is not None:
        return reader.told
    if not reader.total:
        raise limits.Unreadable("it tells of no lines: neither `lines-valid` nor a `line` is in it.")
    return report.Coverage(lines_covered=reader.covered, lines_total=reader.total)


class _Cobertura:
    def __init__(self) -> None:
        self.root = ""
        #: What the root says itself.
        self.told: report.Coverage | None = None
        self.covered = self.total = 0
        self._is_method = False

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        if not self.root:
            self.root = name
            if name != "coverage":
                raise limits.Unreadable("it is no coverage in Cobertura's format: its root is not `coverage`.")
            covered, total = _count(attributes.get("lines-covered")), _count(attributes.get("lines-valid"))
            if covered is not None and total is not None and covered <= total:
                self.told = report.Coverage(lines_covered=covered, lines_total=total)
        elif name == "methods":
            # The lines of a method stand a second time among those of its class.
            self._is_method = True
        elif name == "line" and not self._is_method:
            self.total += 1
            self.covered += bool(_count(attributes.get("hits")))

    def end(self, name: str, text: str) -> None:
        if name == "methods":
            self._is_method = False


def _lcov(data: bytes) -> report.Coverage:
    #: The best record of each file: the tests of one file may each write one.
    best: dict[bytes, tuple[int, int]] = {}
    file: bytes | None = None
    covered = total = 0
    told: list[int | None] = [None, None]
    for line in data.split(b"\n"):
        key, found, value = line.strip().partition(b":")
        if key == b"SF" and found:
            file, covered, total, told = value, 0, 0, [None, None]
        elif key == b"DA" and found:
            total += 1
            covered += bool(_count(value.split(b",")[1])) if b"," in value else 0
        elif key in (b"LH", b"LF") and found:
            told[key == b"LF"] = _count(value)
        elif key == b"end_of_record" and file is not None:
            hit, lines = told
            record = (covered, total) if hit is None or lines is None or hit > lines else (hit, lines)
            best[file] = max(best.get(file, (0, 0)), record)
            file = None
    if not best:
        raise limits.Unreadable("it is neither XML nor LCOV: there is no record from `SF:` to `end_of_record` in it.")
    return report.Coverage(
        lines_covered=min(sum(hit for hit, _ in best.values()), _MAX_LINES),
        lines_total=min(sum(lines for _, lines in best.values()), _MAX_LINES),
    )


def _count(text: str | bytes | None) -> int | None:
    """A number from 0 on, or None; hit counters may be huge."""
    if not text or len(text) > 24 or not text.isascii() or not text.isdigit():
        return None
    return min(int(text), _MAX_LINES)
