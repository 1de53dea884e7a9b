"""Writes several check runs of one repository with few requests, each as safely as `writing` writes one.

One request of GraphQL makes and changes many. What is refused of it is refused for itself; where its answer is lost,
all of its runs are looked up with one question the next time, and go in smaller requests then. Where GraphQL is not to
be had, they go one by one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

import msgspec
from msgspec.structs import replace

from bot import errors
from bot.checks import sending, writing
from bot.github import Repository
from bot.github.checks import MAX_FOUND, Found
from bot.github.graphql import MAX_BODY_BYTES, MAX_RUNS, Write, Written, size_bytes
from bot.model import check

#: How many go side by side where they go one by one.
_SIDE_BY_SIDE = 8


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """A check to write."""

    attempt: writing.Attempt
    wanted: check.CheckRun


class _Open(msgspec.Struct, frozen=True, kw_only=True):
    """What has to be sent of an item."""

    #: Its place among the items.
    at: int
    item: Item
    #: What goes now.
    part: check.CheckRun
    #: GitHub's ids; None of a run to make.
    github_id: int | None
    node_id: str | None
    #: From which annotation on more has to follow; None where the answer tells how many are there.
    rest_from: int | None

    @property
    def is_first(self) -> bool:
        """Whether nothing of this attempt was sent yet."""
        return self.rest_from is None or self.rest_from <= writing.MAX_ANNOTATIONS


class _Group:
    """The items on their way."""

    def __init__(self, repository: Repository, items: Sequence[Item], alone: Callable[[Item], Awaitable[int]]) -> None:
        self._repository = repository
        self._items = items
        self._alone = alone
        self._waiting: deque[_Open] = deque()
        self._most = MAX_RUNS
        #: What became of each, by its place.
        self.outcomes: dict[int, int | Exception] = {}

    async def run(self) -> None:
        """Write all of them."""
        await self._begin()
        while self._waiting:
            chunk = self._take()
            if len(chunk) == 1 or not self._repository.has_graphql:
                await self._one_by_one(chunk)
            else:
                await self._send(chunk)

    async def _begin(self) -> None:
        """Find out of each whether it is there, with one question for each commit that there is doubt about."""
        doubtful = {at: one for at, one in enumerate(self._items) if self._is_doubtful(one)}
        found: dict[str, dict[tuple[str | None, str], Found]] = {}
        for head_sha in dict.fromkeys(one.wanted.head_sha for one in doubtful.values()):
            of_head = {at: one for at, one in doubtful.items() if one.wanted.head_sha == head_sha}
            try:
                runs = await self._repository.list_check_runs(head_sha=head_sha)
            except (errors.NotReachable, errors.Forbidden, errors.Invalid):
                # Asked for one by one, each is told why.
                await self._let_go(of_head)
            except errors.GitHubError as error:
                self.outcomes |= dict.fromkeys(of_head, error)
            else:
                if len(runs) >= MAX_FOUND:
                    # There are more, so that one that is not among them may be there all the same.
                    await self._let_go(of_head)
                found[head_sha] = {(run.external_id, run.name): run for run in reversed(runs)}
        for at, one in enumerate(self._items):
            if at not in self.outcomes:
                await self._open(at, one, found.get(one.wanted.head_sha, {}))

    def _is_doubtful(self, one: Item) -> bool:
        claimed = one.attempt.claimed
        if claimed.github_id is None:
            return claimed.create_begun_at is not None
        return self._repository.find_node_id(claimed.github_id) is None

    async def _open(self, at: int, one: Item, found: dict[tuple[str | None, str], Found]) -> None:
        wanted, claimed = one.wanted, one.attempt.claimed
        github_id, is_repetition = claimed.github_id, one.attempt.may_be_repetition
        if github_id is None and claimed.create_begun_at is not None:
            run = found.get((wanted.external_id, wanted.name))
            if run is not None:
                github_id, is_repetition = run.id, True
            else:
                try:
                    one.attempt.wait_for_lost()
                except sending.NotYet as error:
                    self.outcomes[at] = error
                    return
        node_id = self._repository.find_node_id(github_id) if github_id is not None else None
        if github_id is not None and node_id is None:
            await self._let_go({at: one})
            return
        # An attempt that was cut off has added whole requests of them: how many, the answer tells.
        is_counted = github_id is not None and is_repetition and bool(wanted.annotations)
        part = replace(wanted, annotations=()) if is_counted else writing.part(wanted, 0)
        rest_from = None if is_counted else writing.MAX_ANNOTATIONS
        self._waiting.append(
            _Open(at=at, item=one, part=part, github_id=github_id, node_id=node_id, rest_from=rest_from)
        )

    def _take(self) -> list[_Open]:
        """What goes next: as much as one request may hold, and less of what failed before."""
        chunk = [self._waiting.popleft()]
        most, size = min(self._most, self._repository.most_at_once), size_bytes(_write(chunk[0]))
        while self._waiting and len(chunk) < most:
            size += size_bytes(_write(self._waiting[0]))
            if size > MAX_BODY_BYTES:
                break
            chunk.append(self._waiting.popleft())
        return chunk

    async def _send(self, chunk: list[_Open]) -> None:
        ready = [one for one in chunk if self._is_in_time(one)]
        if not ready:
            return
        try:
            results = await self._repository.put_check_runs([_write(one) for one in ready])
        except errors.TooMuch:
            self._most = max(len(ready) // 2, 1)
            self._waiting.extendleft(reversed(ready))
        except errors.GraphQLAway as error:
            self._repository.graphql_went_away(error)
            await self._one_by_one(ready)
        except errors.AnswerLost as error:
            self._fail(ready, error)
        except errors.GitHubError as error:
            self._fail([*ready, *self._waiting], error)
            self._waiting.clear()
        else:
            await self._take_in(ready, results)

    def _is_in_time(self, one: _Open) -> bool:
        try:
            one.item.attempt.make_haste()
        except sending.NotYet as error:
            if one.github_id is None:
                self.outcomes[one.at] = error
                return False
        return True

    async def _take_in(self, sent: list[_Open], results: Sequence[Written | errors.GitHubError]) -> None:
        refused: list[_Open] = []
        for one, result in zip(sent, results, strict=True):
            if isinstance(result, Written):
                self._written(one, result)
            elif isinstance(result, errors.NotReachable | errors.Forbidden | errors.Invalid) and not isinstance(
                result, errors.CommitUnknown
            ):
                refused.append(one)
            else:
                self.outcomes[one.at] = result
        if len(refused) == len(sent) and all(isinstance(one, errors.Forbidden) for one in results):
            # It is not about any of them.
            self._repository.graphql_went_away(errors.GraphQLAway(str(results[0])))
        # Nothing was done of these: what is wrong with each alone is found out the way that each goes alone.
        await self._one_by_one(refused)

    def _written(self, one: _Open, result: Written) -> None:
        wanted = one.item.wanted
        start = one.rest_from if one.rest_from is not None else result.annotations_count
        if start is None or start >= len(wanted.annotations):
            self.outcomes[one.at] = result.id
            return
        self._waiting.append(
            replace(
                one,
                part=writing.part(wanted, start),
                github_id=result.id,
                node_id=result.node_id,
                rest_from=start + writing.MAX_ANNOTATIONS,
            )
        )

    async def _one_by_one(self, some: Sequence[_Open]) -> None:
        await self._let_go({one.at: one.item for one in some if one.is_first})
        for one in some:
            if not one.is_first and one.github_id is not None and one.rest_from is not None:
                try:
                    start = one.rest_from - writing.MAX_ANNOTATIONS
                    await writing.add(self._repository, one.github_id, one.item.wanted, start=start)
                    self.outcomes[one.at] = one.github_id
                except errors.BuildhookError as error:
                    self.outcomes[one.at] = error

    async def _let_go(self, some: dict[int, Item]) -> None:
        """Write these one by one, some of them side by side."""
        places = asyncio.Semaphore(_SIDE_BY_SIDE)

        async def go(at: int, one: Item) -> None:
            async with places:
                try:
                    self.outcomes[at] = await self._alone(one)
                except Exception as error:
                    self.outcomes[at] = error

        await asyncio.gather(*(go(at, one) for at, one in some.items()))

    def _fail(self, some: Sequence[_Open], error: errors.GitHubError) -> None:
        self.outcomes |= dict.fromkeys((one.at for one in some), error)


async def write(
    repository: Repository, items: Sequence[Item], *, alone: Callable[[Item], Awaitable[int]]
) -> list[int | Exception]:
    """Bring GitHub to show check runs of different checks; for each GitHub's id, or why it does not, in their order.

    :param alone: writes one of them with requests of its own; it raises what `writing.write` does.
    """
    group = _Group(repository, items, alone)
    await group.run()
    return [group.outcomes[at] for at in range(len(items))]


def _write(one: _Open) -> Write:
    return Write(wanted=one.part, node_id=one.node_id)
