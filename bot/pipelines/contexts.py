"""The contexts that are known when a build is planned: `github` and `inputs`. Pure.

https://docs.github.com/en/actions/reference/workflows-and-actions/contexts#github-context
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.model import build

_PREFIXES = ("refs/heads/", "refs/tags/", "refs/pull/")


def of_build(of: build.Build) -> Mapping[str, Any]:
    """What expressions may name before anything of a build has run."""
    inputs = of.payload.get("inputs")
    return {"github": github(of), "inputs": inputs if isinstance(inputs, Mapping) else {}}


def github(of: build.Build) -> Mapping[str, Any]:
    """The `github` context. There is no token in it: builds get none.

    `sha` is the head's; once a pull request is merged here the engine knows better.
    """
    owner, _, _ = of.repository.partition("/")
    return {
        "actor": of.sender,
        "actor_id": str(of.sender_id),
        "base_ref": of.base_ref if of.event == "pull_request" and of.base_ref is not None else "",
        "event": of.payload,
        "event_name": of.event,
        "head_ref": of.head_ref or "",
        "ref": of.ref,
        "ref_name": short(of.ref),
        "ref_type": "tag" if of.ref.startswith("refs/tags/") else "branch",
        "repository": of.repository,
        "repository_id": str(of.repository_id),
        "repository_owner": owner,
        "run_attempt": str(of.generation),
        "run_id": of.id,
        "sha": of.head_sha,
        "triggering_actor": of.sender,
        "workflow": of.pipeline,
    }


def short(ref: str) -> str:
    """A ref as people say it: `refs/heads/main` is `main`."""
    prefix = next((one for one in _PREFIXES if ref.startswith(one)), "")
    return ref.removeprefix(prefix)
