"""`secrets` of a job: names in a list or behind variables; whatever could not name one is told at its place."""

from __future__ import annotations

import pytest

from bot.pipelines import plan
from bot.pipelines.filters import Facts
from bot.pipelines.parse import parse


def pipeline(extra: str) -> str:
    return f"on: push\njobs:\n  test:\n    {extra}\n    steps:\n      - run: make\n"


@pytest.mark.parametrize(
    ("written", "secrets"),
    [
        ("secrets: [TOKEN, _KEY2]", {"TOKEN": "TOKEN", "_KEY2": "_KEY2"}),
        ("secrets: {token: TOKEN, OTHER: TOKEN}", {"token": "TOKEN", "OTHER": "TOKEN"}),
    ],
)
def test_secrets_are_named_in_a_list_or_behind_variables(written: str, secrets: dict[str, str]) -> None:
    read = parse(pipeline(written))
    assert read.problems == ()
    assert read.pipeline is not None
    (one,) = read.pipeline.jobs
    assert one.plan.secrets == secrets
    assert one.plan.secret_names == tuple(sorted(set(secrets.values())))


@pytest.mark.parametrize("written", ["environment: Production", "environment: {name: Production}"])
def test_an_environment_is_named_directly_or_as_actions_does(written: str) -> None:
    read = parse(pipeline(written))
    assert read.problems == ()
    assert read.pipeline is not None
    assert read.pipeline.jobs[0].plan.environment == "Production"


@pytest.mark.parametrize(
    ("written", "place", "words"),
    [
        ("secrets: TOKEN", "4:14", "a list of names"),
        ("secrets: []", "4:14", "a list of names"),
        ("secrets: inherit", "4:14", "a list of names"),
        ("secrets: [token]", "4:15", "upper case"),
        ("secrets: [1TOKEN]", "4:15", "no digit first"),
        ("secrets: [GITHUB_TOKEN]", "4:15", "taken by the service"),
        ("secrets: [BUILDHOOK_X]", "4:15", "taken by the service"),
        ("secrets: [{a: b}]", "4:15", "not a mapping"),
        ("secrets: {GITHUB_SHA: TOKEN}", "4:15", "reserved"),
        ("secrets: {A: '${{ secrets.A }}'}", "4:19", "cannot hold an expression"),
        ("secrets: {A: [B]}", "4:18", "not a list"),
        ("environment: [a]", "4:18", "not a list"),
    ],
)
def test_what_cannot_name_a_secret_is_told_at_its_place(written: str, place: str, words: str) -> None:
    first = parse(pipeline(written)).problems[0]
    assert (f"{first.line}:{first.column}", words in first.text) == (place, True), first


def test_which_secrets_a_job_gets_is_part_of_what_is_consented_to() -> None:
    facts = Facts(event="push", ref="refs/heads/main")
    digests = set()
    for written in ("secrets: [A]", "secrets: {A: B}", "env: {X: y}", "secrets: [A]\n    environment: e"):
        read = parse(pipeline(written))
        assert read.pipeline is not None
        digests.add(plan.digest(plan.make(read.pipeline, facts)))
    assert len(digests) == 4
