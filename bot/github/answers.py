"""Answers kept: a question asked again costs no rate limit when GitHub says that nothing changed (304).

https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api#use-conditional-requests-if-appropriate
"""

from __future__ import annotations

import cachetools
import msgspec

from bot.github import classify

_LARGEST_ANSWER_BYTES = 256 * 1024
_OVERHEAD_BYTES = 1024
_MOVES_KEPT = 1024
#: A name that moved may be taken by another repository later, so even a permanent move is asked about again.
_MOVE_SECONDS = 3600.0


class Key(msgspec.Struct, frozen=True):
    """Answers are shared only by calls with the same rights: `scope` names installation, repository and purpose."""

    scope: str
    url: str
    accept: str


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """An answer and the tag that proves it fresh."""

    etag: str
    answer: classify.Answer


class Answers:
    """A bounded memory of answers with an ETag, and of addresses that moved for good."""

    def __init__(self, *, size_bytes: int) -> None:
        self._kept: cachetools.LRUCache[Key, Kept] = cachetools.LRUCache(size_bytes, getsizeof=_size_bytes)
        self._moves: cachetools.TTLCache[Key, str] = cachetools.TTLCache(_MOVES_KEPT, _MOVE_SECONDS)

    def find(self, key: Key) -> Kept | None:
        """The answer kept for this question."""
        return self._kept.get(key)

    def keep(self, key: Key, answer: classify.Answer) -> None:
        """Keep a 200 that has an ETag; anything else is not worth it."""
        if answer.status != 200:
            self._moves.pop(key, None)
        etag = answer.headers.get("etag")
        if answer.status == 200 and etag is not None and len(answer.body) <= _LARGEST_ANSWER_BYTES:
            self._kept[key] = Kept(etag=etag, answer=answer)

    def moved(self, key: Key, url: str) -> None:
        """Remember that the question is answered elsewhere from now on."""
        self._moves[key] = url

    def address(self, key: Key) -> str:
        """Where to ask this question."""
        return self._moves.get(key, key.url)


def _size_bytes(kept: Kept) -> int:
    return len(kept.answer.body) + len(kept.etag) + _OVERHEAD_BYTES
