"""A whole log as it is kept: compressed pieces that are read each alone, and behind them where every line lies.

    head     what this is, and its version
    pieces   each: its own head, then its bytes compressed with zstandard
    index    of every piece: its first byte, its place here, its first line, its sizes, its checksum
    foot     the log's size, how many lines end in it, where the index is, its checksum

A piece that was damaged is told as such in the place of its bytes, and nothing else is lost. Where the index or the
foot is damaged the pieces are found one after another by their own heads. All of this blocks: it is called on threads.
"""

from __future__ import annotations

import binascii
import bisect
import struct
from collections.abc import Iterator, Sequence
from typing import BinaryIO, Protocol

import msgspec

from bot import errors, telemetry
from bot.logs import lines

#: How much of a log is in one piece: what is read for one line, and held in memory.
PIECE_BYTES = 256 * 1024
#: Measured on logs of tests: four times smaller, as quick as a disk. Higher levels cost more than they save.
_LEVEL = 1
_MAGIC, _VERSION = b"bhlog\r\n", 1
_HEAD = struct.Struct(">7sB")
_MARK = b"PIEC"
#: Mark, first byte, first line, size, size here; then the CRC-32 of these and of what follows.
_PIECE = struct.Struct(">4sQQII")
_SUM = struct.Struct(">I")
_PIECE_HEAD_BYTES = _PIECE.size + _SUM.size
#: First byte, place of the piece's head, first line, size, size here, checksum.
_ENTRY = struct.Struct(">QQQIII")
#: Size, ended lines, place of the index, how many entries, the CRC-32 of the index and of these; magic.
_FOOT = struct.Struct(">QQQI")
_FOOT_BYTES = _FOOT.size + _SUM.size + len(_MAGIC)
#: No piece that anybody wrote is larger, so a damaged head cannot ask for more.
_MAX_PIECE_BYTES = 16 * 1024 * 1024
_log = telemetry.log("logs")


class Source(Protocol):
    """Bytes to read from: a file, or an object somewhere else."""

    @property
    def size_bytes(self) -> int:
        """How many there are."""

    def read(self, start: int, limit: int) -> bytes:
        """At most so many from there on; fewer only at the end.

        :raises OSError: if they cannot be read.
        """


class _Piece(msgspec.Struct, frozen=True):
    start: int
    #: Where its head is.
    at: int
    #: The number of lines that end before it.
    ended_before: int
    size: int
    stored_size: int
    checksum: int

    @property
    def end(self) -> int:
        return self.start + self.size


def write(chunks: Iterator[bytes], into: BinaryIO, *, piece_bytes: int = PIECE_BYTES) -> None:
    """Pack a log.

    :param chunks: its bytes, cut anyhow.
    :raises OSError: if they cannot be written.
    """
    # Commands that look at no log do not wait for it.
    import zstandard

    compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=False)
    at = into.write(_HEAD.pack(_MAGIC, _VERSION))
    start = ended = count = 0
    index = bytearray()
    for data in _pieces(chunks, piece_bytes):
        stored = compressor.compress(data)
        head = _PIECE.pack(_MARK, start, ended, len(data), len(stored))
        checksum = binascii.crc32(stored, binascii.crc32(head))
        index += _ENTRY.pack(start, at, ended, len(data), len(stored), checksum)
        into.write(head + _SUM.pack(checksum))
        into.write(stored)
        at += _PIECE_HEAD_BYTES + len(stored)
        start += len(data)
        ended += data.count(b"\n")
        count += 1
    foot = _FOOT.pack(start, ended, at, count)
    into.write(index)
    into.write(foot + _SUM.pack(binascii.crc32(foot, binascii.crc32(index))) + _MAGIC)


def _pieces(chunks: Iterator[bytes], piece_bytes: int) -> Iterator[bytes]:
    gathered = bytearray()
    for chunk in chunks:
        gathered += chunk
        while len(gathered) >= piece_bytes:
            yield bytes(gathered[:piece_bytes])
            del gathered[:piece_bytes]
    if gathered:
        yield bytes(gathered)


