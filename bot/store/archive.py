"""A backup as one file: a tar of compressed members, and last of all the list of them with their checksums.

Nothing in such a file is believed before it is proved: names, kinds and sizes of its members are a closed set, no path
comes from it, and nothing of it is taken before all checksums are right. Blocks: it is for commands, not for a service.

https://www.gnu.org/software/tar/manual/html_node/Standard.html
"""

from __future__ import annotations

import contextlib
import fcntl
import gzip
import hashlib
import io
import os
import re
import tarfile
import zlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, BinaryIO

import msgspec

from bot import errors

#: Grows when a program that knows this form could not read the new one.
FORMAT = 1
LIST_NAME = "backup.json"
_NAME = re.compile(r"(?:tables/[a-z_]{1,63}\.jsonl|logs/[0-7][0-9A-HJKMNP-TV-Z]{25}\.log)\.gz", re.ASCII)
_BLOCK_BYTES = tarfile.BLOCKSIZE
_CHUNK_BYTES = 1024 * 1024
_MOST_LIST_BYTES = 1024 * 1024 * 1024
#: Fast rather than small: most of a backup was compressed before.
_LEVEL = 1
_Size = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """One table, or one log."""

    name: str
    #: As it lies in the file.
    size_bytes: _Size
    sha256: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
    #: Once it is decompressed.
    content_bytes: _Size
    #: Of a log: whether it was whole.
    is_sealed: bool = False


