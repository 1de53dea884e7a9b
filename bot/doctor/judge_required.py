"""Checks of what branches require before something is merged into them: pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from bot.doctor.checks import Checks, Finding
from bot.doctor.facts import Facts, Guarded, Unknown
from bot.pipelines.plan import CHECK_NAME

CHECKS = Checks()
_JOBS = f"{CHECK_NAME} / "


@CHECKS.check("Every branch that requires a check of ours requires the right one, from this App alone.")
def required_checks(facts: Facts) -> Iterator[Finding]:
    """A check that a default branch requires from anybody, of one job only, or by a name that never comes."""
    app_id = facts.github.app.known.id
    for one in facts.github.guarded.known:
        yield from _of(one, app_id)


@CHECKS.check("GitHub tells what every default branch requires.")
def required_known(facts: Facts) -> Iterator[Finding]:
    """A repository of which GitHub did not say what it requires."""
    facts.github.guarded.known  # noqa: B018 - raises where nothing was asked
    for name, why in facts.github.unasked.items():
        yield Finding(
            what=f"What {name} requires is not known: {why}",
            where=name,
            mend="See what is wrong with its installation: `installations` and `accepted-permissions` here.",
        )
    if facts.github.is_cut and not facts.github.unasked:
        raise Unknown("there are more repositories than the doctor asks", is_broken=False)


def _of(one: Guarded, app_id: int) -> Iterator[Finding]:
    where = f"{one.full_name}, rules of {one.branch}"
    pins: Mapping[str, set[int | None]] = _pins(one)
    if CHECK_NAME in pins and app_id not in pins[CHECK_NAME]:
        by_other = None not in pins[CHECK_NAME]
        who = "of another App" if by_other else "of anybody who can write there"
        yield Finding(
            what=f"The branch takes a check {CHECK_NAME!r} {who} for ours: it can be forged, or never comes.",
            where=where,
            mend="Choose this App as the source of the required check.",
        )
    jobs = sorted(name for name in pins if name.startswith(_JOBS))
    if jobs and CHECK_NAME not in pins:
        yield Finding(
            what=f"Only single jobs are required ({', '.join(jobs)}): one that is renamed or left out blocks for ever,"
            " and others may fail.",
            where=where,
            mend=f"Require {CHECK_NAME!r} instead, from this App: it stands for all jobs.",
        )
    for name, apps in sorted(pins.items()):
        if name == CHECK_NAME or name.startswith(_JOBS):
            continue
        if app_id in apps or (None in apps and _means_ours(name)):
            yield Finding(
                what=f"The check {name!r} is required, and nobody ever posts one of that name.",
                where=where,
                mend=f"Require {CHECK_NAME!r} instead, from this App.",
            )


def _pins(one: Guarded) -> Mapping[str, set[int | None]]:
    found: dict[str, set[int | None]] = defaultdict(set)
    for required in one.required:
        found[required.name].add(required.app_id)
    return found


def _means_ours(name: str) -> bool:
    """Whether a name is ours but for letters: GitHub compares them exactly."""
    return "".join(letter for letter in name.lower() if letter.isalnum()).startswith(CHECK_NAME)
