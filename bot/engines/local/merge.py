"""The merge of a pull request's base and head, made here: the same commits give the same commit, on any machine."""

from __future__ import annotations

import hashlib
import zlib
from pathlib import Path

from bot import telemetry
from bot.engines import contract
from bot.engines.local import git, mirror, trouble

_NAMES = 5
_SECONDS = 120.0
#: Beyond these git, or what reads its commits, may not follow.
_EARLIEST, _LATEST = 0, 1 << 32


def merge(
    place: mirror.Mirror, *, program: git.Git, base: mirror.Commit, head: mirror.Commit, objects: Path
) -> mirror.Commit:
    """Merge the head into the base; what comes into being is written to `objects`, not to the mirror.

    :raises trouble.Ended: if they do not merge.
    """
    env = {"GIT_OBJECT_DIRECTORY": str(objects), "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(place.objects)}
    directory = f"--git-dir={place.folder}"
    options = ["--write-tree", "--name-only", "--messages", "-z"]
    answer = program.run(
        directory, "merge-tree", *options, "--end-of-options", base.sha, head.sha, env=env, timeout_seconds=_SECONDS
    )
    said = answer.stdout.decode("utf-8", "replace")
    if answer.code == 1:
        raise conflict(said)
    if "unrelated histories" in answer.stderr:
        raise trouble.Ended(
            "The head and the base have no commit in common, so they cannot be merged: rebase on the base branch.",
            result=contract.Result.FAILED,
            log=answer.stderr,
        )
    if answer.code != 0:
        raise trouble.Ended("The merge of base and head could not be made; the log says why.", log=answer.stderr)
    tree = git.check_oid(said.partition("\0")[0])
    when = f"{min(max(head.committed_at, base.committed_at, _EARLIEST), _LATEST)} +0000"
    by = f"buildhook <buildhook@localhost> {when}"
    text = f"tree {tree}\nparent {base.sha}\nparent {head.sha}\nauthor {by}\ncommitter {by}\n\n"
    sha = _write(objects, f"{text}Merge {head.sha} into {base.sha}\n".encode("ascii"), is_sha256=len(tree) == 64)
    return mirror.Commit(sha=sha, tree=tree, committed_at=0)


def _write(objects: Path, commit: bytes, *, is_sha256: bool) -> str:
    """Write a commit as git does; gives its id.

    https://git-scm.com/book/en/v2/Git-Internals-Git-Objects#_object_storage
    """
    data = b"commit %d\0%b" % (len(commit), commit)
    made = hashlib.sha256(data) if is_sha256 else hashlib.sha1(data, usedforsecurity=False)
    sha = made.hexdigest()
    path = objects / sha[:2] / sha[2:]
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(zlib.compress(data, 1))
    path.chmod(0o444)
    return sha


def conflict(said: str) -> trouble.Ended:
    """The end of a job whose merge has conflicts.

    https://git-scm.com/docs/git-merge-tree#OUTPUT

    :param said: git's answer with `-z`: tree, names, an empty name, then for each message the number of its paths,
        these, its kind and its text.
    """
    names, _, rest = said.partition("\0")[2].partition("\0\0")
    found = [telemetry.one_line(name) for name in dict.fromkeys(names.split("\0")) if name]
    shown = ", ".join(found[:_NAMES]) + (f" and {len(found) - _NAMES} more" if len(found) > _NAMES else "")
    log = "The base and the head do not merge:\n" + "".join(f"{text.rstrip()}\n" for text in _messages(rest))
    return trouble.Ended(
        f"merge conflict in {shown}: merge the base branch into yours", result=contract.Result.FAILED, log=log
    )


def _messages(rest: str) -> list[str]:
    parts = rest.split("\0")
    found: list[str] = []
    position = 0
    while position < len(parts) and parts[position].isascii() and parts[position].isdecimal():
        position += int(parts[position]) + 2
        found += parts[position : position + 1]
        position += 1
    return found
