"""The `github` context of each kind of build, as GitHub's documentation has it."""

from __future__ import annotations

from typing import Any

import pytest

from bot.pipelines import contexts
from tests import factories


@pytest.mark.parametrize(
    ("of", "known"),
    [
        (
            factories.make_build(id="b1", generation=2, pipeline="CI"),
            {
                "event_name": "push",
                "ref": "refs/heads/main",
                "ref_name": "main",
                "ref_type": "branch",
                "head_ref": "",
                "base_ref": "",
                "sha": factories.HEAD_SHA,
                "actor": "octo",
                "repository": "octo/hello",
                "repository_owner": "octo",
                "run_id": "b1",
                "run_attempt": "2",
                "workflow": "CI",
            },
        ),
        (factories.make_build(ref="refs/tags/v1/a"), {"ref_name": "v1/a", "ref_type": "tag"}),
        (
            factories.make_pull_build(),
            {
                "event_name": "pull_request",
                "ref": "refs/pull/7/merge",
                "ref_name": "7/merge",
                "ref_type": "branch",
                "head_ref": "feature",
                "base_ref": "main",
            },
        ),
        (factories.make_build(event="merge_group", base_ref="main"), {"base_ref": "", "head_ref": ""}),
    ],
)
def test_the_github_context(of: Any, known: dict[str, str]) -> None:
    found = contexts.of_build(of)["github"]
    assert {name: found[name] for name in known} == known
    assert "token" not in found


def test_inputs_are_those_of_the_event_and_nothing_else() -> None:
    assert contexts.of_build(factories.make_build(payload={"inputs": {"a": "b"}}))["inputs"] == {"a": "b"}
    for payload in ({}, {"inputs": None}, {"inputs": "a"}):
        assert contexts.of_build(factories.make_build(payload=payload))["inputs"] == {}
