"""The object store that finished logs and artifacts are taken to: S3, Google, Azure or a folder, through obstore.

What blocks runs on threads of its own: a store that is slow holds up nobody who reads or writes the local disk.
https://developmentseed.org/obstore/latest/
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import unquote, urlsplit

from bot import errors
from bot.logs import files

if TYPE_CHECKING:
    from obstore.store import ObjectStore, RetryConfig

T = TypeVar("T")

#: Larger than this goes there in parts of this size, so many at once: what an upload holds in memory.
PART_BYTES = 8 * 1024 * 1024
_PARTS_AT_ONCE = 2
#: How much is read at once of what is sent on.
READ_BYTES = 4 * 1024 * 1024
_AT_ONCE = 8
_LIST_BATCH = 500
#: Somebody waits for what is read; what is written is tried again anyway.
_READING: RetryConfig = {
    "max_retries": 2,
    "retry_timeout": timedelta(seconds=5),
    "backoff": {"init_backoff": timedelta(milliseconds=50), "max_backoff": timedelta(seconds=1), "base": 2},
}
_WRITING: RetryConfig = {
    "max_retries": 4,
    "retry_timeout": timedelta(seconds=60),
    "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=5), "base": 2},
}
_PROBE = "probe"
#: Where a machine in a cloud is given its credentials: asked for where there are no others.
_WHERE_MACHINES_GET_THEIRS = ("/latest/api/token", "/latest/meta-data/", "/computeMetadata/", "/metadata/identity/")
_STATUS = re.compile(r"status code: (\d{3}) ?([A-Za-z ]*)")
_CODE = re.compile(r"<Code>(\w{1,60})</Code>")


class Away(errors.StoreUnavailable):
    """The object store does not answer, or answers that it cannot."""


class Objects:
    """The objects of one store. Every method raises `errors.StoreUnavailable` where it cannot be used."""

    def __init__(self, url: str, *, account: str | None = None) -> None:
        """:param url: `s3://bucket/prefix`, `gs://`, `az://` or `file:///path`, without a secret.
        :param account: of Azure; obstore cannot find it by itself.
        :raises errors.SettingsError: if there can be no such store.
        """
        #: What it is called in words for people.
        self.url = url
        self._folder = Path(unquote(urlsplit(url).path)) if url.startswith("file:") else None
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._reading, self._writing = (_made(url, retry, account=account) for retry in (_READING, _WRITING))

    async def run(self, work: Callable[[], T]) -> T:
        """Do something on a thread for this store, that nobody waits for when the process ends."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()

        def call() -> None:
            # Once it is set its loop may be closed.
            with contextlib.suppress(RuntimeError):
                try:
                    found = work()
                except BaseException as error:
                    loop.call_soon_threadsafe(_fail, done, error)
                else:
                    loop.call_soon_threadsafe(_succeed, done, found)

        async with self._places:
            threading.Thread(target=call, name="objects", daemon=True).start()
            return await done

    def check(self) -> None:
        """Look whether it can be used.

        :raises errors.SettingsError: if it has to be mended before anything can be kept there.
        :raises Away: if it may be there later.
        """
        from obstore import exceptions, put

        try:
            put(self._reading, _PROBE, b"buildhook was here\n")
        except FileNotFoundError:
            raise errors.SettingsError(f"BUILDHOOK_STORAGE_URL: {self.url}: there is no such bucket.") from None
        except (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError) as error:
            raise errors.SettingsError(
                f"BUILDHOOK_STORAGE_URL: {self.url}: the credentials are refused ({_told(error)}): nothing can be"
                " written there."
            ) from None
        except Exception as error:
            told = _told(error)
            if any(path in str(error) for path in _WHERE_MACHINES_GET_THEIRS):
                raise errors.SettingsError(
                    f"BUILDHOOK_STORAGE_URL: {self.url}: no credentials are given: set those of the provider in the"
                    " environment, e.g. AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
                ) from None
            if told.startswith("4"):
                raise errors.SettingsError(f"BUILDHOOK_STORAGE_URL: {self.url}: it is refused ({told}).") from None
            raise self._away(error) from None

    async def put(self, name: str, source: Path) -> None:
        """Copy a file there: whole, or not at all. Returns when it is kept; cancelled it stops at once."""
        from obstore import put_async

        folder = self._folder
        try:
            await put_async(self._writing, name, source, chunk_size=PART_BYTES, max_concurrency=_PARTS_AT_ONCE)
            if folder is not None:
                await self.run(lambda: _sync(folder / name, root=folder))
        except Exception as error:
            raise self._away(error) from None

    def put_text(self, name: str, text: str) -> None:
        """Write a small object."""
        from obstore import put

        try:
            put(self._writing, name, text.encode())
        except Exception as error:
            raise self._away(error) from None

    def find_text(self, name: str) -> str | None:
        """Read a small object; None where there is none."""
        one = self.find(name)
        return None if one is None else one.read(0, 1024).decode("utf-8", "replace")

    def find(self, name: str) -> Object | None:
        """An object that is there."""
        from obstore import head

        try:
            return Object(self, name, size_bytes=int(head(self._reading, name)["size"]))
        except FileNotFoundError:
            return None
        except Exception as error:
            raise self._away(error) from None

    def read(self, name: str, start: int, limit: int) -> bytes:
        """So many bytes of an object, which are there.

        :raises errors.NotFound: if it is deleted.
        """
        from obstore import get_range

        try:
            return bytes(get_range(self._reading, name, start=start, length=limit))
        except FileNotFoundError:
            raise errors.NotFound(f"{name} was deleted meanwhile.") from None
        except Exception as error:
            raise self._away(error) from None

    def delete(self, names: Sequence[str]) -> None:
        """Delete objects; one that is not there is no error."""
        from obstore import delete

        # A folder complains of one that is not there, and would leave the rest.
        some = [list(names)] if self._folder is None else [[name] for name in names]
        try:
            for one in some:
                with contextlib.suppress(FileNotFoundError):
                    delete(self._writing, one)
        except Exception as error:
            raise self._away(error) from None

    def list_names(self, folder: str, *, before: datetime) -> Iterator[list[str]]:
        """The names of all objects in a folder that were written before an instant, some at a time."""
        from obstore import list as listed

        try:
            for some in listed(self._reading, prefix=folder, chunk_size=_LIST_BATCH):
                yield [one["path"] for one in some if one["last_modified"] < before]
        except Exception as error:
            raise self._away(error) from None

    def _away(self, error: BaseException) -> Away:
        # The library's own words hold addresses, which may hold signatures.
        return Away(f"The object store {self.url} cannot be used right now: {_told(error)}.")


