"""What a payload tells of who may see repositories. Pure.

https://docs.github.com/en/webhooks/webhook-events-and-payloads
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gidgethub import sansio

from bot.model import outcome

#: Lists of repositories that came.
_CAME = ("repositories", "repositories_added")
_WENT = ("repositories_removed",)


def told(event: sansio.Event) -> tuple[outcome.Visibility, ...]:
    """Of each repository that a payload of GitHub's names, whether it is public."""
    data = event.data if isinstance(event.data, Mapping) else {}
    is_gone = event.event == "repository" and data.get("action") == "deleted"
    found = {
        repository_id: outcome.Visibility(repository_id=repository_id, is_public=is_public)
        for repository_id, is_public in _told(data, is_gone=is_gone)
    }
    return tuple(found.values())


def _told(data: Mapping[str, Any], *, is_gone: bool) -> Iterator[tuple[int, bool | None]]:
    for name in _WENT:
        yield from ((repository_id, None) for repository_id, _ in _listed(data.get(name)))
    for name in _CAME:
        yield from _listed(data.get(name))
    for repository_id, is_public in _listed([data.get("repository")]):
        yield repository_id, None if is_gone else is_public


def _listed(given: object) -> Iterator[tuple[int, bool]]:
    for one in given if isinstance(given, list) else ():
        if isinstance(one, Mapping):
            repository_id, is_private = one.get("id"), one.get("private")
            if type(repository_id) is int and 0 < repository_id < 2**63 and isinstance(is_private, bool):
                yield repository_id, not is_private
