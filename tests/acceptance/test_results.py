"""What a job leaves behind, from the steps of a real job to the check run on GitHub, within GitHub's limits."""

from __future__ import annotations

import json
from typing import Any

from bot.simulator import Simulator
from bot.simulator.rest import check_rules
from bot.simulator.values import RecordedRequest
from tests.acceptance.process import Process
from tests.acceptance.test_push import calls

TESTS = 400
PIPELINE = """\
on: [push, pull_request]
jobs:
  test:
    steps:
      - name: make test
        run: |
          echo '# All of it' > "$BUILDHOOK_RESULTS/summary.md"
          test ! -e red
    reports:
      junit: '**/junit-*.xml'
      sarif: out.sarif
      coverage: lcov.info
"""


def junit(failed: set[int]) -> str:
    """A report of `TESTS` tests, of which these failed."""
    cases = []
    for number in range(TESTS):
        line = number + 3
        said = f"&gt; assert {number}\ntests/test_many.py:{line}: AssertionError"
        failure = f'<failure message="assert {number} == 0">{said}</failure>' if number in failed else ""
        cases.append(f'<testcase classname="tests.test_many" name="test_{number}" time="0.01">{failure}</testcase>')
    return f"<testsuites><testsuite>{''.join(cases)}</testsuite></testsuites>"


def sarif(count: int) -> str:
    """A report of this many findings in another file than the tests."""
    results = [
        {
            "ruleId": "R1",
            "level": "error",
            "message": {"text": f"Finding {line}."},
            "locations": [
                {"physicalLocation": {"artifactLocation": {"uri": "src/a.c"}, "region": {"startLine": line}}}
            ],
        }
        for line in range(1, count + 1)
    ]
    tool = {"driver": {"name": "lint", "rules": [{"id": "R1"}]}}
    return json.dumps({"version": "2.1.0", "runs": [{"tool": tool, "results": results}]})


def lcov(covered: int) -> str:
    return f"SF:src/a.c\nLF:100\nLH:{covered}\nend_of_record\n"


def body(request: RecordedRequest) -> dict[str, Any]:
    assert isinstance(request.body, dict)
    return request.body


async def test_400_failing_tests_and_an_analysis_are_shown_within_githubs_limits(
    github: Simulator, service: Process
) -> None:
    base = {".buildhook.yml": PIPELINE, "out/junit-a.xml": junit({7}), "lcov.info": lcov(80)}
    repository = await github.create_repository("octo/hello", files={".buildhook.yml": PIPELINE})
    head = await github.push(repository, branch="main", files=base, message="Begin")
    green = await github.wait_for_check(repository, head, name="buildhook", conclusion="success")
    assert "### Tests: 1 failed, 399 passed in 4 s" in (green.summary or "")

    changes = {"red": "", "out/junit-a.xml": junit(set(range(TESTS))), "out.sarif": sarif(300), "lcov.info": lcov(75)}
    await github.commit(repository, branch="topic", files={**changes, "src/a.c": "int main;\n"}, message="Break it")
    before = len(github.requests)
    pull = await github.open_pull_request(repository, head_branch="topic", title="Break everything")
    await github.wait_for_check(repository, pull.head_sha, name="buildhook", conclusion="failure")
    await github.wait_until(lambda: len(github.check_runs(repository, pull.head_sha)[0].annotations) >= 250)
    (red,) = github.check_runs(repository, pull.head_sha)
    summary, text = red.summary or "", red.text or ""

    assert red.title == "Failed: step `make test` exited with 1, 400 of 400 tests failed"
    assert "### Tests: 400 failed in 4 s" in summary
    assert "- ❌ `tests.test_many::test_0`: `assert 0 == 0` (**new**)" in summary
    assert "test_7`" not in summary, "it is not new, so it comes last"
    assert "- … and 380 more" in summary
    assert "> assert 0\ntests/test_many.py:3: AssertionError" in summary
    assert "Coverage: **75.0 %** of 100 lines, 5.0 points less than on `main`." in summary
    assert "300 findings." in summary
    assert "250 of 700 annotations are shown." in summary
    assert "```markdown\n# All of it\n```" in text

    # `src/a.c` is changed by the pull request, `tests/test_many.py` is not.
    assert [one["path"] for one in red.annotations] == ["src/a.c"] * 250
    assert len({one["start_line"] for one in red.annotations}) == 250
    posts = [one for one in github.requests[before:] if "/check-runs" in one.path and one.method in ("POST", "PATCH")]
    batches = [len(body(one)["output"].get("annotations", [])) for one in posts]
    assert [size for size in batches if size] == [50] * 5
    for one in posts:
        output = body(one)["output"]
        assert list(check_rules.problems(body(one))) == []
        assert len(output["summary"]) <= 65_535
        assert len(output.get("text", "")) <= 65_535
        assert all(len(made["message"].encode()) <= 65_536 for made in output.get("annotations", []))
        assert all(len(made.get("raw_details", "").encode()) <= 65_536 for made in output.get("annotations", []))


async def test_a_small_job_with_results_needs_no_call_more(github: Simulator, service: Process) -> None:
    repository = await github.create_repository("octo/hello", files={".buildhook.yml": PIPELINE})
    files = {"out/junit-a.xml": junit({1, 2}), "lcov.info": lcov(80)}
    head = await github.push(repository, branch="main", files=files, message="Add tests")
    run = await github.wait_for_check(repository, head, name="buildhook", conclusion="success")
    assert len(run.annotations) == 2
    assert len(calls(github)) == 3, calls(github)


async def test_the_command_line_and_the_pages_tell_the_totals(github: Simulator, service: Process) -> None:
    repository = await github.create_repository("octo/hello", files={".buildhook.yml": PIPELINE})
    files = {"out/junit-a.xml": junit({1, 2}), "lcov.info": lcov(80)}
    head = await github.push(repository, branch="main", files=files, message="Add tests")
    run = await github.wait_for_check(repository, head, name="buildhook", conclusion="success")
    (made, *_) = await service.command("builds", "list")
    (one,) = (await service.command("builds", "show", made["id"]))["jobs"]
    assert one["id"] == run.external_id
    assert one["results"] == {
        "tests": {"passed": 398, "failed": 2, "errored": 0, "skipped": 0, "duration_seconds": 4.0},
        "findings": 0,
        "coverage": {"lines_covered": 80, "lines_total": 100},
        "problems": [],
    }
