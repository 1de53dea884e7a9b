"""The questions to a server of Git LFS: where objects are, and the objects themselves, proved while they come.

Our token goes to the repository's own server alone: where that says that an object lies elsewhere, it says as well what
is to be sent there, and nothing else is. No redirect is followed.

https://github.com/git-lfs/git-lfs/blob/main/docs/api/batch.md
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import re
import secrets
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

import aiohttp
import msgspec
import yarl

from bot import telemetry
from bot.engines import contract
from bot.engines.local import extras, git, pointers, threads, trouble

_AT_ONCE = 4
#: How many objects are asked for in one question, as git-lfs does.
_BATCH = 100
_MAX_ANSWER_BYTES = 4 << 20
_CHUNK_BYTES = 1 << 20
_QUIET_SECONDS = 30.0
_MEDIA_TYPE = "application/vnd.git-lfs+json"
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}\Z")
_HEADER_VALUE = re.compile(r"[\x20-\x7e]{0,8192}\Z")
#: What is ours to say of a request.
_OUR_HEADERS = frozenset(
    {"host", "connection", "content-length", "transfer-encoding", "te", "upgrade", "expect", "accept-encoding", "range"}
)


class _Action(msgspec.Struct):
    href: str
    header: dict[str, str] = {}


class _Problem(msgspec.Struct):
    code: int
    message: str = ""


class _Object(msgspec.Struct):
    oid: str
    size: int = 0
    actions: dict[str, _Action] = {}
    error: _Problem | None = None


class _Batch(msgspec.Struct):
    objects: list[_Object]
    transfer: str = "basic"
    hash_algo: str = "sha256"


class Passing(Exception):
    """It did not work, and may the next time."""

    def __init__(self, reason: str, *, is_out_of_sight: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        #: The repository is not there, or not for this token: asking anew where it is and for a token may help.
        self.is_out_of_sight = is_out_of_sight


async def download(
    folder: Path, wanted: Sequence[pointers.Entry], *, url: str, token: str | None, pool: threads.Threads
) -> None:
    """Download these objects of a repository into a folder.

    :param token: for the repository's server, and for no other.
    :raises Passing: if not all came, and they may the next time.
    :raises trouble.Ended: if they cannot be had.
    :raises OSError: if they cannot be written.
    """
    limits = aiohttp.ClientTimeout(total=None, sock_connect=_QUIET_SECONDS, sock_read=_QUIET_SECONDS)
    async with aiohttp.ClientSession(
        timeout=limits, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False, trust_env=False
    ) as session:
        for start in range(0, len(wanted), _BATCH):
            some = wanted[start : start + _BATCH]
            actions = await _ask(session, some, url=url, token=token)
            turns = asyncio.Semaphore(_AT_ONCE)
            work = [
                _one(session, pool, turns, folder, entry, action, url=url)
                for entry, action in zip(some, actions, strict=True)
            ]
            # What one lacks breaks none of the others off: they need not come again.
            for error in await asyncio.gather(*work, return_exceptions=True):
                if error is not None:
                    raise error


async def _one(
    session: aiohttp.ClientSession,
    pool: threads.Threads,
    turns: asyncio.Semaphore,
    folder: Path,
    entry: pointers.Entry,
    action: _Action,
    *,
    url: str,
) -> None:
    """Download one object.

    :raises Passing: if it did not come, or came wrong.
    """
    href = _checked(action.href, url=url)
    headers = {"Accept-Encoding": "identity", **_headers(action.header)}
    writing = _Writing(folder, entry.pointer)
    async with turns:
        try:
            async with session.get(href, headers=headers, allow_redirects=False) as response:
                if response.status != 200:
                    raise Passing(f"{href.host} answered {response.status} for {_shown(entry)}.")
                await pool.run(writing.begin)
                while data := await response.content.read(_CHUNK_BYTES):
                    await pool.run(partial(writing.write, data))
                await pool.run(writing.end)
        except _Wrong:
            raise Passing(f"{href.host} gave another content for {_shown(entry)} than its pointer says.") from None
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Passing(f"{href.host} did not send {_shown(entry)}: {_why(error)}.") from error
        finally:
            await pool.run(writing.clear)


async def _ask(
    session: aiohttp.ClientSession, wanted: Sequence[pointers.Entry], *, url: str, token: str | None
) -> list[_Action]:
    """Where each of these objects is to be had from.

    :raises Passing: if the server does not say, and may the next time.
    :raises trouble.Ended: if it does not have one.
    """
    host = urlsplit(url).hostname
    asked = {
        "operation": "download",
        "transfers": ["basic"],
        "hash_algo": "sha256",
        "objects": [{"oid": entry.pointer.oid, "size": entry.pointer.size_bytes} for entry in wanted],
    }
    headers = {"Accept": _MEDIA_TYPE, "Content-Type": _MEDIA_TYPE, "Accept-Encoding": "identity"}
    if token is not None:
        proof = base64.b64encode(f"x-access-token:{token}".encode()).decode()
        headers["Authorization"] = f"Basic {proof}"
    try:
        async with session.post(
            yarl.URL(f"{url}/info/lfs/objects/batch"),
            data=msgspec.json.encode(asked),
            headers=headers,
            allow_redirects=False,
        ) as response:
            status, body = response.status, await _read(response)
    except (aiohttp.ClientError, TimeoutError) as error:
        raise Passing(f"{host} did not answer: {_why(error)}.") from error
    if 300 <= status < 400:
        raise Passing(f"{host} answered with a redirect, which is not followed.", is_out_of_sight=True)
    if status in (401, 403, 404):
        raise Passing(
            f"{host} answered {status}: there is no Git LFS for the repository, or the App may not read it.",
            is_out_of_sight=True,
        )
    if status != 200:
        raise Passing(f"{host} answered {status}.")
    try:
        answer = msgspec.json.decode(body, type=_Batch)
    except msgspec.DecodeError as error:
        raise Passing(f"{host} gave an answer that is not one of Git LFS.") from error
    if answer.transfer != "basic" or answer.hash_algo != "sha256":
        raise trouble.Ended(f"{host} offers no way of downloading that is known here.")
    told = {one.oid: one for one in answer.objects}
    return [_action(entry, told.get(entry.pointer.oid), host=host) for entry in wanted]


def _action(entry: pointers.Entry, told: _Object | None, *, host: str | None) -> _Action:
    if told is not None and told.error is None and "download" in told.actions:
        return told.actions["download"]
    if told is None or told.error is None or told.error.code in (404, 410, 422):
        raise trouble.Ended(
            f"{host} does not have {_shown(entry)}: push it with `git lfs push --all`.", result=contract.Result.FAILED
        )
    raise Passing(f"{host} answered {told.error.code} for {_shown(entry)}: {_clean(told.error.message)}.")


async def _read(response: aiohttp.ClientResponse) -> bytes:
    found = bytearray()
    while data := await response.content.read(_CHUNK_BYTES):
        found += data
        if len(found) > _MAX_ANSWER_BYTES:
            raise aiohttp.ClientPayloadError("the answer is too long")
    return bytes(found)


def _checked(href: str, *, url: str) -> yarl.URL:
    """An address that the server gave: https, or http on this machine where the server itself is reached so.

    :raises trouble.Ended: if it is anything else.
    """
    try:
        parts = urlsplit(href)
        host, has_user, _ = parts.hostname, "@" in parts.netloc, parts.port
    except ValueError:
        host, has_user = None, False
    is_allowed = parts.scheme == "https" if host else False
    if host and parts.scheme == "http" and url.startswith("http:"):
        is_allowed = git.is_loopback(host)
    if not host or has_user or not is_allowed or not href.isascii() or not href.isprintable() or len(href) > 8192:
        raise trouble.Ended(
            f"{urlsplit(url).hostname} names an address that nothing is downloaded from: {_clean(href)}"
        )
    return yarl.URL(href, encoded=True)


def _headers(given: Mapping[str, str]) -> dict[str, str]:
    """What is to be sent with a download, as far as it can be."""
    return {
        name: value
        for name, value in list(given.items())[:32]
        if _HEADER_NAME.match(name) and _HEADER_VALUE.match(value) and name.lower() not in _OUR_HEADERS
    }


def _why(error: BaseException) -> str:
    return _clean(str(error)) or "it took too long"


def _clean(text: str) -> str:
    return telemetry.one_line(telemetry.redact(text.encode("utf-8", "replace").decode("utf-8").strip()[:200]))


def _shown(entry: pointers.Entry) -> str:
    return f"{_clean(entry.path)[:100]} ({entry.pointer.oid[:12]})"


class _Wrong(Exception):
    """What came is not what the pointer says."""


class _Writing:
    """An object on its way to the disk; its methods block."""

    def __init__(self, folder: Path, pointer: pointers.Pointer) -> None:
        self._pointer = pointer
        self._target = folder / extras.object_name(pointer.oid)
        self._new = folder / f".new-{secrets.token_hex(8)}"
        self._file: IO[bytes] | None = None
        self._hash = hashlib.sha256()
        self._size = 0

    def begin(self) -> None:
        self._target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        fd = os.open(self._new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        self._file = open(fd, "wb")  # noqa: SIM115 (closed by `clear`)

    def write(self, data: bytes) -> None:
        assert self._file is not None
        self._size += len(data)
        # Never more than was said, however much comes.
        if self._size > self._pointer.size_bytes:
            raise _Wrong
        self._hash.update(data)
        self._file.write(data)

    def end(self) -> None:
        assert self._file is not None
        if self._size != self._pointer.size_bytes or self._hash.hexdigest() != self._pointer.oid:
            raise _Wrong
        self._file.flush()
        os.fsync(self._file.fileno())
        self._new.rename(self._target)

    def clear(self) -> None:
        if self._file is not None:
            self._file.close()
        self._new.unlink(missing_ok=True)
