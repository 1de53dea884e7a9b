"""`lint`, `plan`, `schema` and `init`: pipeline files at the command line, without a service and without settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot import cli
from bot.model import build
from bot.pipelines import schema, telling
from bot.pipelines.parse import parse

GOOD = "on: push\njobs:\n  test:\n    steps:\n      - run: make\n"
BAD = "on: push\njobs:\n  test:\n    steps:\n      - run: make\n        nmae: x\n"
#: What of SARIF is used here, as its specification has it (sections 3.13 to 3.30).
SARIF = jsonschema_rs.Draft7Validator(
    {
        "type": "object",
        "required": ["version", "runs"],
        "properties": {
            "$schema": {"type": "string", "format": "uri"},
            "version": {"const": "2.1.0"},
            "runs": {
                "type": "array",
                "minItems": 1,
                "items": {
                    "type": "object",
                    "required": ["tool", "results"],
                    "properties": {
                        "tool": {
                            "type": "object",
                            "required": ["driver"],
                            "properties": {
                                "driver": {
                                    "type": "object",
                                    "required": ["name", "rules"],
                                    "properties": {"rules": {"type": "array", "items": {"required": ["id"]}}},
                                }
                            },
                        },
                        "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
                        "results": {
                            "type": "array",
                            "items": {
                                "type": "object",
                                "required": ["message", "ruleId", "locations"],
                                "properties": {
                                    "level": {"enum": ["none", "note", "warning", "error"]},
                                    "message": {"required": ["text"]},
                                    "locations": {
                                        "items": {
                                            "required": ["physicalLocation"],
                                            "properties": {
                                                "physicalLocation": {
                                                    "required": ["artifactLocation", "region"],
                                                    "properties": {
                                                        "artifactLocation": {
                                                            "properties": {"uri": {"pattern": "^[A-Za-z0-9%._~/-]+$"}}
                                                        },
                                                        "region": {
                                                            "properties": {
                                                                "startLine": {"type": "integer", "minimum": 1},
                                                                "startColumn": {"type": "integer", "minimum": 1},
                                                            }
                                                        },
                                                    },
                                                }
                                            },
                                        }
                                    },
                                },
                            },
                        },
                    },
                },
            },
        },
    }
)


class Here:
    """A folder in which commands run."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def run(self, *arguments: str) -> tuple[int, str, str]:
        status = 0
        try:
            cli.main(arguments)
        except SystemExit as ended:
            status = ended.code if isinstance(ended.code, int) else 0
        out, err = self._capsys.readouterr()
        return status, out, err

    def json(self, *arguments: str, status: int = 0) -> Any:
        found, out, err = self.run(*arguments, "--json")
        assert found == status, err
        return json.loads(out)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Here:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return Here(capsys)


def write(text: str, name: str = ".buildhook.yml") -> None:
    Path(name).write_text(text)


def test_lint_shows_the_place_the_line_and_a_caret(here: Here) -> None:
    write(BAD)
    status, out, _ = here.run("lint")
    assert status == 1
    assert out == (
        ".buildhook.yml:6:9: `nmae` is not a key of a step. Did you mean `name`?\n"
        "    6 |         nmae: x\n"
        "      |         ^\n"
    )


def test_lint_says_that_files_are_well(here: Here) -> None:
    write(GOOD)
    write(GOOD, "other.yml")
    assert here.run("lint") == (0, "1 file is well.\n", "")
    assert here.run("lint", ".buildhook.yml", "other.yml") == (0, "2 files are well.\n", "")


def test_lint_gives_json_and_sarif_to_programs(here: Here) -> None:
    write(GOOD)
    write(BAD, "a b.yml")
    problem = {
        "path": "a b.yml",
        "line": 6,
        "column": 9,
        "text": "`nmae` is not a key of a step. Did you mean `name`?",
    }
    wanted = {"files": [".buildhook.yml", "a b.yml"], "problems": [problem]}
    assert here.json("lint", ".buildhook.yml", "a b.yml", status=1) == wanted
    assert json.loads(here.run("lint", "--format", "json", ".buildhook.yml", "a b.yml")[1]) == wanted
    status, out, _ = here.run("lint", "--format", "sarif", "a b.yml")
    assert status == 1
    told = json.loads(out)
    SARIF.validate(told)
    (result,) = told["runs"][0]["results"]
    assert result["message"]["text"] == problem["text"]
    assert result["locations"][0]["physicalLocation"] == {
        "artifactLocation": {"uri": "a%20b.yml"},
        "region": {"startLine": 6, "startColumn": 9},
    }
    status, out, _ = here.run("lint", "--format", "sarif")
    assert (status, json.loads(out)["runs"][0]["results"]) == (0, [])


