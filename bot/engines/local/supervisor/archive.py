"""An artifact while it is made: a zip of plain files, from descriptors that the collector proved to be such.

Whatever the job named its files, an entry is a path below the archive's root, without links, devices or owners.
"""

from __future__ import annotations

import os
from hashlib import sha256
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

_CHUNK_BYTES = 1 << 20
#: The same bytes for the same files: when they were made is nobody's business.
_SOME_TIME = (1980, 1, 1, 0, 0, 0)


class Full(Exception):
    """The file does not fit into what is left."""


class Archive:
    """A new zip in the current folder."""

    def __init__(self, path: str) -> None:
        """:raises OSError: if it cannot be made."""
        self._path = path
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._file = open(fd, "w+b")  # noqa: SIM115 (closed by `close`)
        self._zip = ZipFile(self._file, "w", ZIP_DEFLATED, compresslevel=1)
        self._names: set[str] = set()
        self.count = 0

    def add(self, fd: int, name: str, *, most_bytes: int) -> int:
        """Add the content of an open file; gives its size in bytes.

        :raises Full: if it has more than that; then the archive cannot be gone on with.
        :raises OSError: if it cannot be read, or the disk is full.
        """
        info = ZipInfo(self._safe(name), _SOME_TIME)
        is_program = bool(os.fstat(fd).st_mode & 0o100)
        info.external_attr = (0o100755 if is_program else 0o100644) << 16
        info.compress_type = ZIP_DEFLATED
        size = 0
        with self._zip.open(info, "w", force_zip64=True) as entry:
            while data := os.read(fd, _CHUNK_BYTES):
                size += len(data)
                if size > most_bytes:
                    raise Full
                entry.write(data)
        self.count += 1
        return size

    def _safe(self, name: str) -> str:
        """The name, so that no system reads something else in it: a backslash may lead out, a colon name a disk."""
        text = name.encode("utf-8", "replace").decode("utf-8")
        safe = "".join("_" if one < " " or one in "\\:\x7f" else one for one in text)
        tried, number = safe, 1
        while tried in self._names:
            number += 1
            tried = f"{safe}~{number}"
        self._names.add(tried)
        return tried

    def close(self) -> tuple[int, str]:
        """Finish it; gives its size in bytes and its SHA-256 in hexadecimal.

        :raises OSError: if the disk is full.
        """
        self._zip.close()
        self._file.flush()
        self._file.seek(0)
        digest = sha256()
        size = 0
        while data := self._file.read(_CHUNK_BYTES):
            digest.update(data)
            size += len(data)
        self._file.close()
        return size, digest.hexdigest()

    def forget(self) -> None:
        """Throw it away."""
        try:
            self._file.close()
            os.unlink(self._path)
        except OSError:
            return
