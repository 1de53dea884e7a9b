"""The order that `needs` asks for: each name a job, and no job that waits for itself."""

from __future__ import annotations

import graphlib
from collections.abc import Mapping

from bot.pipelines.problems import Place, Problems, did_you_mean, quoted


def check(needs: Mapping[str, tuple[str, ...]], *, places: Mapping[str, Place], problems: Problems) -> None:
    """Note every need that is no job, and every circle.

    :param needs: for each job, in the order of the file, the jobs that it needs.
    :param places: where each job's needs stand.
    """
    for key, wanted in needs.items():
        for one in wanted:
            if one not in needs and not problems.is_full:
                others = [other for other in needs if other != key]
                text = f"`needs` names {quoted(one)}, which is no job. {did_you_mean(one, others)}"
                problems.add(places[key], text.rstrip())
    for circle in circles(needs):
        way = ", which needs ".join(quoted(key) for key in (*circle[1:], circle[0]))
        problems.add(places[circle[0]], f"{quoted(circle[0])} needs {way}: jobs cannot wait for themselves.")


def circles(needs: Mapping[str, tuple[str, ...]]) -> list[tuple[str, ...]]:
    """The circles, no job in two of them, each begun at its first job in the order of the file."""
    order = {key: position for position, key in enumerate(needs)}
    left = {key: {one for one in wanted if one in needs} for key, wanted in needs.items()}
    found = []
    while circle := _circle(left):
        start = circle.index(min(circle, key=order.__getitem__))
        found.append(tuple(circle[start:] + circle[:start]))
        left = {key: wanted - set(circle) for key, wanted in left.items() if key not in circle}
    return sorted(found, key=lambda one: order[one[0]])


def _circle(needs: Mapping[str, set[str]]) -> list[str]:
    try:
        graphlib.TopologicalSorter(needs).prepare()
    except graphlib.CycleError as wrong:
        # Its list goes from a need to the job that needs it, and names the first one again at the end.
        circle: list[str] = wrong.args[1][:0:-1]
        return circle
    return []
