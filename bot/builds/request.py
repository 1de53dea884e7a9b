"""What an engine is told about a job: pure. Names from outside travel in the environment, never in a command."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from bot import images
from bot.builds import caching
from bot.engines import contract
from bot.model import build, job, trace
from bot.pipelines import contexts


def make(
    one: job.Job,
    of: build.Build,
    *,
    needs: Mapping[str, Any],
    source: contract.Source,
    secrets: Callable[[], Awaitable[contract.Secrets]] | None = None,
    rules: images.Rules = images.DEFAULT,
    server_url: str,
    api_url: str,
    is_sampled: bool = True,
) -> contract.JobRequest:
    """The request for one job of a build.

    :param needs: the context of what it needs, see `lifecycle.needs_of`.
    :param rules: which images the operator lets jobs have.
    :param is_sampled: whether spans of tools in the job are wanted; where nothing of ours is sent, the tools' own
        spans of one build still are of one trace.
    """
    known = contexts.of_build(of)
    github = {**known["github"], "api_url": api_url, "job": one.plan.id, "server_url": server_url}
    return contract.JobRequest(
        job_id=one.id,
        engine=one.engine,
        source=source,
        plan=one.plan,
        env=environment(one, of, server_url=server_url, api_url=api_url),
        trace_parents=tuple(
            trace.parent(of.id, trace.of_step(one.id, index), is_sampled=is_sampled)
            for index in range(len(one.plan.steps))
        ),
        timeout_seconds=one.plan.timeout_minutes * 60,
        contexts={**known, "github": github, "needs": needs},
        cache_scopes=caching.scopes(of),
        images=rules,
        secrets=secrets,
    )


def environment(one: job.Job, of: build.Build, *, server_url: str, api_url: str) -> dict[str, str]:
    """The variables of every step, under the names that Actions' users know where they mean the same.

    https://docs.github.com/en/actions/reference/workflows-and-actions/variables#default-environment-variables

    The engine adds `GITHUB_SHA`, the commit that is tested, and `GITHUB_WORKSPACE`, where it lies.
    """
    owner, _, _ = of.repository.partition("/")
    env = {
        "CI": "true",
        "BUILDHOOK": "true",
        "BUILDHOOK_BUILD_ID": of.id,
        "BUILDHOOK_JOB_ID": one.id,
        "GITHUB_ACTOR": of.sender,
        "GITHUB_API_URL": api_url,
        "GITHUB_EVENT_NAME": of.event,
        "GITHUB_JOB": one.plan.id,
        "GITHUB_REF": of.ref,
        "GITHUB_REF_NAME": contexts.short(of.ref),
        "GITHUB_REF_TYPE": "tag" if of.ref.startswith("refs/tags/") else "branch",
        "GITHUB_REPOSITORY": of.repository,
        "GITHUB_REPOSITORY_ID": str(of.repository_id),
        "GITHUB_REPOSITORY_OWNER": owner,
        "GITHUB_RUN_ATTEMPT": str(of.generation),
        "GITHUB_SERVER_URL": server_url,
        "BUILDHOOK_HEAD_SHA": of.head_sha,
    }
    if of.pull_number is not None:
        env["GITHUB_HEAD_REF"] = of.head_ref or ""
        env["GITHUB_BASE_REF"] = of.base_ref or ""
        env["BUILDHOOK_BASE_SHA"] = of.base_sha or ""
    return env
