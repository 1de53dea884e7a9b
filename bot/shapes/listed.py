"""Lists as programs read them: a part of one, and where the next part is; and what is only listed."""

from __future__ import annotations

from collections.abc import Iterable

from bot.builds import explaining
from bot.model import engine, report
from bot.model import self_test as testing
from bot.shapes.built import Build, Results
from bot.shapes.delivered import Delivery
from bot.shapes.shape import Instant, Shape, taken


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


class SelfTest(Shape, frozen=True, kw_only=True):
    """The last test of an engine's sandbox on one machine."""

    host: str
    kernel: str
    tried_at: Instant
    #: How many attempts to get out were made, and how many of them were held.
    tried: int
    held: int
    #: What those reached that were not held.
    escaped: tuple[str, ...]
    #: What could not be tried there.
    untried: tuple[str, ...]


class Engine(Shape, frozen=True, kw_only=True):
    """A place where jobs run."""

    name: str
    #: Whether jobs come to it that ask for none.
    is_default: bool
    #: Those of `runs-on` that it takes.
    labels: tuple[str, ...]
    #: One for each machine; null for those who do not run the service.
    self_tests: tuple[SelfTest, ...] | None


class Engines(Shape, frozen=True, kw_only=True):
    """The engines of the service that answers."""

    items: tuple[Engine, ...]
    #: How many jobs it runs at once.
    max_jobs: int
    #: Why no job starts here; null where jobs do.
    trouble: str | None


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


def of_engines(known: engine.Engines, tested: Iterable[testing.SelfTest] | None) -> Engines:
    """The engines as programs read them.

    :param tested: what their sandboxes held; None for whoever may not know it.
    """
    found = None if tested is None else [*tested]
    return Engines(
        items=tuple(taken(Engine, one, self_tests=_tests_of(one.name, found)) for one in known.all),
        max_jobs=known.max_jobs,
        trouble=known.trouble,
    )


def of_self_test(found: testing.SelfTest) -> SelfTest:
    """A test of a sandbox as programs read it."""
    return taken(SelfTest, found)


def _tests_of(name: str, found: list[testing.SelfTest] | None) -> tuple[SelfTest, ...] | None:
    return None if found is None else tuple(of_self_test(one) for one in found if one.engine == name)