class Packed:
    """A packed log that is read. It never changes, so one is for as many readers as there are."""

    def __init__(self, source: Source, *, name: str) -> None:
        """:param name: what it is called where it has to be told that it is damaged.
        :raises errors.LogUnreadable: if it is no packed log, or one of a newer version.
        :raises OSError: if it cannot be read.
        """
        self._source = source
        self._name = name
        #: The piece that was read last: what is read next is mostly in it.
        self._last: tuple[int, bytes] | None = None
        head = source.read(0, _HEAD.size)
        if len(head) < _HEAD.size or head[: len(_MAGIC)] != _MAGIC:
            raise errors.LogUnreadable(f"The log {name} is damaged: what lies in its place is no log.")
        if head[-1] != _VERSION:
            raise errors.LogUnreadable(f"The log {name} was written by a newer version of buildhook: use that one.")
        indexed = self._indexed()
        if indexed is None:
            _log.error("The index of a log is damaged: it is read without.", action="read_log", log=name)
            indexed = self._walked()
        self._pieces, self._size, self._ended = indexed
        self._starts = [one.start for one in self._pieces]

    @property
    def size_bytes(self) -> int:
        """How many bytes the log has."""
        return self._size

    def read(self, start: int, limit: int) -> bytes:
        """At most `limit` bytes from byte `start` on.

        :raises OSError: if they cannot be read.
        """
        end = min(start + limit, self._size)
        parts = []
        while start < end:
            number = bisect.bisect_right(self._starts, start) - 1
            one = self._pieces[number]
            parts.append(self._piece(number)[start - one.start : end - one.start])
            start = one.end
        return b"".join(parts)

    def line_numbers(self, at: Sequence[int]) -> list[int]:
        """The number of the line, from 1, that each of these bytes lies in."""
        return [self._line_number(max(0, min(one, self._size))) for one in at]

    def find_line(self, number: int) -> int | None:
        """The byte at which line `number` (from 1) begins; None where there is none."""
        if number <= 1:
            return 0
        if number - 1 > self._ended:
            return None
        index = bisect.bisect_left(self._pieces, number - 1, key=lambda one: one.ended_before) - 1
        one = self._pieces[index]
        start = one.start + lines.behind_end(self._piece(index), number - 1 - one.ended_before)
        return start if start < self._size else None

    def _line_number(self, at: int) -> int:
        if at == self._size:
            return self._ended + 1
        index = bisect.bisect_right(self._starts, at) - 1
        one = self._pieces[index]
        return one.ended_before + self._piece(index).count(b"\n", 0, at - one.start) + 1

    def _ended_behind(self, index: int) -> int:
        return self._pieces[index + 1].ended_before if index + 1 < len(self._pieces) else self._ended

    def _piece(self, index: int) -> bytes:
        if self._last is not None and self._last[0] == index:
            return self._last[1]
        one = self._pieces[index]
        data = self._unpacked(one)
        if data is None:
            _log.error("A part of a log is damaged.", action="read_log", log=self._name, start=one.start, end=one.end)
            data = _instead(one, ended=self._ended_behind(index) - one.ended_before)
        self._last = (index, data)
        return data

    def _unpacked(self, one: _Piece) -> bytes | None:
        import zstandard

        stored = self._source.read(one.at, _PIECE_HEAD_BYTES + one.stored_size)
        head = _PIECE.pack(_MARK, one.start, one.ended_before, one.size, one.stored_size)
        body = stored[_PIECE_HEAD_BYTES:]
        if len(body) != one.stored_size or binascii.crc32(body, binascii.crc32(head)) != one.checksum:
            return None
        try:
            # One for each call: it is not made for several threads.
            data = zstandard.ZstdDecompressor().decompress(body, max_output_size=one.size)
        except zstandard.ZstdError:
            return None
        return data if len(data) == one.size else None

    def _indexed(self) -> tuple[list[_Piece], int, int] | None:
        source = self._source
        foot = source.read(max(_HEAD.size, source.size_bytes - _FOOT_BYTES), _FOOT_BYTES)
        if len(foot) < _FOOT_BYTES or not foot.endswith(_MAGIC):
            return None
        size, ended, at, count = _FOOT.unpack_from(foot)
        (checksum,) = _SUM.unpack_from(foot, _FOOT.size)
        # Before anything of that size is read.
        if at + count * _ENTRY.size + _FOOT_BYTES != source.size_bytes:
            return None
        index = source.read(at, count * _ENTRY.size)
        if binascii.crc32(foot[: _FOOT.size], binascii.crc32(index)) != checksum:
            return None
        return [_Piece(*values) for values in _ENTRY.iter_unpack(index)], size, ended

    def _walked(self) -> tuple[list[_Piece], int, int]:
        found: list[_Piece] = []
        at, size, ended = _HEAD.size, 0, 0
        while len(head := self._source.read(at, _PIECE_HEAD_BYTES)) == _PIECE_HEAD_BYTES:
            mark, start, before, raw, stored = _PIECE.unpack_from(head)
            (checksum,) = _SUM.unpack_from(head, _PIECE.size)
            if mark != _MARK or start != size or max(raw, stored) > _MAX_PIECE_BYTES or raw == 0:
                break
            found.append(_Piece(start, at, before, raw, stored, checksum))
            at += _PIECE_HEAD_BYTES + stored
            size, ended = start + raw, before
        # Only the last piece's own lines are in no head.
        if found and (data := self._unpacked(found[-1])) is not None:
            ended += data.count(b"\n")
        return found, size, ended


def _instead(one: _Piece, *, ended: int) -> bytes:
    """What stands in the place of a damaged piece: as many bytes, and as many lines."""
    told = f"[buildhook: bytes {one.start} to {one.end} of this log were damaged where it is kept]".encode()
    room = max(0, one.size - ended)
    return told[:room].ljust(room) + b"\n" * min(ended, one.size)
