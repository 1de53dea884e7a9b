"""How long the builds of one branch took, as a drawing: a bar for each, the newest on the right. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from bot.model import build
from bot.store.branches import Brief
from bot.web import phrases, states

#: Bars, and the size of the drawing in its own units.
MOST, WIDTH, HEIGHT = 50, 600, 90
_GAP = 2
#: A lower bar could not be seen.
_LEAST = 3.0


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    """One build."""

    x: float
    y: float
    width: float
    height: float
    #: The name of the colour.
    icon: str
    #: Those that did not pass are outlined, so that colour is not all that tells them apart.
    is_well: bool
    #: For whoever points at it.
    text: str


class Trend(msgspec.Struct, frozen=True, kw_only=True):
    """The drawing, and what it says."""

    bars: tuple[Bar, ...]
    #: Where the line of the median lies.
    median_y: float
    text: str


def draw(found: Sequence[Brief]) -> Trend | None:
    """The newest builds that ran; None where there are too few to compare.

    :param found: the newest first.
    """
    ran = [(one, seconds) for one in found if (seconds := one.seconds) is not None][:MOST][::-1]
    if len(ran) < 2:
        return None
    longest = max(seconds for _, seconds in ran) or 1.0
    # With the first such page: it loads all that Python knows of numbers.
    import statistics

    median = statistics.median(seconds for _, seconds in ran)
    step = WIDTH / MOST
    bars = []
    for number, (one, seconds) in enumerate(ran, start=MOST - len(ran)):
        height = max(_LEAST, HEIGHT * seconds / longest)
        bars.append(
            Bar(
                x=round(number * step + _GAP / 2, 2),
                y=round(HEIGHT - height, 2),
                width=round(step - _GAP, 2),
                height=round(height, 2),
                icon=states.look(one.state).icon,
                is_well=one.state == build.State.PASSED,
                text=f"{states.look(one.state).text}, {phrases.duration(seconds)}: {one.title}",
            )
        )
    return Trend(
        bars=tuple(bars), median_y=round(HEIGHT - HEIGHT * median / longest, 2), text=_told(ran, median=median)
    )


def _told(ran: Sequence[tuple[Brief, float]], *, median: float) -> str:
    passed = sum(one.state == build.State.PASSED for one, _ in ran)
    return (
        f"Of the last {len(ran)} builds {passed} passed. Half took at most {phrases.duration(median)};"
        f" the last took {phrases.duration(ran[-1][1])}."
    )
