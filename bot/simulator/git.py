"""One bare git repository on disk: writes commits, moves refs, and reads trees, with few processes.

Its objects lie in a folder of their own, which a repository and its forks share as they do on GitHub: a commit that was
pushed to one of them can be read by its SHA in each of them. Refs are nobody else's.

Commits are made by `git fast-import`, objects are read through one `git cat-file --batch` that stays open, and what an
immutable commit says is remembered. Nothing of the user's or the machine's git configuration has an effect.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pathlib
import shutil
from collections.abc import Iterable, Mapping, Sequence

from bot.simulator import git_text, values

#: The oldest git whose `merge-tree` can write a tree without a work tree.
OLDEST = (2, 38)

#: Objects that are kept in memory for each repository, and how large one may be.
_MOST_KEPT = 4096
_LARGEST_KEPT_BYTES = 262_144

CONFIGURATION = (
    ("http.receivepack", "true"),
    ("http.getanyfile", "false"),
    ("uploadpack.allowAnySHA1InWant", "true"),
    ("uploadpack.allowFilter", "true"),
    # These namespaces belong to GitHub: they can be fetched, and nobody can push to them.
    ("receive.hideRefs", "refs/pull"),
    ("receive.hideRefs", "refs/heads/gh-readonly-queue"),
    ("receive.fsckObjects", "true"),
    ("receive.autogc", "false"),
    ("gc.auto", "0"),
    ("core.fsync", "none"),
)


#: What no part of a path may be; GitHub refuses a push that has one.
_FORBIDDEN = frozenset({"", ".", "..", ".git"})


class GitError(Exception):
    """A git command ended with a status that is not 0; the text is what it said."""


def environment(**extra: str) -> dict[str, str]:
    """The environment of every git process: no configuration but the repository's own."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LC_ALL": "C.UTF-8",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "safe.directory",
        "GIT_CONFIG_VALUE_0": "*",
        **extra,
    }


