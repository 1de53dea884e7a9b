"""Times of `on.schedule`: five fields as POSIX has them, in UTC. Pure.

https://docs.github.com/en/actions/reference/workflows-and-actions/events-that-trigger-workflows#schedule
"""

from __future__ import annotations

import itertools
import re
from datetime import UTC, datetime, timedelta

import cronsim

#: The shortest time between two of one schedule.
SHORTEST = timedelta(minutes=5)
_FIELDS = re.compile(r"(?:[0-9A-Za-z*/,-]{1,100} ){4}[0-9A-Za-z*/,-]{1,100}")
#: Words and signs that other programs have besides.
_STRANGE = re.compile(r"[LlWw#?]")
_SOME_DAY = datetime(2026, 1, 1, tzinfo=UTC)
_LOOKED_AT = 300


def problem(text: str) -> str | None:
    """What is wrong with a schedule, a sentence for people; None where nothing is."""
    found = " ".join(text.split())
    if not _FIELDS.fullmatch(found) or any(_STRANGE.search(field) for field in _without_names(found)):
        return "A `cron` has five fields: minute, hour, day of the month, month, day of the week, e.g. `30 5 * * 1-5`."
    try:
        times = list(itertools.islice(cronsim.CronSim(found, _SOME_DAY), _LOOKED_AT))
    except cronsim.CronSimError as wrong:
        return f"This is no time: {wrong}."
    if not times:
        return "This time never comes."
    if any(after - before < SHORTEST for before, after in itertools.pairwise(times)):
        return "It comes more often than every 5 minutes: write a `cron` with longer pauses, e.g. `*/5 * * * *`."
    return None


def _without_names(text: str) -> list[str]:
    return [re.sub(r"[A-Za-z]{3}", "", field) for field in text.split()]


def next_after(text: str, at: datetime) -> datetime | None:
    """The first time of a schedule behind an instant; None where there is none.

    :param text: one without a problem.
    """
    try:
        return next(cronsim.CronSim(text, at.astimezone(UTC)), None)
    except cronsim.CronSimError:
        return None
