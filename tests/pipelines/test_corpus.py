"""Pipelines in the vocabulary that we share with GitHub Actions: each means what GitHub's documentation says it means.

A file `fixtures/pipelines/<name>.yml` has its expectation beside it, `<name>.expect.json`: cases with an event (`when`,
as `push refs/heads/main` or `pull_request main`) and what follows from it. That a file is right is judged twice:
by our parser, and by the schema of GitHub's workflow files that check-jsonschema brings along.
"""

from __future__ import annotations

import importlib.resources
import io
import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
import pytest
from msgspec.structs import replace
from ruamel.yaml import YAML

from bot.builds import lifecycle
from bot.model import change, job
from bot.pipelines import contexts, plan, schema
from bot.pipelines.document import Pipeline
from bot.pipelines.parse import parse
from tests import factories

CORPUS = Path(__file__).parent.parent.parent / "fixtures" / "pipelines"
NAMES = sorted(path.stem for path in CORPUS.glob("*.yml"))
CASES = [
    (name, number, case)
    for name in NAMES
    for number, case in enumerate(json.loads((CORPUS / f"{name}.expect.json").read_text())["cases"])
]
#: What a case may say; each is looked at below.
KNOWN = {
    *("when", "changed", "action", "event", "github", "ended", "outputs"),
    *("runs", "left_out", "names", "pipeline", "jobs", "matrix", "count", "group", "cancel", "then"),
}


def _github_schema() -> jsonschema_rs.Draft7Validator:
    vendored = importlib.resources.files("check_jsonschema") / "builtin_schemas/vendor/github-workflows.json"
    return jsonschema_rs.Draft7Validator(json.loads(vendored.read_text()))


GITHUB = _github_schema()
OURS = jsonschema_rs.Draft7Validator(schema.make())


def text(name: str) -> str:
    return (CORPUS / f"{name}.yml").read_text()


def loaded(written: str) -> Any:
    return YAML(typ="safe", pure=True).load(io.StringIO(written))


def pipeline(name: str) -> Pipeline:
    parsed = parse(text(name))
    assert parsed.problems == ()
    assert parsed.pipeline is not None
    return parsed.pipeline


def test_the_corpus_is_large_and_whole() -> None:
    assert len(NAMES) >= 60
    assert {path.name.partition(".")[0] for path in CORPUS.iterdir()} == set(NAMES)
    assert {key for _, _, case in CASES for key in case} <= KNOWN
    assert all(case.keys() & {"runs", "names", "jobs", "matrix", "count", "group", "then"} for _, _, case in CASES)


@pytest.mark.parametrize("name", NAMES)
def test_each_file_is_right_for_us_and_for_an_independent_judge(name: str) -> None:
    pipeline(name)
    file = loaded(text(name))
    assert [str(one) for one in GITHUB.iter_errors(file)] == []
    assert [str(one) for one in OURS.iter_errors(file)] == []


@pytest.mark.parametrize(
    ("before", "after"), [("runs-on:", "runs-om:"), ("steps:", "stpes:"), ("on:", "no:"), ("jobs:", "job:")]
)
def test_the_judges_are_not_asleep(before: str, after: str) -> None:
    broken = text("on-word").replace(before, after, 1)
    assert broken != text("on-word")
    assert not GITHUB.is_valid(loaded(broken))
    assert not OURS.is_valid(loaded(broken))
    assert parse(broken).problems


def made(name: str, case: dict[str, Any]) -> plan.Plan:
    event, _, ref = case.get("when", "push refs/heads/main").partition(" ")
    of = factories.make_build(event=event, ref=ref, payload=case.get("event", {}), pipeline="")
    base = None
    if event != "push":
        base, ref = ref, "refs/pull/7/merge" if event == "pull_request" else "refs/heads/gh-readonly-queue/a"
        of = replace(of, ref=ref, base_ref=base, head_ref="feature")
    known = dict(contexts.of_build(of))
    known["github"] = {**known["github"], **case.get("github", {})}
    files = change.ChangedFiles(names=tuple(case["changed"]), is_whole=True) if "changed" in case else None
    action = case.get("action")
    facts = plan.Facts(event=event, ref=ref, base_ref=base, action=action, changed_files=files)
    return plan.make(pipeline(name), facts, known)


def holds(found: Any, wanted: Any) -> bool:
    """Whether a value has all that is wanted of it: of an object the keys that are named."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(holds(found.get(key), value) for key, value in wanted.items())
    if isinstance(wanted, list):
        return isinstance(found, list | tuple) and len(found) == len(wanted) and all(map(holds, found, wanted))
    return bool(found == wanted)


@pytest.mark.parametrize(("name", "number", "case"), CASES, ids=[f"{name}-{number}" for name, number, _ in CASES])
def test_each_file_means_what_githubs_documentation_says(name: str, number: int, case: dict[str, Any]) -> None:
    found = made(name, case)
    assert found.problem is None, found.problem
    by_key = {one.key: one for one in found.declared}
    if "runs" in case:
        assert [one.key for one in found.jobs] == case["runs"]
    if "left_out" in case:
        assert [one.plan.key for one in found.left_out] == case["left_out"]
    if "names" in case:
        assert [one.name for one in found.jobs] == case["names"]
    if "pipeline" in case:
        assert found.pipeline == case["pipeline"]
    if "matrix" in case:
        assert [dict(one.matrix) for one in found.jobs] == case["matrix"]
    if "count" in case:
        assert len(found.jobs) == case["count"]
    if "group" in case:
        assert found.concurrency_group == f"{case.get('when', 'push refs/heads/main').split()[1]} {case['group']}"
        assert found.cancel_in_progress is case["cancel"]
    for key, wanted in case.get("jobs", {}).items():
        assert holds(msgspec.to_builtins(by_key[key]), wanted), by_key[key]
    if "then" in case:
        assert followed(found, case) == case["then"]


def followed(found: plan.Plan, case: dict[str, Any]) -> dict[str, str]:
    """What becomes of the jobs that wait, where others ended like that."""
    jobs = []
    for position, one in enumerate(found.jobs):
        ended = case.get("ended", {}).get(one.key)
        jobs.append(
            factories.make_job(
                id=one.key,
                plan=one,
                position=position,
                state=job.State.WAITING if ended is None else job.State(ended),
                outputs=case.get("outputs", {}).get(one.id, {}),
            )
        )
    resolved = lifecycle.resolve(jobs, of=factories.make_build())
    return {key: one.state.value for key, one in resolved.items() if by_id(jobs, key).plan.needs or not case["ended"]}


def by_id(jobs: list[job.Job], wanted: str) -> job.Job:
    return next(one for one in jobs if one.id == wanted)