class Contents(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup says of itself."""

    format: int
    #: The version that made it.
    buildhook: str
    #: The migration that its tables stand at.
    schema: str
    #: Everything in it is as it was at this instant.
    created_at: datetime
    #: `sqlite` or `postgresql`: it can be restored into either.
    database: str
    #: How many rows each table has.
    rows: dict[str, _Size]
    members: tuple[Member, ...] = ()


class Writer:
    """Writes members one after the other; made by `writing`."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._members: list[Member] = []

    @contextlib.contextmanager
    def member(self, name: str, *, is_sealed: bool = False) -> Iterator[gzip.GzipFile]:
        """A member to write into while the block runs."""
        begin = self._file.tell()
        self._file.write(bytes(_BLOCK_BYTES))
        counted = _Counted(self._file)
        with gzip.GzipFile(filename="", mode="wb", compresslevel=_LEVEL, fileobj=counted, mtime=0) as into:
            yield into
            content_bytes = into.tell()
        self._close(begin, name, counted.size_bytes)
        self._members.append(
            Member(
                name=name,
                size_bytes=counted.size_bytes,
                sha256=counted.digest.hexdigest(),
                content_bytes=content_bytes,
                is_sealed=is_sealed,
            )
        )

    def finish(self, contents: Contents) -> Contents:
        """Write the list of all members behind them."""
        whole = msgspec.structs.replace(contents, members=tuple(self._members))
        begin = self._file.tell()
        self._file.write(bytes(_BLOCK_BYTES))
        data = msgspec.json.format(msgspec.json.encode(whole))
        self._file.write(data)
        self._close(begin, LIST_NAME, len(data))
        self._file.write(bytes(2 * _BLOCK_BYTES))
        return whole

    def _close(self, begin: int, name: str, size_bytes: int) -> None:
        self._file.write(bytes(-size_bytes % _BLOCK_BYTES))
        end = self._file.tell()
        header = tarfile.TarInfo(name)
        header.size, header.mode = size_bytes, 0o600
        self._file.seek(begin)
        # In GNU's form a header is one block, however large the member is.
        self._file.write(header.tobuf(tarfile.GNU_FORMAT))
        self._file.seek(end)


class _Counted(io.RawIOBase):
    """Passes bytes on, and counts and hashes them."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.size_bytes = 0
        self.digest = hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self._file.write(data)
        self.digest.update(data)
        self.size_bytes += len(data)
        return len(data)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[Writer]:
    """A new file, to be seen under its name only when the block has ended well, whole and on the disk.

    :raises errors.BackupUnusable: if the file cannot be written, or another backup is being written to it.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        handle = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with open(handle, "r+b") as file:
            _hold(file, path)
            try:
                os.fchmod(handle, 0o600)
                file.truncate()
                yield Writer(file)
                file.flush()
                os.fsync(handle)
                partial.rename(path)
            except BaseException:
                partial.unlink(missing_ok=True)
                raise
        _sync_folder(path.absolute().parent)
    except OSError as error:
        raise errors.BackupUnusable(f"{path}: the backup cannot be written: {error.strerror or error}") from error


def _hold(file: BinaryIO, path: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise errors.BackupUnusable(f"{path}: another backup is being written to it") from None


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class Reader:
    """Reads a backup whose checksums are right; made by `reading`."""

    def __init__(self, file: BinaryIO, *, contents: Contents, places: dict[str, int]) -> None:
        self.contents = contents
        self._file = file
        self._places = places

    def chunks(self, member: Member) -> Iterator[bytes]:
        """What a member holds, decompressed, in pieces; never more than the list says.

        :raises errors.BackupUnusable: if it holds something else than the list says.
        """
        part = _Part(self._file, begin=self._places[member.name], size_bytes=member.size_bytes)
        told = 0
        try:
            with gzip.GzipFile(fileobj=part, mode="rb") as unpacked:
                while data := unpacked.read(_CHUNK_BYTES):
                    told += len(data)
                    if told > member.content_bytes:
                        break
                    yield data
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise _broken(f"{member.name} cannot be decompressed") from error
        if told != member.content_bytes:
            raise _broken(f"{member.name} is not as long as its list says")

    def lines(self, member: Member) -> Iterator[bytes]:
        """What a member holds, line by line."""
        rest: list[bytes] = []
        for data in self.chunks(member):
            first, *others = data.split(b"\n")
            rest.append(first)
            for other in others:
                yield b"".join(rest)
                rest = [other]
        if any(rest):
            yield b"".join(rest)


class _Part(io.RawIOBase):
    """A piece of a file, as a file of its own."""

    def __init__(self, file: BinaryIO, *, begin: int, size_bytes: int) -> None:
        self._file = file
        self._at = begin
        self._end = begin + size_bytes

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        self._file.seek(self._at)
        left = self._end - self._at
        data = self._file.read(left if size < 0 else min(size, left))
        self._at += len(data)
        return data


@contextlib.contextmanager
def reading(path: Path) -> Iterator[Reader]:
    """A backup, once all of it is proved to be as it was written.

    :raises errors.BackupUnusable: if there is no such file, it is broken, or a newer version made it.
    """
    try:
        with path.open("rb") as file:
            headers = _headers(file)
            contents = _contents(file, headers)
            _check(file, contents, headers)
            places = {name: at for name, (at, _) in headers.items()}
            yield Reader(file, contents=contents, places=places)
    except OSError as error:
        raise errors.BackupUnusable(f"{path}: the backup cannot be read: {error.strerror or error}") from error
    except errors.BackupUnusable as error:
        raise errors.BackupUnusable(f"{path}: {error}") from error


def _headers(file: BinaryIO) -> dict[str, tuple[int, int]]:
    """Where each member begins, and its size; only plain members of known names are there."""
    end = os.fstat(file.fileno()).st_size
    found: dict[str, tuple[int, int]] = {}
    while (block := file.read(_BLOCK_BYTES)) != bytes(_BLOCK_BYTES):
        try:
            header = tarfile.TarInfo.frombuf(block, "ascii", "strict")
        except (tarfile.HeaderError, UnicodeDecodeError, ValueError) as error:
            raise _broken("it is cut off, or no backup") from error
        begin = file.tell()
        if header.type != tarfile.REGTYPE or not (_NAME.fullmatch(header.name) or header.name == LIST_NAME):
            raise _broken("it has a member that no backup has")
        if header.name in found or not 0 <= header.size <= end - begin:
            raise _broken(f"{header.name} is there twice, or cut off")
        found[header.name] = (begin, header.size)
        file.seek(begin + header.size + -header.size % _BLOCK_BYTES)
    return found


def _contents(file: BinaryIO, headers: dict[str, tuple[int, int]]) -> Contents:
    begin, size_bytes = headers.get(LIST_NAME, (0, _MOST_LIST_BYTES + 1))
    if size_bytes > _MOST_LIST_BYTES:
        raise _broken("its list of members is missing")
    file.seek(begin)
    data = file.read(size_bytes)
    try:
        if msgspec.json.decode(data, type=_Format).format > FORMAT:
            raise errors.BackupUnusable("a newer version of buildhook made this backup: restore it with that version")
        return msgspec.json.decode(data, type=Contents)
    except msgspec.DecodeError as error:
        raise _broken("its list of members cannot be read") from error


class _Format(msgspec.Struct):
    format: int


def _check(file: BinaryIO, contents: Contents, headers: dict[str, tuple[int, int]]) -> None:
    listed = {member.name: member for member in contents.members}
    if len(listed) != len(contents.members) or listed.keys() != headers.keys() - {LIST_NAME}:
        raise _broken("its members are not those of its list")
    for name, member in listed.items():
        begin, size_bytes = headers[name]
        file.seek(begin)
        digest = hashlib.sha256()
        left = size_bytes
        while left and (data := file.read(min(left, _CHUNK_BYTES))):
            digest.update(data)
            left -= len(data)
        if size_bytes != member.size_bytes or digest.hexdigest() != member.sha256:
            raise _broken(f"the checksum of {name} is wrong")


def _broken(what: str) -> errors.BackupUnusable:
    return errors.BackupUnusable(f"the backup is broken: {what}")
