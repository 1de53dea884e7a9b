"""Pure: what git is told and what git tells, as text, turned from and into values."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime

from bot.simulator import values

#: Arguments of `git log` whose output `parse_log` reads. A merge is compared with its first parent, and a renamed file
#: counts as one removed and one added, as in GitHub's push payloads.
LOG_ARGUMENTS = (
    "-z",
    "--name-status",
    "--no-renames",
    "--root",
    "--diff-merges=first-parent",
    "--format=%H%x00%T%x00%P%x00%an%x00%ae%x00%at%x00%cn%x00%ce%x00%ct%x00%B%x00",
)

_STATUS = {"A": "added", "D": "removed", "M": "modified", "T": "changed", "R": "renamed", "C": "copied"}


def signature(who: values.Signature) -> str:
    """`name <email> seconds zone`, as in a commit object."""
    name, email = (re.sub(r"[\x00-\x1f<>]", "", text).strip() for text in (who.name, who.email))
    return f"{name} <{email}> {int(who.at.timestamp())} +0000"


def import_commands(mark: int, commit: values.NewCommit) -> bytes:
    """The commands of `git fast-import` that write one commit."""
    who = signature(commit.author).encode()
    message = commit.message.encode("utf-8", "surrogateescape")
    parts = [b"commit %s\nmark :%d\n" % (commit.ref.encode(), mark)]
    parts.append(b"author %s\ncommitter %s\ndata %d\n%s\n" % (who, who, len(message), message))
    if commit.parent is not None:
        parts.append(b"from %s\n" % commit.parent.encode())
    for path, content in commit.files.items():
        name = _quoted(path)
        if content is None:
            parts.append(b"D %s\n" % name)
            continue
        data = content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content
        parts.append(b"M %s inline %s\ndata %d\n%s\n" % (_mode(content, data), name, len(data), data))
    return b"".join(parts)


def _quoted(path: str) -> bytes:
    escaped = path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return b'"%s"' % escaped.encode("utf-8", "surrogateescape")


def _mode(content: str | bytes, data: bytes) -> bytes:
    if isinstance(content, values.Link):
        return b"120000"
    return b"100755" if data.startswith(b"#!") else b"100644"


def parse_log(output: bytes) -> list[values.Commit]:
    """The commits that `git log` with `LOG_ARGUMENTS` tells of."""
    tokens = output.decode("utf-8", "replace").split("\0")
    commits = []
    index = 0
    while index + 10 < len(tokens):
        sha, tree, parents, name, email, written, *rest = tokens[index : index + 10]
        committer_name, committer_email, committed, message = rest
        index += 11
        changes = []
        while index + 1 < len(tokens) and tokens[index].strip("\n") in _STATUS:
            changes.append(values.FileChange(status=_STATUS[tokens[index].strip("\n")], path=tokens[index + 1]))
            index += 2
        commits.append(
            values.Commit(
                sha=sha.strip("\n"),
                tree=tree,
                parents=tuple(parents.split()),
                author=values.Signature(name=name, email=email, at=_at(written)),
                committer=values.Signature(name=committer_name, email=committer_email, at=_at(committed)),
                message=message.rstrip("\n"),
                changes=tuple(changes),
            )
        )
    return commits


def _at(seconds: str) -> datetime:
    return datetime.fromtimestamp(int(seconds), tz=UTC)


def parse_changes(output: bytes) -> list[values.FileChange]:
    """The files that `git diff-tree -r -M -z --raw --numstat -p --full-index` tells of, with counts and patches."""
    listed, _, patch_text = output.decode("utf-8", "replace").partition("\0\0diff --git ")
    patches = re.split(r"^diff --git ", patch_text, flags=re.MULTILINE) if patch_text else []
    tokens = iter(listed.split("\0"))
    raw: list[tuple[str, str, str | None, str]] = []
    counts: list[tuple[int, int]] = []
    for token in tokens:
        if token.startswith(":"):
            raw.append(_raw(token, tokens))
        elif token:
            counts.append(_counts(token, tokens))
    changes = []
    for index, (letter, path, previous, blob) in enumerate(raw):
        added, removed = counts[index] if index < len(counts) else (0, 0)
        changes.append(
            values.FileChange(
                status=_STATUS.get(letter, "changed"),
                path=path,
                previous_path=previous,
                blob=blob,
                additions=added,
                deletions=removed,
                patch=_hunks(patches[index]) if index < len(patches) else None,
            )
        )
    return changes


def _raw(token: str, tokens: Iterator[str]) -> tuple[str, str, str | None, str]:
    _, _, before, after, status = token.split(" ")
    path, previous = next(tokens), None
    if status[0] in "RC":
        previous, path = path, next(tokens)
    return status[0], path, previous, before if status[0] == "D" else after


def _counts(token: str, tokens: Iterator[str]) -> tuple[int, int]:
    added, removed, path = token.split("\t", 2)
    if not path:
        next(tokens)
        next(tokens)
    return (int(added) if added.isdigit() else 0), (int(removed) if removed.isdigit() else 0)


def _hunks(patch: str) -> str | None:
    start = patch.find("\n@@ ")
    return patch[start + 1 :].rstrip("\n") if start >= 0 else None
