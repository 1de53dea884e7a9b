"""SARIF as tools write it: rules, base URIs, suppressions and levels."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bot.model import check, report
from bot.reports import limits, sarif

RULES = [
    {"id": "R1", "defaultConfiguration": {"level": "error"}, "messageStrings": {"m": {"text": "use of '{0}', {1}"}}},
    {"id": "R2", "shortDescription": {"text": "In short."}},
]


def log(*results: dict[str, Any], **run: Any) -> bytes:
    """A file with one run."""
    tool = {"driver": {"name": "Tool", "rules": RULES}}
    return json.dumps({"version": "2.1.0", "runs": [{"tool": tool, "results": list(results), **run}]}).encode()


def result(uri: str = "src/a.c", *, line: int = 3, **changes: Any) -> dict[str, Any]:
    """One result at a place."""
    place = {"artifactLocation": {"uri": uri}, "region": {"startLine": line}}
    return {"ruleId": "R1", "message": {"text": "Bad."}, "locations": [{"physicalLocation": place}], **changes}


def finding(data: bytes) -> report.Finding:
    """The one finding of a file."""
    (found,) = sarif.parse(data).findings
    return found


def test_a_result_is_a_finding_with_the_level_of_its_rule() -> None:
    found = finding(log(result()))
    assert found == report.Finding(
        tool="Tool", path="src/a.c", line=3, end_line=3, level=check.Level.FAILURE, text="Bad.", title="R1"
    )
    assert finding(log(result(level="note"))).level is check.Level.NOTICE
    assert finding(log(result(ruleId="R2"))).level is check.Level.WARNING
    assert finding(log(result(ruleId=None, ruleIndex=0))).title == "R1"
    assert finding(log(result(ruleId="R1/part"))).level is check.Level.FAILURE


def test_a_text_is_looked_up_and_filled_in() -> None:
    assert finding(log(result(message={"id": "m", "arguments": ["x", "no"]}))).text == "use of 'x', no"
    assert finding(log(result(ruleId="R2", message={}))).text == "In short."
    assert finding(log(result(ruleId="R9", message={"id": "m"}))).text == "(no message)"
    grown = finding(log(result(message={"id": "m", "arguments": ["{1}" * 9000, "{0}" * 9000] * 50})))
    assert len(grown.text) <= limits.MAX_TEXT_CHARACTERS


@pytest.mark.parametrize(
    ("uri", "run", "path"),
    [
        ("file:///workspace/src/a%20b.c", {}, "src/a b.c"),
        ("/workspace/src/a.c", {}, "src/a.c"),
        ("./src/../src/a.c", {}, "src/a.c"),
    ],
)
def test_uris_become_paths_of_the_repository(uri: str, run: dict[str, Any], path: str) -> None:
    assert finding(log(result(uri), **run)).path == path


def test_base_uris_and_indexed_artifacts_are_followed() -> None:
    bases = {"%SRCROOT%": {"uri": "file:///workspace/src/"}, "%EMPTY%": {}}
    held = [{"location": {"uri": "b.c", "uriBaseId": "%SRCROOT%"}}]
    by_index = result()
    by_index["locations"][0]["physicalLocation"]["artifactLocation"] = {"index": 0}
    assert finding(log(by_index, originalUriBaseIds=bases, artifacts=held)).path == "src/b.c"
    relative = result()
    relative["locations"][0]["physicalLocation"]["artifactLocation"]["uriBaseId"] = "%EMPTY%"
    assert finding(log(relative, originalUriBaseIds=bases)).path == "src/a.c"


@pytest.mark.parametrize(
    "uri",
    ["file:///etc/passwd", "../../etc/passwd", "%2e%2e/x", "https://example.org/a.c", "C:\\a.c", "", ".git/config"],
)
def test_t108_a_uri_that_leads_out_is_shown_and_not_annotated(uri: str) -> None:
    assert not finding(log(result(uri))).is_inside


def test_what_is_suppressed_or_no_problem_is_left_out() -> None:
    data = log(
        result(suppressions=[{"kind": "inSource"}]),
        result(kind="pass"),
        result(baselineState="absent"),
        result(suppressions=[{"kind": "external", "status": "rejected"}]),
    )
    assert sarif.parse(data).total == 1


def test_more_than_are_kept_are_counted() -> None:
    found = sarif.parse(log(*[result(line=line) for line in range(1, limits.MAX_FINDINGS + 11)]))
    assert (len(found.findings), found.total) == (limits.MAX_FINDINGS, limits.MAX_FINDINGS + 10)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"[]", "it is no SARIF"),
        (b'{"version": "2.1.0"}', "missing required field `runs`"),
        (b'{"version": "1.0.0", "runs": []}', "only 2.1.0 is read"),
        (b"{", "it is no JSON"),
        (b"", "it is no JSON"),
        (b'{"version":"2.1.0","runs":[{"results":7}]}', r"\$.runs\[0\].results"),
    ],
)
def test_what_is_no_sarif_is_said_to_be_none(data: bytes, why: str) -> None:
    with pytest.raises(limits.Unreadable, match=why):
        sarif.parse(data)


def test_lines_that_are_none_become_the_first() -> None:
    assert (finding(log(result(line=-4))).line, finding(log(result(line=2**40))).line) == (1, 1)
