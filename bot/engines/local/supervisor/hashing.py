"""`hashFiles`: one digest over the files of the workspace that match; links are not followed, and not counted.

https://docs.github.com/en/actions/reference/workflows-and-actions/expressions#hashfiles
"""

from __future__ import annotations

import hashlib
import os
import stat

from bot.pipelines import globs

_FOLDER = ("box", "workspace")
_MAX_ENTRIES = 200_000
_MAX_BYTES = 1 << 30
_MAX_DEPTH = 64
_CHUNK_BYTES = 1 << 20
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class TooMuch(Exception):
    """There is no digest: the workspace has more than is looked at, or a pattern is wrong; the text says which."""


class _Search:
    def __init__(self, patterns: list[str]) -> None:
        try:
            self._matches = globs.compiled_all(patterns)
        except globs.PatternError as error:
            raise TooMuch(f"a pattern of `hashFiles` is wrong: {error}") from None
        self._entries = self._bytes = 0
        self.found: list[tuple[bytes, bytes]] = []

    def folder(self, fd: int, path: str, depth: int) -> None:
        if depth > _MAX_DEPTH:
            raise TooMuch(f"`hashFiles` looks {_MAX_DEPTH} folders deep at most.")
        with os.scandir(fd) as entries:
            names = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries if not entry.is_symlink()]
        self._entries += len(names)
        if self._entries > _MAX_ENTRIES:
            raise TooMuch(f"`hashFiles` looks at {_MAX_ENTRIES} files at most.")
        for name, is_folder in names:
            below = f"{path}{name}"
            if is_folder and below != ".git":
                self._open_folder(fd, name, f"{below}/", depth + 1)
            elif not is_folder and self._matches(below):
                self._file(fd, name, below)

    def _open_folder(self, fd: int, name: str, path: str, depth: int) -> None:
        try:
            inner = os.open(name, _DIRECTORY, dir_fd=fd)
        except OSError:
            return
        try:
            self.folder(inner, path, depth)
        finally:
            os.close(inner)

    def _file(self, fd: int, name: str, path: str) -> None:
        try:
            file = os.open(name, _READ, dir_fd=fd)
        except OSError:
            return
        try:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                return
            digest = hashlib.sha256()
            while data := os.read(file, _CHUNK_BYTES):
                self._bytes += len(data)
                if self._bytes > _MAX_BYTES:
                    raise TooMuch(f"`hashFiles` reads {_MAX_BYTES >> 30} GiB at most.")
                digest.update(data)
            self.found.append((os.fsencode(path), digest.digest()))
        finally:
            os.close(file)


def of_files(patterns: list[str]) -> str:
    """SHA-256 in hex over the digests of the files that match, in the order of their paths; empty where none does.

    :raises TooMuch: if there is more than is looked at.
    """
    given = [line.strip().removeprefix("./") for one in patterns for line in one.splitlines() if line.strip()]
    search = _Search(given)
    fd = os.open(os.path.join(*_FOLDER), _DIRECTORY)
    try:
        search.folder(fd, "", 0)
    finally:
        os.close(fd)
    if not search.found:
        return ""
    return hashlib.sha256(b"".join(digest for _, digest in sorted(search.found))).hexdigest()
