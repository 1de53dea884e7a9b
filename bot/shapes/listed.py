"""Lists as programs read them: a part of one, and where the next part is; and what is only listed."""

from __future__ import annotations

from bot.builds import explaining
from bot.model import report
from bot.shapes.built import Build, Results
from bot.shapes.delivered import Delivery
from bot.shapes.shape import Shape, taken


class Waiting(Build, frozen=True, kw_only=True):
    """A build that waits, and for what."""

    cause: explaining.Cause
    why: str
    advice: tuple[str, ...]


class Repository(Shape, frozen=True, kw_only=True):
    """A repository that builds were made of."""

    id: int
    name: str
    default_branch: str | None
    #: The newest of the default branch.
    newest: Build | None


class Me(Shape, frozen=True, kw_only=True):
    """Who asks, and what they may do."""

    #: GitHub's number; null where nobody signs in.
    id: int | None
    login: str | None
    is_operator: bool
    #: Whether changes may be asked for at all: an API token may be for reading only.
    may_write: bool


class Listed(Shape, frozen=True, kw_only=True):
    """A part of a list."""

    #: The address of the part that follows; null where none does.
    next: str | None


class Builds(Listed, frozen=True, kw_only=True):
    """Builds, the newest first."""

    items: tuple[Build, ...]


class Deliveries(Listed, frozen=True, kw_only=True):
    """Deliveries, the newest first."""

    items: tuple[Delivery, ...]


class Queue(Listed, frozen=True, kw_only=True):
    """Builds that wait, the newest first."""

    items: tuple[Waiting, ...]


class Repositories(Listed, frozen=True, kw_only=True):
    """Repositories, in the order of their ids."""

    items: tuple[Repository, ...]


class Cases(Listed, frozen=True, kw_only=True):
    """Test cases of a job, in the order of its reports, and what they come to."""

    results: Results | None
    items: tuple[report.Case, ...]


def of_waiting(found: explaining.Explanation) -> Waiting:
    """A build that an explanation is about."""
    return taken(Waiting, found.facts.builds[0], cause=found.cause, why=found.answer, advice=found.advice)
