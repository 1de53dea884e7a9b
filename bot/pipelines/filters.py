"""What the filters of `on` decide of an event: it runs, it is left out, or it waits until somebody wants it."""

from __future__ import annotations

import enum
from collections.abc import Sequence

import msgspec

from bot.model import change
from bot.pipelines import globs, vocabulary
from bot.pipelines.document import Filter, Pipeline
from bot.pipelines.problems import quoted

#: Characters of names times patterns, under a microsecond each: comparing more would hold up everything else.
MAX_WORK = 500_000


class Verdict(enum.StrEnum):
    """What becomes of an event."""

    RUNS = "runs"
    #: The file decided that nothing of this has to run.
    SKIPPED = "skipped"
    #: The file does not build at this event what it builds at another one: nothing is proved of the commit.
    WAITS = "waits"
    #: The file does not speak of such an event.
    NOT_NAMED = "not_named"


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What of an event decides which jobs run."""

    #: `push`, `pull_request` or `merge_group`.
    event: str
    #: Fully qualified: a branch and a tag of the same name are told apart.
    ref: str
    #: Branch name of the base; always there for a pull request and a merge group.
    base_ref: str | None = None
    #: What happened to the pull request or merge group; None where every type counts.
    action: str | None = None
    is_draft: bool = False
    #: None where they are not known: then no filter of paths leaves anything out.
    changed_files: change.ChangedFiles | None = None

    def __post_init__(self) -> None:
        if self.event in ("pull_request", "merge_group") and self.base_ref is None:
            raise ValueError("a pull request or merge group has a base")


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """A verdict; only one that runs has no reason."""

    verdict: Verdict
    #: A sentence for people.
    reason: str | None = None


_RUNS = Decision(verdict=Verdict.RUNS)


def decide(pipeline: Pipeline, facts: Facts) -> Decision:
    """What becomes of an event."""
    wanted = pipeline.on.get(facts.event)
    if wanted is None:
        return _not_named(f"`on` does not name `{facts.event}`.")
    if facts.event in ("schedule", "workflow_dispatch"):
        return _RUNS
    if facts.event in ("push", "hook"):
        against = _against_ref(facts.ref, wanted, key=f"on.{facts.event}")
    else:
        key = f"on.{facts.event}.branches"
        against = _against_name(facts.base_ref or "", wanted.branches, wanted.branches_ignore, key=key)
    if against is not None:
        return against
    return _against_type(facts, wanted) or _against_draft(facts, wanted) or _against_paths(facts, wanted) or _RUNS


def line(pipeline: Pipeline, facts: Facts, decision: Decision) -> int:
    """The line, from 1, of the key that a decision went by: the one that its reason names, else that of the event."""
    wanted = pipeline.on.get(facts.event)
    if wanted is None:
        return pipeline.on_line
    named = [key for key in wanted.lines if decision.reason is not None and f".{key}`" in decision.reason]
    kinds = ("tags", "tags-ignore") if facts.ref.startswith("refs/tags/") else ("branches", "branches-ignore")
    return next((wanted.lines[key] for key in (*named, *kinds) if key in wanted.lines), wanted.line)


def wants_files(pipeline: Pipeline, facts: Facts) -> bool:
    """Whether the decision depends on which files changed, so that they have to be asked for."""
    wanted = pipeline.on.get(facts.event)
    if wanted is None or not wanted.has_paths or facts.changed_files is not None or facts.ref.startswith("refs/tags/"):
        return False
    return decide(pipeline, facts).verdict == Verdict.RUNS


def _against_ref(ref: str, wanted: Filter, *, key: str) -> Decision | None:
    has_branches = wanted.branches is not None or wanted.branches_ignore is not None
    has_tags = wanted.tags is not None or wanted.tags_ignore is not None
    if ref.startswith("refs/heads/"):
        if has_tags and not has_branches:
            return _skipped(f"`{key}` names only tags, and {quoted(ref)} is a branch.")
        name = ref.removeprefix("refs/heads/")
        return _against_name(name, wanted.branches, wanted.branches_ignore, key=f"{key}.branches")
    if ref.startswith("refs/tags/"):
        if has_branches and not has_tags:
            return _skipped(f"`{key}` names only branches, and {quoted(ref)} is a tag.")
        name = ref.removeprefix("refs/tags/")
        return _against_name(name, wanted.tags, wanted.tags_ignore, key=f"{key}.tags")
    return _not_named(f"{quoted(ref)} is neither a branch nor a tag.")


def _against_name(
    name: str, wanted: tuple[str, ...] | None, ignored: tuple[str, ...] | None, *, key: str
) -> Decision | None:
    if wanted is not None and not globs.matches(wanted, name):
        return _skipped(f"`{key}` does not match {quoted(name)}.")
    if ignored is not None and globs.matches(ignored, name):
        return _skipped(f"`{key}-ignore` matches {quoted(name)}.")
    return None


def _against_type(facts: Facts, wanted: Filter) -> Decision | None:
    if facts.action is None or facts.action in (wanted.types or vocabulary.DEFAULT_TYPES.get(facts.event, ())):
        return None
    reason = f"`on.{facts.event}.types` does not name `{facts.action}`."
    # Where the file does not say so itself, nobody waits for what is not built at every event.
    return _not_named(reason) if wanted.types is None else Decision(verdict=Verdict.WAITS, reason=reason)


def _against_draft(facts: Facts, wanted: Filter) -> Decision | None:
    if facts.is_draft and not wanted.drafts:
        return _skipped("It is a draft, and `on.pull_request.drafts` is `false`: it is built when it is ready.")
    return None


def _against_paths(facts: Facts, wanted: Filter) -> Decision | None:
    """https://docs.github.com/en/actions/reference/workflow-syntax-for-github-actions#onpushpull_requestpull_request_targetpathspaths-ignore"""
    files = facts.changed_files
    if files is None or not files.is_whole or facts.ref.startswith("refs/tags/"):
        return None
    if wanted.paths is not None and not _is_too_much(wanted.paths, files.names):
        match = globs.compiled_all(wanted.paths)
        if not any(match(name) for name in files.names):
            return _skipped(f"No changed file matches `on.{facts.event}.paths`.")
    if wanted.paths_ignore is not None and files.names and not _is_too_much(wanted.paths_ignore, files.names):
        match = globs.compiled_all(wanted.paths_ignore)
        if all(match(name) for name in files.names):
            return _skipped(f"Every changed file matches `on.{facts.event}.paths-ignore`.")
    return None


def _is_too_much(patterns: Sequence[str], names: Sequence[str]) -> bool:
    return sum(map(len, names)) * len(patterns) > MAX_WORK


def _skipped(reason: str) -> Decision:
    return Decision(verdict=Verdict.SKIPPED, reason=reason)


def _not_named(reason: str) -> Decision:
    return Decision(verdict=Verdict.NOT_NAMED, reason=reason)
