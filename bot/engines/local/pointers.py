"""Which files of a tree are kept by Git LFS: those whose attributes say so and whose content is a pointer.

Read as data from the tree that is tested; `.lfsconfig` and every setting of the repository's count for nothing.

https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence

import msgspec

from bot.engines import contract
from bot.engines.local import git, mirror, trouble

#: Of one checkout.
MAX_FILES = 10_000
#: What is larger is no pointer.
_MAX_POINTER_BYTES = 1024
_SECONDS = 300.0
_REGULAR = ("100644", "100755")
_FIRST_LINE = b"version https://git-lfs.github.com/spec/v1\n"
_LINE = re.compile(rb"[a-z0-9.-]+ [^\n]*\Z")
_OID = re.compile(rb"oid sha256:([0-9a-f]{64})\Z")
_SIZE = re.compile(rb"size (0|[1-9][0-9]{0,17})\Z")


class Pointer(msgspec.Struct, frozen=True, kw_only=True):
    """What a file's content is to be."""

    #: SHA-256 of the content.
    oid: str
    size_bytes: int


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a tree that is kept by LFS."""

    path: str
    pointer: Pointer


def read(place: mirror.Mirror, *, program: git.Git, tree: str, env: Mapping[str, str]) -> tuple[Entry, ...]:
    """The files of a tree that LFS keeps.

    :param env: where git finds objects that are not in the mirror.
    :raises trouble.Ended: if there are too many, or one has a name that cannot be written down.
    """
    directory = f"--git-dir={place.folder}"
    with tempfile.TemporaryDirectory(prefix="buildhook-") as folder:
        # Attributes are git's to work out: from the tree's own files, put into an index that nothing else uses.
        own = {**env, "GIT_INDEX_FILE": f"{folder}/index"}
        program.ask(directory, "read-tree", git.check_oid(tree), env=own, timeout_seconds=_SECONDS)
        bare = ("-c", "core.bare=false", directory, f"--work-tree={folder}")
        wanted = ("ls-files", "--stage", "-z", "--", ":(attr:filter=lfs)")
        listed = program.run(*bare, *wanted, env=own, timeout_seconds=_SECONDS)
    if listed.code != 0:
        raise git.Failed("the files of a tree cannot be listed", stderr=listed.stderr)
    if listed.stdout and not listed.stdout.endswith(b"\0"):
        raise _too_many()
    files: list[tuple[str, str]] = []
    for line in filter(None, listed.stdout.split(b"\0")):
        head, _, path = line.partition(b"\t")
        mode, oid, _ = head.decode("ascii").split()
        if mode in _REGULAR:
            files.append((path.decode("utf-8", "surrogateescape"), git.check_oid(oid)))
    if len(files) > MAX_FILES:
        raise _too_many()
    found = _pointers(place, program=program, oids=list(dict.fromkeys(oid for _, oid in files)), env=env)
    entries = tuple(Entry(path=path, pointer=found[oid]) for path, oid in files if oid in found)
    if any("\n" in entry.path for entry in entries):
        raise _refused("A file that Git LFS keeps has a line break in its name: give it another one.")
    return entries


def check(entries: Sequence[Entry], *, most_bytes: int) -> None:
    """:raises trouble.Ended: if these files have more together than is downloaded."""
    size_bytes = sum(entry.pointer.size_bytes for entry in entries)
    if size_bytes > most_bytes:
        raise _refused(
            f"The {len(entries)} files that Git LFS keeps have {size_bytes} bytes together, and a job of "
            f"this service may have {most_bytes} of them."
        )


def parse(data: bytes) -> Pointer | None:
    """What a pointer says, or None where the content is none: then it is the file itself."""
    if len(data) > _MAX_POINTER_BYTES or not data.startswith(_FIRST_LINE) or not data.endswith(b"\n"):
        return None
    lines = data[len(_FIRST_LINE) : -1].split(b"\n")
    oids = [found for line in lines if (found := _OID.match(line))]
    sizes = [found for line in lines if (found := _SIZE.match(line))]
    if len(oids) != 1 or len(sizes) != 1 or not all(_LINE.match(line) for line in lines):
        return None
    return Pointer(oid=oids[0][1].decode(), size_bytes=int(sizes[0][1]))


def _pointers(place: mirror.Mirror, *, program: git.Git, oids: list[str], env: Mapping[str, str]) -> dict[str, Pointer]:
    """Of these blobs those that are pointers."""
    directory = f"--git-dir={place.folder}"
    sizes = program.ask(
        directory, "cat-file", "--batch-check=%(objectname) %(objectsize)", env=env, stdin="\n".join(oids).encode()
    )
    rows = (line.split(" ") for line in sizes.splitlines())
    small = [oid for oid, size in rows if size.isdecimal() and int(size) <= _MAX_POINTER_BYTES]
    found: dict[str, Pointer] = {}
    # A few at a time, so that the answer is never cut off.
    for start in range(0, len(small), 500):
        asked = small[start : start + 500]
        answer = program.run(directory, "cat-file", "--batch", env=env, stdin="\n".join([*asked, ""]).encode())
        if answer.code != 0:
            raise git.Failed("a file of a tree cannot be read", stderr=answer.stderr)
        at = 0
        for oid in asked:
            head, _, _ = answer.stdout[at:].partition(b"\n")
            size = int(head.rsplit(b" ", 1)[-1])
            begin = at + len(head) + 1
            if (pointer := parse(answer.stdout[begin : begin + size])) is not None:
                found[oid] = pointer
            at = begin + size + 1
    return found


def _too_many() -> trouble.Ended:
    return _refused(f"Too many files of the commit are kept by Git LFS: at most {MAX_FILES}, with names of 1 MiB.")


def _refused(reason: str) -> trouble.Ended:
    return trouble.Ended(reason, result=contract.Result.FAILED)
