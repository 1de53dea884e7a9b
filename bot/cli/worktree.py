"""The working tree as a commit: with what is not committed, and without leaving a trace in the repository."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

import msgspec

from bot import errors

_REMOTE = re.compile(
    r"(?:https?://(?:[^/@]+@)?[^/@]+/|ssh://git@[^/]+/|git@[^:]+:)(?P<name>[A-Za-z0-9._-]+/[A-Za-z0-9._-]+?)(?:\.git)?/?"
)
_PULL = re.compile(r"refs/pull/(?P<number>[1-9][0-9]{0,8})/head", re.ASCII)
_SHA = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")
_IDENTITY = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "buildhook"), ("EMAIL", "buildhook@localhost"))
}


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A commit made of the working tree."""

    #: Top of the working tree.
    root: Path
    sha: str
    #: What is checked out: a branch's name, or None.
    branch: str | None
    #: `owner/name` of the remote `origin`; `local/<folder>` where there is none on a server.
    repository: str
    #: First line of the newest commit's message.
    title: str


class Upstream(msgspec.Struct, frozen=True, kw_only=True):
    """Where the branch that is checked out goes."""

    #: The branch's name there.
    name: str
    #: Where it is the head of a pull request itself (`refs/pull/7/head`), its number.
    pull_number: int | None


class Tree:
    """A working tree of git."""

    def __init__(self, folder: Path) -> None:
        """:raises errors.NotFound: if the folder is in no working tree, or git is missing."""
        try:
            found = subprocess.run(
                ["git", "rev-parse", "--show-toplevel"], cwd=folder, capture_output=True, check=False
            )
        except FileNotFoundError:
            raise errors.NotFound("git is not installed: install it (apt-get install git).") from None
        if found.returncode != 0:
            raise errors.NotFound(f"{folder} is in no git repository: run `git init` there, or go to one.")
        self.root = Path(os.fsdecode(found.stdout.rstrip(b"\n")))

    def _git(self, *arguments: str, env: Mapping[str, str] | None = None, may_fail: bool = False) -> str:
        done = subprocess.run(
            ["git", "-c", "core.hooksPath=/dev/null", *arguments],
            cwd=self.root,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        if done.returncode != 0 and not may_fail:
            said = done.stderr.decode("utf-8", "replace").strip().partition("\n")[0]
            raise errors.EngineError(f"git {arguments[0]} failed: {said}")
        return done.stdout.decode("utf-8", "replace").rstrip("\n") if done.returncode == 0 else ""

    def remote_repositories(self) -> tuple[str, ...]:
        """`owner/name` of each remote on a server."""
        urls = (self._git("remote", "get-url", "--", one, may_fail=True) for one in self._git("remote").splitlines())
        found = (_REMOTE.fullmatch(url) for url in urls)
        return tuple(dict.fromkeys(one["name"] for one in found if one is not None))

    def upstream_branch(self) -> Upstream | None:
        """The branch that is checked out, by its name on the server; None where none is."""
        branch = self._git("symbolic-ref", "--quiet", "--short", "HEAD", may_fail=True)
        if not branch:
            return None
        ref = self._git("config", "--get", f"branch.{branch}.merge", may_fail=True)
        pull = _PULL.fullmatch(ref)
        return Upstream(
            name=ref.removeprefix("refs/heads/") or branch, pull_number=int(pull["number"]) if pull else None
        )

    def tips(self) -> frozenset[str]:
        """What is checked out, and what of it was pushed."""
        shas = (self._git("rev-parse", "--verify", "--quiet", one, may_fail=True) for one in ("HEAD", "@{upstream}"))
        return frozenset(filter(None, shas))

    def pushed(self) -> str | None:
        """The commit that the branch stood at where it was pushed to last; None where it never was."""
        return self._git("rev-parse", "--verify", "--quiet", "@{upstream}", may_fail=True) or None

    def is_before(self, sha: str, later: str) -> bool:
        """Whether `later` was made on top of the commit."""
        if sha == later or not self.has_commit(sha):
            return False
        return self._git("merge-base", "--end-of-options", sha, later, may_fail=True) == sha

    def has_commit(self, sha: str) -> bool:
        """Whether the commit is here; none is fetched for it."""
        env = {"GIT_NO_LAZY_FETCH": "1"}
        return _SHA.fullmatch(sha) is not None and bool(
            self._git(
                "rev-parse", "--verify", "--quiet", "--end-of-options", f"{sha}^{{commit}}", env=env, may_fail=True
            )
        )

    def changed_files(self, base: str) -> tuple[str, ...] | None:
        """The files that differ from what the branch began at; None where the base is not known here."""
        start = self._git("merge-base", "--end-of-options", base, "HEAD", may_fail=True)
        if not start:
            return None
        known = self._git("diff", "--name-only", "--no-renames", "-z", "--end-of-options", start, "--")
        new = self._git("ls-files", "--others", "--exclude-standard", "-z")
        return tuple(sorted({*filter(None, known.split("\0")), *filter(None, new.split("\0"))}))

    def snapshot(self, *, into: Path | None = None) -> Snapshot:
        """Make a commit of all that is there and not ignored, and put it into a bare repository.

        :param into: None where the commit itself is not needed: then it is the newest one.
        :raises errors.EngineError: if git cannot do it; the text says why.
        """
        head = self._git("rev-parse", "--verify", "--quiet", "HEAD", may_fail=True)
        sha = head if into is None else self._commit(head, into)
        remote = _REMOTE.fullmatch(self._git("remote", "get-url", "origin", may_fail=True))
        safe = re.sub(r"[^A-Za-z0-9._-]", "-", self.root.name) or "repository"
        return Snapshot(
            root=self.root,
            sha=sha or "0" * 40,
            branch=self._git("symbolic-ref", "--quiet", "--short", "HEAD", may_fail=True) or None,
            repository=remote["name"] if remote is not None else f"local/{safe}",
            title=self._git("log", "-1", "--format=%s", may_fail=True)[:255] if head else "",
        )

    def _commit(self, head: str, into: Path) -> str:
        objects = self._git("rev-parse", "--path-format=absolute", "--git-path", "objects")
        with tempfile.TemporaryDirectory(prefix="buildhook-run-") as folder:
            # What is made lies in a folder of its own: the repository stays as it is.
            env = {
                **_IDENTITY,
                "GIT_INDEX_FILE": f"{folder}/index",
                "GIT_OBJECT_DIRECTORY": f"{folder}/objects",
                "GIT_ALTERNATE_OBJECT_DIRECTORIES": objects,
            }
            Path(folder, "objects").mkdir()
            if head:
                self._git("read-tree", "HEAD", env=env)
            self._git("add", "--all", env=env)
            tree = self._git("write-tree", env=env)
            if head and tree == self._git("rev-parse", "HEAD^{tree}"):
                sha = head
            else:
                parents = ["-p", head] if head else []
                sha = self._git("commit-tree", *parents, "-m", "The working tree", tree, env=env)
            self._git("push", "--quiet", "--force", "--", str(into), f"{sha}:refs/kept/run/{sha}", env=env)
        return sha
