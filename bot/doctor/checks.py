"""What a check is, and what comes of one: pure."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Sequence

import msgspec

from bot import telemetry
from bot.doctor.facts import Facts, Unknown


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """A mistake."""

    #: What is wrong, as a sentence.
    what: str
    #: The setting, file or place on GitHub.
    where: str
    #: How to mend it, as a sentence; empty where `what` says it.
    mend: str = ""


class State(enum.StrEnum):
    """What came of a check."""

    FINE = "fine"
    WRONG = "wrong"
    #: Something that it needs could not be asked.
    UNKNOWN = "unknown"


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """What is told of a check; one for each of its findings."""

    check: str
    state: State
    what: str
    where: str = ""
    mend: str = ""


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One check."""

    name: str
    #: What it looks for.
    about: str
    #: What to say where nothing is found.
    fine: str
    function: Callable[[Facts], Iterable[Finding]]


class Checks(list[Check]):
    """The checks of a module, in the order in which they are written."""

    def check(
        self, fine: str
    ) -> Callable[[Callable[[Facts], Iterable[Finding]]], Callable[[Facts], Iterable[Finding]]]:
        """Make a function a check: its name is the check's, the first line of its docstring says what it looks for.

        :param fine: what to say where it finds nothing.
        """

        def take(function: Callable[[Facts], Iterable[Finding]]) -> Callable[[Facts], Iterable[Finding]]:
            about = (function.__doc__ or "").strip().partition("\n")[0]
            name = function.__name__.strip("_").replace("_", "-")
            self.append(Check(name=name, about=about, fine=fine, function=function))
            return function

        return take


def judge(facts: Facts, checks: Iterable[Check], *, secrets: Iterable[str] = ()) -> list[Line]:
    """What each check says of the facts.

    :param secrets: texts that must not be told, wherever they come from.
    """
    # The longest first: one may be a part of another.
    hidden = sorted({one for one in secrets if one}, key=len, reverse=True)
    return [_safe(line, hidden) for one in checks for line in _lines(one, facts)]


def _lines(one: Check, facts: Facts) -> list[Line]:
    try:
        found = list(one.function(facts))
    except Unknown as unknown:
        if unknown.is_broken:
            return [_broken(one, str(unknown))]
        return [Line(check=one.name, state=State.UNKNOWN, what=_ended(f"Not asked: {unknown}"))]
    except Exception as error:
        return [_broken(one, f"{type(error).__name__}: {error}")]
    if not found:
        return [Line(check=one.name, state=State.FINE, what=one.fine)]
    return [
        Line(check=one.name, state=State.WRONG, what=_ended(each.what), where=each.where, mend=each.mend)
        for each in found
    ]


def _ended(text: str) -> str:
    """The text as a sentence."""
    whole = text.rstrip()
    return whole if whole.endswith((".", "!", "?", ")")) else f"{whole}."


def _broken(one: Check, why: str) -> Line:
    """What went wrong is the doctor's own mistake: told, and the other checks go on."""
    what = _ended(f"The check itself broke: {why}")
    return Line(check=one.name, state=State.WRONG, what=what, where="buildhook", mend="Please report it.")


def _safe(line: Line, hidden: Sequence[str]) -> Line:
    def clean(text: str) -> str:
        for secret in hidden:
            text = text.replace(secret, "[secret]")
        return telemetry.one_line(telemetry.redact(" ".join(text.split())))

    return Line(
        check=line.check, state=line.state, what=clean(line.what), where=clean(line.where), mend=clean(line.mend)
    )
