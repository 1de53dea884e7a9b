"""Files of a repository at a commit.

https://docs.github.com/en/rest/repos/contents#get-repository-content
"""

from __future__ import annotations

import base64
import binascii

import cachetools
import msgspec
import stamina

from bot import errors
from bot.github import classify, client, urls
from bot.github.calls import Ask, Calls

#: A pipeline file is some kilobytes.
MAX_FILE_BYTES = 1024 * 1024
_CACHE_BYTES = 4 * 1024 * 1024
_OVERHEAD_BYTES = 512
_COMMIT_UNKNOWN = "no commit found for"
#: A commit may be told of before every part of GitHub knows it.
_LOOKS = 3


class _File(msgspec.Struct):
    """A file the way GitHub answers without the raw media type."""

    type: str
    encoding: str = ""
    content: str = ""
    size: int = 0


class FileCache:
    """Files at full commit ids: they never change. Bounded by bytes."""

    def __init__(self) -> None:
        self._files: cachetools.LRUCache[tuple[int, str, str], bytes] = cachetools.LRUCache(
            _CACHE_BYTES, getsizeof=lambda content: len(content) + _OVERHEAD_BYTES
        )

    def find(self, calls: Calls, path: str, ref: str) -> bytes | None:
        """The file, if it was read before."""
        return self._files.get((calls.repository_id, path, ref))

    def keep(self, calls: Calls, path: str, ref: str, content: bytes) -> None:
        """Keep the file, if the ref names it for ever. That a file is missing is not kept: GitHub may be late."""
        if urls.is_sha(ref):
            self._files[calls.repository_id, path, ref] = content


async def get_file(calls: Calls, path: str, *, ref: str, cache: FileCache) -> bytes | None:
    """The file's bytes, or None if there is no such file at that commit (or it is a folder or a submodule).

    GitHub answers 404 for a missing file, a missing commit and a repository that we may not see. The last cannot be:
    the token was just given for this repository's id. A missing commit says so in its message.

    :raises errors.NotReachable: if the repository is not ours to see, or has no such commit.
    :raises errors.Invalid: if the file is larger than 1 MiB.
    :raises errors.GitHubError: for all else that GitHub may answer.
    """
    known = cache.find(calls, path, ref)
    if known is not None:
        # What is kept is shown only to an installation that has the repository, now.
        await calls.prove()
        return known
    ask = Ask(parts=("contents", *path.split("/")), query={"ref": ref}, accept=client.RAW, max_bytes=2 * MAX_FILE_BYTES)
    answer = await _found(calls, ask)
    content = None if answer is None else _content(answer)
    if content is not None and len(content) > MAX_FILE_BYTES:
        raise errors.Invalid(f"{path} at {ref} is larger than {MAX_FILE_BYTES} bytes: it is not read.")
    if content is not None:
        cache.keep(calls, path, ref, content)
    return content


async def _found(calls: Calls, ask: Ask) -> classify.Answer | None:
    try:
        async for attempt in stamina.retry_context(
            on=_is_commit_unknown, attempts=_LOOKS, wait_initial=0.2, wait_jitter=0.2
        ):
            with attempt:
                return await calls.fetch(ask)
    except errors.NotReachable as error:
        if _is_commit_unknown(error):
            raise
    # Raises where it was the token that could not be had.
    await calls.prove()
    return None


def _is_commit_unknown(error: Exception) -> bool:
    return isinstance(error, errors.NotReachable) and _COMMIT_UNKNOWN in str(error).lower()


def _content(answer: classify.Answer) -> bytes | None:
    """The bytes themselves; folders and submodules are described in JSON even where raw bytes are asked for."""
    if answer.media_type != "application/json":
        return answer.body
    try:
        described = msgspec.json.decode(answer.body, type=_File | list[object])
    except msgspec.MsgspecError:
        return answer.body
    if isinstance(described, list) or described.type != "file":
        return None
    if described.encoding != "base64":
        raise errors.Invalid(f"GitHub does not give the file's content: it has {described.size} bytes.")
    try:
        return base64.b64decode(described.content)
    except (binascii.Error, ValueError):
        raise errors.GitHubUnavailable("GitHub's description of a file cannot be read.") from None
