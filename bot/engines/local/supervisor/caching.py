"""Caches of a job: found before its first step, kept after its last one.

A cache is what an earlier job of the same scope wrote, so it is unpacked and packed inside the sandbox alone, by the
job's own user; here nothing of it is looked at. Files are published whole, by a rename, and the first one of a key
stays.

Taken only by jobs that have caches: this and what it imports cost more than the whole supervisor.
"""

from __future__ import annotations

import os
from hashlib import sha256
from stat import S_ISREG
from typing import Any

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_CHUNK_BYTES = 1 << 20
MAX_BYTES = 2 << 30
MAX_KEY_CHARACTERS = 512
DATA, KEY = ".tar", ".key"


class Hit:
    """A cache that was found."""

    def __init__(self, fd: int, key: str, *, is_exact: bool) -> None:
        #: Its bytes, opened for reading.
        self.fd = fd
        self.key = key
        self.is_exact = is_exact


class Shelf:
    """The caches of one repository that the job may read, and the one scope that it may write to."""

    def __init__(self, root: int, given: dict[str, Any]) -> None:
        """:param root: descriptor of the repository's folder.
        :param given: names of folders, see `bot.engines.local.caches`, which makes it.
        """
        self._root = root
        self._read: list[str] = given["read"]
        self._write: str = given["write"]

    def find(self, key: str, beginnings: list[str], *, version: str) -> Hit | None:
        """The cache of a key in the first scope that has it, else the newest whose key begins like one of these."""
        for scope in self._read:
            folder = self._open(scope, version)
            if folder < 0:
                continue
            try:
                fd = _opened(_name(key), folder)
                if fd >= 0:
                    return Hit(fd, key, is_exact=True)
            finally:
                os.close(folder)
        for beginning in beginnings:
            for scope in self._read:
                found = self._newest(scope, version, beginning)
                if found is not None:
                    return found
        return None

    def _newest(self, scope: str, version: str, beginning: str) -> Hit | None:
        folder = self._open(scope, version)
        if folder < 0:
            return None
        try:
            known: list[tuple[float, str, str]] = []
            for name in os.listdir(folder):
                if name.endswith(KEY):
                    key = _key(name, folder)
                    if key.startswith(beginning):
                        known.append((os.stat(name, dir_fd=folder).st_mtime, name.removesuffix(KEY), key))
            for _, name, key in sorted(known, reverse=True):
                fd = _opened(name, folder)
                if fd >= 0:
                    return Hit(fd, key, is_exact=False)
        except OSError:
            # It is being swept away in this moment.
            return None
        finally:
            os.close(folder)
        return None

    def keep(self, source: int, key: str, *, version: str) -> int:
        """Publish an open file as the cache of a key; gives its size, 0 where there is one already.

        :raises OSError: if it cannot be written.
        :raises ValueError: if it is no file, or too large.
        """
        found = os.fstat(source)
        if not S_ISREG(found.st_mode) or found.st_size > MAX_BYTES:
            raise ValueError(f"it has more than {MAX_BYTES >> 20} MiB.")
        folder = self._open(self._write, version, makes=True)
        name = _name(key)
        new = f".new-{os.getpid()}-{name}"
        try:
            if _exists(name + DATA, folder):
                return 0
            size = 0
            with open(os.open(new, _NEW, 0o600, dir_fd=folder), "wb") as file:
                while data := os.read(source, _CHUNK_BYTES):
                    size += len(data)
                    if size > MAX_BYTES:
                        raise ValueError(f"it has more than {MAX_BYTES >> 20} MiB.")
                    file.write(data)
            with open(os.open(f"{new}{KEY}", _NEW, 0o600, dir_fd=folder), "w", encoding="utf-8") as file:
                file.write(key)
            os.rename(f"{new}{KEY}", name + KEY, src_dir_fd=folder, dst_dir_fd=folder)
            os.rename(new, name + DATA, src_dir_fd=folder, dst_dir_fd=folder)
            return size
        finally:
            for left in (new, f"{new}{KEY}"):
                if _exists(left, folder):
                    os.unlink(left, dir_fd=folder)
            os.close(folder)

    def _open(self, scope: str, version: str, *, makes: bool = False) -> int:
        fd = os.dup(self._root)
        try:
            for part in (scope, version):
                if makes and not _exists(part, fd):
                    os.mkdir(part, 0o700, dir_fd=fd)
                inner = os.open(part, _DIRECTORY, dir_fd=fd)
                os.close(fd)
                fd = inner
        except FileNotFoundError:
            os.close(fd)
            return -1
        return fd


def _name(key: str) -> str:
    return sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def _opened(name: str, folder: int) -> int:
    try:
        fd = os.open(name + DATA, _READ, dir_fd=folder)
    except OSError:
        return -1
    # When it was last of use: what nobody uses is swept away first.
    os.utime(fd)
    return fd


def _key(name: str, folder: int) -> str:
    fd = os.open(name, _READ, dir_fd=folder)
    try:
        return os.read(fd, 4 * MAX_KEY_CHARACTERS).decode("utf-8", "replace")
    finally:
        os.close(fd)


def _exists(name: str, folder: int) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True
