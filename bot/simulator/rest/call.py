"""One call of the API while it is answered, and what a handler may answer."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from bot.simulator import auth, github, values

Item = TypeVar("Item")

#: A full commit id.
SHA = re.compile(r"[0-9a-f]{40}")


class ApiError(Exception):
    """The API refuses a call with GitHub's status, sentence and list of errors."""

    def __init__(
        self, status: int, message: str, *, errors: Sequence[Any] = (), headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.errors = errors
        self.headers = dict(headers or {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a handler answers."""

    status: int = 200
    #: JSON, or None for an empty body.
    body: Any = None
    #: In place of JSON: bytes of another media type.
    raw: bytes | None = None
    media_type: str = "application/json; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call, as far as it is known when the handler begins."""

    world: github.GitHub
    principal: auth.Principal
    #: The credential that came with it.
    token: str | None
    #: The parts of the path, e.g. `{"check_run_id": "5"}`.
    parameters: Mapping[str, str]
    query: Mapping[str, str]
    accept: str
    #: The parsed body, which GitHub's description finds valid, or None.
    body: Any
    #: The URL that was asked for, without the query.
    url: str
    found: values.Repository | None

    @property
    def repository(self) -> values.Repository:
        """The repository that the path names."""
        assert self.found is not None
        return self.found

    def number(self, name: str) -> int:
        return int(self.parameters[name])

    @property
    def actor(self) -> values.User:
        """Who acts: a person, or the App's bot."""
        return self.principal.user or self.world.app.bot

    def page(self, items: Sequence[Item]) -> tuple[Sequence[Item], dict[str, str]]:
        """One page of a list and its `Link` header: `per_page` (at most 100, 30 by default) and `page`."""
        size = min(max(_integer(self.query.get("per_page"), 30), 1), 100)
        number = max(_integer(self.query.get("page"), 1), 1)
        last = max((len(items) + size - 1) // size, 1)
        targets = {"prev": number - 1, "next": number + 1, "last": last, "first": 1}
        if number <= 1:
            del targets["prev"], targets["first"]
        if number >= last:
            del targets["next"], targets["last"]
        links = [f'<{self.link(page=target)}>; rel="{rel}"' for rel, target in targets.items()]
        headers = {"Link": ", ".join(links)} if links else {}
        return items[(number - 1) * size : number * size], headers

    def link(self, **query: int | str) -> str:
        """The URL of this call with other query parameters."""
        merged = {**self.query, **{name: str(value) for name, value in query.items()}}
        return self.url + "?" + "&".join(f"{name}={value}" for name, value in merged.items())

    async def resolve(self, ref: str, *, repository: values.Repository | None = None) -> str | None:
        """The commit that a branch, tag, full ref, pull request ref or full SHA stands for.

        By default in the repository of the call. A full SHA of any fork is one.
        """
        repository = repository or self.repository
        name = ref.removeprefix("refs/")
        for prefix, names in (("heads/", repository.heads), ("tags/", repository.tags)):
            if name.startswith(prefix) and name.removeprefix(prefix) in names:
                return await self.world.git_of(repository).peel(names[name.removeprefix(prefix)])
        if ref in repository.heads:
            return repository.heads[ref]
        if ref in repository.tags:
            return await self.world.git_of(repository).peel(repository.tags[ref])
        if match := re.fullmatch(r"pull/([0-9]{1,9})/(head|merge)", name):
            pull = self.world.pulls.get((repository.id, int(match[1])))
            if pull is not None:
                return pull.head_sha if match[2] == "head" else pull.merge_commit_sha
        if SHA.fullmatch(ref):
            found = await self.world.git_of(repository).object(ref)
            return ref if found is not None and found[1] == "commit" else None
        return None


def _integer(text: str | None, default: int) -> int:
    return int(text) if text and re.fullmatch(r"[0-9]{1,9}", text) else default


Handler = Callable[[Call], Awaitable[Answer]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One operation of the API."""

    method: str
    #: As GitHub's description writes it, e.g. `/repos/{owner}/{repo}/pulls`.
    template: str
    handler: Handler
    #: What a token needs, e.g. `checks:write` or `issues:write or pull_requests:write`; `app` for the App's JWT,
    #: `token` for any installation token, `client` for an App's client secret, `user` for any person's token, empty for
    #: everyone.
    needs: str = ""
    #: Whether GitHub's description of REST judges what is sent and answered.
    is_described: bool = True
    #: Whether the body is a form, not JSON.
    is_form: bool = False
    #: Another operation in GitHub's description that judges it, where the path itself is not described.
    judged_as: str = ""
