"""Whatever bytes a job leaves behind: values or a sentence, soon and in little memory; nothing raises."""

from __future__ import annotations

import json
import time
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.reports import limits, own, reading

KINDS = [("junit", "a.xml"), ("sarif", "a.sarif"), ("coverage", "c"), ("matchers", "m.json")]
KINDS += [("results", own.ANNOTATIONS), ("results", own.SUMMARY), ("results", "else.bin"), ("unheard", "of")]
XML_KINDS = ["junit", "coverage"]

LAUGHS = b"""\
<?xml version="1.0"?>
<!DOCTYPE testsuite [<!ENTITY a0 "lol">
""" + b"\n".join(b'<!ENTITY a%d "%s">' % (n, b"&a%d;" % (n - 1) * 10) for n in range(1, 10)) + b"""
]>
<testsuite name="&a9;"><testcase name="&a9;"><failure>&a9;</failure></testcase></testsuite>
"""  # fmt: skip
EXTERNAL = [
    b'<!DOCTYPE t [<!ENTITY x SYSTEM "file:///etc/passwd">]><testsuite><testcase name="&x;"/></testsuite>',
    b'<!DOCTYPE t SYSTEM "http://127.0.0.1:9/x.dtd"><testsuite/>',
    b'<!DOCTYPE t [<!ENTITY % x SYSTEM "file:///etc/passwd"> %x;]><testsuite/>',
    b'<!DOCTYPE coverage SYSTEM "http://cobertura.sourceforge.net/xml/coverage-04.dtd"><coverage/>',
    b"<!DOCTYPE t><testsuite/>",
]


def read(kind: str, path: str, data: bytes) -> reading.Reader:
    reader = reading.Reader()
    reader.take(kind, path, data)
    return reader


def problem(kind: str, data: bytes) -> str:
    """The one thing that is wrong with a file."""
    results = read(kind, "a", data).results()
    assert not results.cases
    assert not results.findings
    (said,) = results.problems
    return said


@pytest.mark.parametrize("kind", XML_KINDS)
@pytest.mark.parametrize("data", [LAUGHS, *EXTERNAL])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_t108_a_doctype_is_refused_before_anything_in_it_is_read(kind: str, data: bytes, encoding: str) -> None:
    began = time.process_time()
    assert "DOCTYPE" in problem(kind, data.decode().replace('<?xml version="1.0"?>\n', "").encode(encoding))
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize("kind", XML_KINDS)
def test_t108_an_entity_that_nobody_declared_and_an_include_bring_nothing_in(kind: str) -> None:
    root = b"testsuite" if kind == "junit" else b"coverage"
    assert "Entity" in problem(kind, b"<%s>&x;</%s>" % (root, root))
    include = b'<testsuite xmlns:xi="http://www.w3.org/2001/XInclude"><testcase name="t"><failure>'
    include += b'<xi:include href="file:///etc/passwd" parse="text"/></failure></testcase></testsuite>'
    (case,) = read("junit", "a", include).results().cases
    assert "root:" not in case.details + case.message


