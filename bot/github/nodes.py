"""What is remembered for GraphQL: its ids of check runs, where it is not to be had, and how much it takes at once."""

from __future__ import annotations

import cachetools

from bot import errors, telemetry
from bot.github.clock import Clock

#: For so long REST is used where GraphQL is not there, or is not ours to use.
AWAY_SECONDS = 30 * 60.0
_RUNS_KEPT = 50_000
_INSTALLATIONS_KEPT = 10_000
_MOST_HALVINGS = 5
_log = telemetry.log("github")


class Nodes:
    """Of one GitHub. What is forgotten costs a look-up, or a request that is refused."""

    def __init__(self, *, clock: Clock | None = None) -> None:
        self._clock = clock or Clock()
        self._runs: cachetools.LRUCache[int, str] = cachetools.LRUCache(_RUNS_KEPT)
        #: By repository.
        self._halvings: cachetools.LRUCache[int, int] = cachetools.LRUCache(_INSTALLATIONS_KEPT)
        #: Until when, by the monotonic clock; None stands for all installations.
        self._away: cachetools.LRUCache[int | None, float] = cachetools.LRUCache(_INSTALLATIONS_KEPT)

    def find(self, github_id: int) -> str | None:
        """GraphQL's id of a check run, where an answer told it."""
        return self._runs.get(github_id)

    def keep(self, github_id: int, node_id: str | None) -> None:
        """Keep what an answer told; ids never change."""
        if node_id:
            self._runs[github_id] = node_id

    def drop(self, github_id: int) -> None:
        """Forget an id that GraphQL does not know."""
        self._runs.pop(github_id, None)

    def is_there(self, installation_id: int) -> bool:
        """Whether GraphQL is worth asking, as far as is known."""
        now = self._clock.monotonic()
        return all(self._away.get(of, 0.0) <= now for of in (None, installation_id))

    def halvings(self, repository_id: int) -> int:
        """How often what goes at once of a repository is to be halved, because answers to it were lost."""
        return self._halvings.get(repository_id, 0)

    def went(self, repository_id: int, *, is_well: bool) -> None:
        """Note what became of a request with several runs: once an answer is lost, the next request is smaller."""
        change = -1 if is_well else 1
        self._halvings[repository_id] = min(max(self.halvings(repository_id) + change, 0), _MOST_HALVINGS)

    def list_away(self) -> frozenset[int] | None:
        """The installations that it is not worth asking for; None for all."""
        now = self._clock.monotonic()
        away = {of for of, until in self._away.items() if until > now}
        return None if None in away else frozenset(of for of in away if of is not None)

    def went_away(self, installation_id: int, error: errors.GraphQLAway) -> None:
        """Note that GraphQL did not take a request: for a while REST is used, by itself, then it is asked again."""
        seconds = AWAY_SECONDS
        if error.until is not None:
            seconds = max((error.until - self._clock.now()).total_seconds(), 1.0)
        of = None if error.is_everywhere else installation_id
        _log.warning(
            "GraphQL is not to be had: checks are sent one by one for a while.",
            action="graphql_away",
            installation_id=of,
            minutes=round(seconds / 60, 1),
            error=str(error),
        )
        self._away[of] = self._clock.monotonic() + seconds