async def run(*arguments: str, folder: pathlib.Path, stdin: bytes = b"", ok: Sequence[int] = (0,)) -> bytes:
    """Runs git in `folder`.

    :raises GitError: if it ends with a status that is not in `ok`
    """
    process = await asyncio.create_subprocess_exec(
        "git",
        *arguments,
        cwd=folder,
        env=environment(),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate(stdin)
    if process.returncode not in ok:
        raise GitError(f"git {arguments[0]} ended with {process.returncode}: {errors.decode(errors='replace').strip()}")
    return output


async def require_version(folder: pathlib.Path) -> None:
    """:raises GitError: if git is too old"""
    text = (await run("version", folder=folder)).decode()
    numbers = text.split()[2].split(".")
    if (int(numbers[0]), int(numbers[1])) < OLDEST:
        raise GitError(f"the simulator needs git {OLDEST[0]}.{OLDEST[1]} or later; this is {text.strip()}")


class Git:
    """The repository in `folder`; call `create` first, `close` last."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self._reader: asyncio.subprocess.Process | None = None
        self._reading = asyncio.Lock()
        self._blobs: dict[str, tuple[str, str, bytes]] = {}
        self._commits: dict[str, values.Commit] = {}

    async def git(self, *arguments: str, stdin: bytes = b"", ok: Sequence[int] = (0,)) -> bytes:
        return await run(*arguments, folder=self.folder, stdin=stdin, ok=ok)

    async def create(self, default_branch: str, *, objects: pathlib.Path) -> None:
        """Makes it without a ref, on the objects that are in the folder `objects` already, if there are any."""
        self.folder.mkdir(parents=True)
        await self.git("init", "--quiet", "--bare", "--template=", f"--initial-branch={default_branch}", ".")
        self._share(objects)
        self._configure()

    def _share(self, objects: pathlib.Path) -> None:
        own = self.folder / "objects"
        if objects.exists():
            shutil.rmtree(own)
        else:
            own.rename(objects)
        own.symlink_to(os.path.relpath(objects, self.folder))

    def _configure(self) -> None:
        lines = []
        for name, value in CONFIGURATION:
            section, _, key = name.partition(".")
            lines.append(f"[{section}]\n\t{key} = {value}\n")
        with (self.folder / "config").open("a", encoding="utf-8") as file:
            file.writelines(lines)

    async def close(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            with contextlib.suppress(ProcessLookupError):
                reader.kill()
            await reader.communicate()

    # Writing

    async def write(self, commits: Sequence[values.NewCommit]) -> list[str]:
        """Writes commits and moves their refs, forwards or not. Gives their SHAs.

        :raises GitError: if a path or a ref is not one that git takes; then no ref has moved
        """
        for commit in commits:
            for path in commit.files:
                if not _FORBIDDEN.isdisjoint(path.lower().split("/")):
                    raise GitError(f"git does not take the path {path!r}")
        stream = b"feature done\n" + b"".join(git_text.import_commands(index, c) for index, c in enumerate(commits, 1))
        stream += b"".join(b"get-mark :%d\n" % index for index in range(1, len(commits) + 1)) + b"done\n"
        shas = (await self.git("fast-import", "--quiet", "--force", "--date-format=raw", stdin=stream)).decode().split()
        if len(commits) == 1:
            await self._remember(shas[0], commits[0])
        return shas

    async def _remember(self, sha: str, new: values.NewCommit) -> None:
        """Notes what a commit that was just written says, which saves asking git."""
        written, changes = await self.object(sha), []
        assert written is not None
        for path in new.files:
            before = await self.object(f"{new.parent}:{path}") if new.parent is not None else None
            after = await self.object(f"{sha}:{path}")
            if "tree" in (before[1] if before else "", after[1] if after else ""):
                return
            if before != after:
                status = "added" if before is None else "removed" if after is None else "modified"
                changes.append(values.FileChange(status=status, path=path))
        self._commits[sha] = values.Commit(
            sha=sha,
            tree=written[2][5:45].decode(),
            parents=(new.parent,) if new.parent is not None else (),
            author=new.author,
            committer=new.author,
            message=new.message.rstrip("\n"),
            changes=tuple(sorted(changes, key=lambda change: change.path)),
        )

    async def set_refs(self, refs: Mapping[str, str | None]) -> None:
        """Points refs (full names) at objects in one transaction; None deletes."""
        lines = []
        for ref, sha in refs.items():
            lines.append(f"delete {ref}\0\0" if sha is None else f"update {ref}\0{sha}\0\0")
        await self.git("update-ref", "-z", "--stdin", stdin="".join(lines).encode())

    async def annotate(self, tag: str, sha: str, *, message: str, tagger: values.Signature) -> str:
        """Writes a tag object, without a ref. Gives its SHA."""
        text = f"object {sha}\ntype commit\ntag {tag}\ntagger {git_text.signature(tagger)}\n\n{message}\n"
        return (await self.git("mktag", stdin=text.encode())).decode().strip()

    async def merge(self, base: str, head: str, *, message: str, author: values.Signature) -> str | None:
        """Writes the commit that merges `head` into `base`, without a ref; None on a conflict."""
        output = await self.git("merge-tree", "--write-tree", "--no-messages", base, head, ok=(0, 1))
        lines = output.decode().split("\n")
        if len(lines) > 2 or not lines[0]:
            return None
        return await self.commit_tree(lines[0], [base, head], message=message, author=author)

    async def commit_tree(self, tree: str, parents: Sequence[str], *, message: str, author: values.Signature) -> str:
        """Writes a commit of a tree that exists, without a ref."""
        parent_lines = "".join(f"parent {parent}\n" for parent in parents)
        who = git_text.signature(author)
        text = f"tree {tree}\n{parent_lines}author {who}\ncommitter {who}\n\n{message}\n"
        output = await self.git("hash-object", "-t", "commit", "-w", "--stdin", stdin=text.encode())
        return output.decode().strip()

    # Reading

    async def refs(self) -> dict[str, str]:
        """Full ref names of branches and tags, and what they point at."""
        output = await self.git("for-each-ref", "--format=%(objectname) %(refname)", "refs/heads", "refs/tags")
        pairs = (line.split(" ", 1) for line in output.decode().splitlines())
        return {name: sha for sha, name in pairs}

    async def has(self, sha: str) -> bool:
        return await self.object(sha) is not None

    async def object(self, name: str) -> tuple[str, str, bytes] | None:
        """SHA, type and content of `SHA` or `SHA:path`, or None. `name` must begin with a full SHA."""
        path = name.partition(":")[2]
        if "\0" in name or path.startswith(("./", "../")) or path in (".", ".."):
            return None  # git would take it for a place outside
        if name in self._blobs:
            return self._blobs[name]
        asked = name
        if "\n" in name or name.endswith("\r"):
            # The reader takes a line for each name, and gives the end of a line no meaning.
            try:
                asked = (await self.git("rev-parse", "--verify", "--quiet", "--end-of-options", name)).decode().strip()
            except GitError:
                return None
        async with self._reading:
            found = await self._read(asked)
        # What is there stays as it is; what is missing may still come.
        if found is not None and len(found[2]) < _LARGEST_KEPT_BYTES:
            if len(self._blobs) >= _MOST_KEPT:
                self._blobs.clear()
            self._blobs[name] = found
        return found

    async def _read(self, name: str) -> tuple[str, str, bytes] | None:
        reader = self._reader
        if reader is None or reader.returncode is not None:
            reader = self._reader = await asyncio.create_subprocess_exec(
                "git",
                "cat-file",
                "--batch",
                cwd=self.folder,
                env=environment(),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
            )
        assert reader.stdin is not None
        assert reader.stdout is not None
        reader.stdin.write(name.encode("utf-8", "surrogateescape") + b"\n")
        line = await reader.stdout.readline()
        words = line.split()
        if len(words) != 3 or not words[2].isdigit():
            return None
        content = await reader.stdout.readexactly(int(words[2]) + 1)
        return words[0].decode(), words[1].decode(), content[:-1]

    async def empty_tree(self) -> str:
        """The tree without files, to compare a first commit with."""
        return (await self.git("hash-object", "-t", "tree", "-w", "--stdin")).decode().strip()

    async def peel(self, sha: str) -> str:
        """The commit that a tag object, or a commit itself, stands for."""
        found = await self.object(sha)
        while found is not None and found[1] == "tag":
            sha = found[2].split(b"\n", 1)[0].removeprefix(b"object ").decode()
            found = await self.object(sha)
        return sha

    async def commit(self, sha: str) -> values.Commit:
        """One commit with its files.

        :raises KeyError: if there is no such commit
        """
        return (await self.commits([sha]))[0]

    async def commits(self, shas: Sequence[str]) -> list[values.Commit]:
        """Commits with the files that they change, in the order asked for.

        :raises KeyError: if one is not there
        """
        missing = [sha for sha in shas if sha not in self._commits]
        if missing:
            output = await self.git(
                "log",
                "--stdin",
                "--no-walk=unsorted",
                *git_text.LOG_ARGUMENTS,
                stdin="\n".join(missing).encode(),
                ok=(0, 128),
            )
            for found in git_text.parse_log(output):
                self._commits[found.sha] = found
        return [self._commits[sha] for sha in shas]

    async def range(self, tips: Iterable[str], *, excluding: Iterable[str] = (), limit: int = 250) -> list[str]:
        """The commits that the tips reach and the excluded ones do not, oldest first; the newest `limit` of them."""
        lines = [*tips, *(f"^{sha}" for sha in excluding)]
        output = await self.git(
            "rev-list", "--stdin", f"--max-count={limit}", "--topo-order", stdin="\n".join(lines).encode()
        )
        return output.decode().split()[::-1]

    async def count(self, base: str, head: str) -> tuple[int, int]:
        """How many commits `head` is behind `base`, and ahead of it."""
        behind, ahead = (await self.git("rev-list", "--left-right", "--count", f"{base}...{head}")).split()
        return int(behind), int(ahead)

    async def merge_base(self, one: str, other: str) -> str | None:
        output = await self.git("merge-base", one, other, ok=(0, 1))
        return output.decode().strip() or None

    async def is_ancestor(self, older: str, newer: str) -> bool:
        return older == newer or await self.merge_base(older, newer) == older

    async def changes(self, base: str, head: str) -> list[values.FileChange]:
        """What changes between two trees, with counts and patches."""
        output = await self.git("diff-tree", "-r", "-M", "-z", "--raw", "--numstat", "-p", "--full-index", base, head)
        return git_text.parse_changes(output)

    async def tree(self, name: str) -> list[tuple[str, str, str, int]]:
        """Mode, SHA, name and size of what lies in the tree called `SHA` or `SHA:path`."""
        output = await self.git("ls-tree", "-z", "-l", "--end-of-options", name)
        entries = []
        for line in output.decode("utf-8", "surrogateescape").split("\0")[:-1]:
            facts, _, path = line.partition("\t")
            mode, _, sha, size = facts.split()
            entries.append((mode, sha, path, int(size) if size.isdigit() else 0))
        return entries