def test_t108_a_million_test_cases_are_counted_or_refused_in_bounded_time_and_memory() -> None:
    case = b'<testcase name="a"/>'
    most = b"<testsuite>" + case * ((limits.MAX_FILE_BYTES - 30) // len(case)) + b"</testsuite>"
    million = b"<testsuite>" + case * 1_000_000 + b"</testsuite>"
    tracemalloc.start()
    began = time.process_time()
    results = read("junit", "a.xml", most).results()
    refused = problem("junit", million)
    took, (_, peak) = time.process_time() - began, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert results.totals.passed > 500_000
    assert len(results.cases) == reading.MAX_CASES
    assert "20,000,023 bytes" in refused
    assert took < 30.0, "tracing makes it some five times slower"
    assert peak < 64 * 1024 * 1024


@pytest.mark.parametrize("kind", XML_KINDS)
def test_t108_elements_are_bounded_in_depth_and_number(kind: str) -> None:
    root = b"testsuite" if kind == "junit" else b"coverage"
    assert "nested deeper" in problem(kind, b"<%s>" % root + b"<a>" * 100_000)
    assert "more than 600,000 elements" in problem(kind, b"<%s>" % root + b"<a/>" * 700_000)


@pytest.mark.parametrize("kind", ["sarif", "matchers"])
def test_t108_values_that_are_nested_without_end_are_refused(kind: str) -> None:
    begins = [b"[" * 1_000_000, b'{"a":' * 1_000_000, b'{"version":"2.1.0","runs":[{"x":' + b"[" * 1_000_000]
    for begin in begins:
        assert problem(kind, begin)
    assert read("results", own.ANNOTATIONS, b'[{"x":' + b"[" * 1_000_000).results().problems


def test_t108_attributes_without_number_or_end_are_bounded() -> None:
    many = b"<testsuite " + b" ".join(b'a%d="1"' % n for n in range(200_000)) + b"/>"
    long = b'<testsuite name="' + b"x" * (9 * 1024 * 1024) + b'"/>'
    began = time.process_time()
    for data in (many, long):
        read("junit", "a.xml", data).results()
    assert time.process_time() - began < 10.0


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(KINDS), st.binary(max_size=300))
def test_t108_no_bytes_raise(kind: tuple[str, str], data: bytes) -> None:
    results = read(*kind, data).results()
    assert all(one.isprintable() for one in results.problems)


_TAGS = st.sampled_from(["testsuites", "testsuite", "testcase", "failure", "error", "skipped", "coverage", "line", "x"])
_TEXT = st.text(max_size=20)
_KEYS = ["version", "runs", "tool", "driver", "rules", "results", "message", "text", "locations"]
_KEYS += ["path", "start_line", "owner", "pattern", "regexp"]
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(_KEYS) | _TEXT, inner, max_size=5),
    max_leaves=25,
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(KINDS), st.lists(st.tuples(_TAGS, st.booleans(), _TEXT), max_size=12))
def test_t108_no_xml_raises(kind: tuple[str, str], parts: list[tuple[str, bool, str]]) -> None:
    data = "".join(f'<{tag} name="{text}" file="{text}">{text}' + f"</{tag}>" * closed for tag, closed, text in parts)
    read(*kind, data.encode("utf-8", "surrogatepass"))


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(KINDS), _JSON)
def test_t108_no_json_raises(kind: tuple[str, str], value: object) -> None:
    read(*kind, json.dumps({"version": "2.1.0", "runs": value, "problemMatcher": value, "annotations": value}).encode())
    read(*kind, json.dumps(value).encode())


def test_what_files_say_is_added_up_and_problems_are_bounded() -> None:
    reader = reading.Reader()
    for _ in range(3):
        reader.take("junit", "a.xml", b'<testsuite><testcase name="t"><failure/></testcase></testsuite>')
        reader.take("coverage", "c", b"SF:a\nLF:4\nLH:1\nend_of_record\n")
        reader.take("results", own.ANNOTATIONS, b'{"annotations": [{"path": "a", "message": "m", "end_line": 5}]}')
        reader.take("results", own.SUMMARY, b"# Well\xff\n")
    for number in range(99):
        reader.take("sarif", f"`{number}\n", b"")
    results = reader.results()
    assert (results.totals.failed, results.findings_total, results.findings[0].end_line) == (3, 3, 5)
    assert results.coverage is not None
    assert (results.coverage.lines_covered, results.coverage.lines_total) == (3, 12)
    assert results.summary == "# Well\ufffd\n\n# Well\ufffd\n\n# Well\ufffd"
    assert len(results.problems) == reading.MAX_PROBLEMS + 1
    assert results.problems[-1] == "There are 49 more problems of this kind."
    assert results.problems[0].startswith("`'0\ufffd`: it is no JSON")
