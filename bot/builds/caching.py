"""Which caches a job may read, and where it may write: pure.

A cache is code that later jobs run, so nobody may write what somebody with more trust reads. As in Actions, a build
reads what its own ref, its base and the default branch left, and writes for its own ref; besides, builds of strangers
write where only builds of the same pull request read.

https://docs.github.com/en/actions/reference/workflows-and-actions/dependency-caching#restrictions-for-accessing-a-cache
"""

from __future__ import annotations

from collections.abc import Mapping

from bot.engines import contract
from bot.model import build


def scopes(of: build.Build) -> contract.CacheScopes:
    """The scopes of a build's jobs."""
    own = f"{of.trust.value} {_own(of)}"
    branches = [branch for branch in (of.base_ref, default_branch(of)) if branch]
    shared = [f"{build.Trust.TRUSTED.value} refs/heads/{branch}" for branch in branches]
    return contract.CacheScopes(write=own, read=tuple(dict.fromkeys([own, *shared])))


def _own(of: build.Build) -> str:
    return f"refs/pull/{of.pull_number}" if of.pull_number is not None else of.ref


def default_branch(of: build.Build) -> str | None:
    """The branch that its repository called the default one when it was made, where that is known."""
    repository = of.payload.get("repository")
    found = repository.get("default_branch") if isinstance(repository, Mapping) else None
    return found if isinstance(found, str) else None