class Object:
    """One object, to be read in ranges."""

    def __init__(self, store: Objects, name: str, *, size_bytes: int) -> None:
        self._store = store
        self._name = name
        self.size_bytes = size_bytes

    def read(self, start: int, limit: int) -> bytes:
        """At most so many bytes from there on; fewer only at the end.

        :raises errors.NotFound: if it is deleted.
        """
        limit = min(limit, self.size_bytes - start)
        return self._store.read(self._name, start, limit) if limit > 0 else b""


def _made(url: str, retry: RetryConfig, *, account: str | None) -> ObjectStore:
    # Only who keeps something there pays for it.
    from obstore import exceptions
    from obstore.store import LocalStore, from_url

    try:
        if url.startswith("file:"):
            path = Path(unquote(urlsplit(url).path))
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            return LocalStore(path)
        made: ObjectStore
        if url.startswith("az:"):
            if account is None:
                raise errors.SettingsError(f"BUILDHOOK_STORAGE_URL: {url}: set AZURE_STORAGE_ACCOUNT_NAME as well.")
            made = from_url(url, retry_config=retry, account_name=account)
        else:
            made = from_url(url, retry_config=retry)
        return made
    except (exceptions.BaseError, OSError, ValueError) as error:
        told = str(error).partition("\n")[0].rpartition(": ")[2]
        raise errors.SettingsError(f"BUILDHOOK_STORAGE_URL: {url}: {told}.") from None


def _told(error: BaseException) -> str:
    """What went wrong, in words that hold no address."""
    text = str(error)
    if (status := _STATUS.search(text)) is not None:
        code = _CODE.search(text)
        return f"{status[1]} {code[1] if code is not None else status[2]}".strip()
    if "error sending request" in text or "connect" in text.lower():
        return "no connection"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__


def _succeed(done: asyncio.Future[T], found: T) -> None:
    if not done.done():
        done.set_result(found)


def _fail(done: asyncio.Future[T], error: BaseException) -> None:
    if not done.done():
        done.set_exception(error)


def _sync(path: Path, *, root: Path) -> None:
    """What is kept in a folder survives a power cut before it is deleted elsewhere."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)
    for folder in path.parents:
        files.sync_folder(folder)
        if folder == root:
            return