def test_a_file_that_is_not_there_is_wrong_usage(here: Here) -> None:
    status, _, err = here.run("lint")
    assert (status, err) == (
        2,
        "error: There is no file .buildhook.yml: name one, or write one by `buildhook init`.\n",
    )
    status, _, err = here.run("plan", ".")
    assert (status, err) == (2, "error: . cannot be read: Is a directory.\n")
    assert here.run("lint", "--format", "xml")[0] == 2


def test_hostile_bytes_of_a_file_never_reach_the_terminal(here: Here) -> None:
    write('on: push\njobs:\n  test:\n    steps:\n      - run: a\n        "\\e]0;a": "\x1b]0;owned\x07\u202e[red]"\n')
    status, out, _ = here.run("lint")
    assert status == 1
    assert not any(sign in out for sign in "\x1b\x07\u202e")
    Path("b.yml").write_bytes(b"on: push\njobs: \xff[bold]\n")
    assert "[bold]" in here.run("lint", "b.yml")[1]


@given(st.text(max_size=60), st.integers(1, 5), st.integers(1, 80))
def test_a_caret_stands_below_its_place_whatever_the_line(text: str, line: int, column: int) -> None:
    told = telling.lines(build.Problem(path="a", line=line, column=column, text="b"), text)
    if len(told) == 3:
        assert told[2].index("^") == told[1].index("|") + 1 + column
        assert all(one.isprintable() for one in told)


def test_plan_says_what_runs_what_not_and_why(here: Here) -> None:
    write(
        "on: [push, pull_request]\nconcurrency: ${{ github.ref_name }}\njobs:\n"
        "  test:\n    strategy: {matrix: {python: [3.12, '3.13']}}\n    steps: [run: make, {if: failure(), run: log}]\n"
        "  deploy:\n    if: github.ref == 'refs/heads/main'\n    steps: [run: make deploy]\n"
        "  after:\n    needs: test\n    steps: [run: make after]\n"
    )
    status, out, _ = here.run("plan", "--branch", "dev")
    assert status == 0
    assert out.splitlines() == [
        "`.buildhook.yml:1`: `on.push` takes `refs/heads/dev`.",
        "It is in the concurrency group `refs/heads/dev dev`.",
        "",
        "3 jobs would run:",
        "  test (3.12): at once. Check: buildhook / test (3.12)",
        "    matrix: python=3.12",
        "    1. make",
        "    2. log (if failure())",
        "  test (3.13): at once. Check: buildhook / test (3.13)",
        "    matrix: python=3.13",
        "    1. make",
        "    2. log (if failure())",
        "  after: behind `test`, where all of them passed. Check: buildhook / after",
        "    1. make after",
        "",
        "1 job would not run:",
        "  deploy: Its `if` is not true: `github.ref == 'refs/heads/main'`.",
    ]
    told = here.json("plan")
    assert [one["key"] for one in told["jobs"]] == ["test (3.12)", "test (3.13)", "deploy", "after"]
    assert (told["verdict"], told["left_out"], told["problem"]) == ("runs", [], None)


def test_plan_goes_by_the_event_its_refs_and_what_changed(here: Here) -> None:
    write(
        "on:\n  push: {tags: ['v*']}\n  pull_request: {branches: [main], paths: ['src/**']}\n  merge_group:\n"
        "jobs: {test: {steps: [run: make]}}\n"
    )

    def why(*options: str) -> tuple[str, str]:
        told = here.json("plan", *options)
        return told["verdict"], told["why"].partition(": ")[2]

    assert why() == ("skipped", "`on.push` names only tags, and `refs/heads/main` is a branch.")
    assert why("--tag", "v1") == ("runs", "`on.push` takes `refs/tags/v1`.")
    pull = ("--event", "pull_request")
    assert why(*pull) == ("runs", "`on.pull_request` takes what is merged into `main`.")
    assert why(*pull, "--base", "dev") == ("skipped", "`on.pull_request.branches` does not match `dev`.")
    assert why(*pull, "--changed", "a.md")[0] == "skipped"
    assert why(*pull, "--changed", "a.md", "--changed", "src/a.py")[0] == "runs"
    assert why("--event", "merge_group")[0] == "runs"
    assert here.run("plan", *pull, "--tag", "v1")[0] == 2


def test_plan_takes_what_github_sends(here: Here) -> None:
    write(
        "on: [push, pull_request]\njobs:\n  a:\n    if: github.event.pull_request.title == 'Update the README'\n"
        "    steps: [run: make]\n"
    )
    who = {"id": 5, "login": "mona", "type": "User"}
    side = {"ref": "feature", "sha": "a" * 40, "repo": {"id": 7}}
    pull = {
        "number": 3,
        "state": "open",
        "title": "Update the README",
        "user": who,
        "head": side,
        "base": {**side, "ref": "main"},
        "updated_at": "2026-03-04T05:06:07Z",
    }
    payload = {
        "action": "opened",
        "number": 3,
        "pull_request": pull,
        "repository": {"id": 7, "full_name": "octo/hello"},
        "sender": who,
    }
    write(json.dumps(payload), "event.json")
    options = ("plan", "--event", "pull_request")
    assert [one["key"] for one in here.json(*options, "--payload", "event.json")["jobs"]] == ["a"]
    assert here.json(*options)["jobs"] == []
    status, _, err = here.run("plan", "--payload", "event.json")
    assert (status, err.startswith("error: The payload is not that of a push event: ")) == (1, True)
    write("[", "event.json")
    assert here.run("plan", "--payload", "event.json")[0] == 2


def test_plan_shows_the_problems_of_a_file_and_of_an_event(here: Here) -> None:
    write(BAD)
    status, out, _ = here.run("plan")
    assert (status, "Did you mean `name`?" in out) == (1, True)
    write("on: push\njobs: {a: {strategy: {matrix: '${{ fromJSON(github.ref) }}'}, steps: [run: a]}}\n")
    told = here.json("plan", status=1)
    assert told["problem"]["text"].startswith("`fromJSON` was given text that is not JSON")


def test_the_schema_is_printed(here: Here) -> None:
    status, out, _ = here.run("schema")
    assert (status, json.loads(out)) == (0, schema.make())
    assert here.json("schema") == schema.make()


def test_init_writes_a_first_file_and_never_over_another(here: Here) -> None:
    write("module example.org/a\n", "go.mod")
    status, out, _ = here.run("init")
    assert (status, out) == (0, "Found `go.mod`: the job `go`.\n.buildhook.yml is written.\n")
    written = Path(".buildhook.yml").read_text()
    assert written.startswith("# yaml-language-server: $schema=http://127.0.0.1:8080/schema.json\n")
    assert parse(written).problems == ()
    write("mine", ".buildhook.yml")
    status, _, err = here.run("init")
    assert (status, err) == (1, "error: .buildhook.yml is there already: write over it with --force.\n")
    assert Path(".buildhook.yml").read_text() == "mine"
    assert here.run("init", "--force", "--schema-url", "https://ci.example.org/schema.json")[0] == 0
    assert "$schema=https://ci.example.org/schema.json\n" in Path(".buildhook.yml").read_text()


def test_init_does_not_follow_a_link_out_of_the_repository(here: Here) -> None:
    Path(".buildhook.yml").symlink_to("elsewhere")
    assert here.run("init")[0] == 1
    assert not Path("elsewhere").exists()


def test_init_converts_a_workflow_and_says_what_is_left(here: Here) -> None:
    write("on: [push, release]\njobs:\n  a:\n    runs-on: x\n    steps:\n      - run: make\n", "ci.yml")
    status, out, _ = here.run("init", "--from", "ci.yml")
    assert (status, out.splitlines()) == (
        0,
        ["ci.yml:1: The event `release` was left out: it builds nothing here.", ".buildhook.yml is written."],
    )
    write("on: push\njobs: {a: {steps: [{run: make, shell: cmd}]}}\n", "ci.yml")
    told = here.json("init", "--from", "ci.yml", "--force", status=1)
    assert [one["text"] for one in told["problems"]] == [
        "`cmd` is a shell of Windows, and builds run on Linux: use `bash` or `pwsh`."
    ]
    write("a: b: c", "ci.yml")
    Path(".buildhook.yml").unlink()
    assert here.json("init", "--from", "ci.yml", status=1)["path"] is None
    assert not Path(".buildhook.yml").exists()
