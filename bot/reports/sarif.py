"""SARIF 2.1.0: what static analysis found.

https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/sarif-v2.1.0-os.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import msgspec

from bot.model import check, report
from bot.reports import limits, paths

_LEVELS = {"error": check.Level.FAILURE, "warning": check.Level.WARNING}
#: Results of these kinds say that nothing is wrong (3.27.9).
_IDLE_KINDS = frozenset({"pass", "notApplicable"})


class _Message(msgspec.Struct, rename="camel", frozen=True):
    text: str | None = None
    markdown: str | None = None
    id: str | None = None
    arguments: tuple[str, ...] = ()


class _Configuration(msgspec.Struct, rename="camel", frozen=True):
    level: str | None = None


class _Rule(msgspec.Struct, rename="camel", frozen=True):
    id: str = ""
    name: str | None = None
    short_description: _Message | None = None
    default_configuration: _Configuration | None = None
    message_strings: dict[str, _Message] = msgspec.field(default_factory=dict)


class _Driver(msgspec.Struct, rename="camel", frozen=True):
    name: str = ""
    rules: tuple[_Rule, ...] = ()


class _Tool(msgspec.Struct, rename="camel", frozen=True):
    driver: _Driver = _Driver()


class _Artifact(msgspec.Struct, rename="camel", frozen=True):
    uri: str | None = None
    uri_base_id: str | None = None
    index: int | None = None


class _Held(msgspec.Struct, rename="camel", frozen=True):
    location: _Artifact | None = None


class _Region(msgspec.Struct, rename="camel", frozen=True):
    start_line: int | None = None
    end_line: int | None = None


class _Physical(msgspec.Struct, rename="camel", frozen=True):
    artifact_location: _Artifact | None = None
    region: _Region | None = None


class _Location(msgspec.Struct, rename="camel", frozen=True):
    physical_location: _Physical | None = None


class _Suppression(msgspec.Struct, rename="camel", frozen=True):
    status: str | None = None


class _RuleName(msgspec.Struct, rename="camel", frozen=True):
    id: str | None = None
    index: int | None = None


class _Result(msgspec.Struct, rename="camel", frozen=True):
    rule_id: str | None = None
    rule_index: int | None = None
    rule: _RuleName | None = None
    kind: str | None = None
    level: str | None = None
    baseline_state: str | None = None
    message: _Message = _Message()
    locations: tuple[_Location, ...] = ()
    suppressions: tuple[_Suppression, ...] | None = None


class _Run(msgspec.Struct, rename="camel", frozen=True):
    tool: _Tool = _Tool()
    results: list[_Result] | None = None
    artifacts: list[_Held] | None = None
    original_uri_base_ids: dict[str, _Artifact] | None = None


class _Log(msgspec.Struct, rename="camel", frozen=True):
    version: str
    runs: list[_Run]


_DECODER = msgspec.json.Decoder(_Log)


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What one file says."""

    findings: tuple[report.Finding, ...]
    #: Those included that are not kept.
    total: int


def parse(data: bytes, *, places: paths.Places | None = None) -> Found:
    """The findings of a file that nobody suppressed, in its order.

    :param places: where its relative paths lie.
    :raises limits.Unreadable: if it is no SARIF of version 2.1, or goes beyond a limit.
    """
    limits.check_size(data)
    try:
        log = _DECODER.decode(data.removeprefix(b"\xef\xbb\xbf"))
    except msgspec.ValidationError as error:
        raise limits.Unreadable(f"it is no SARIF: {limits.cut(str(error), 200)}.") from None
    except (msgspec.DecodeError, UnicodeError) as error:
        raise limits.Unreadable(f"it is no JSON: {limits.cut(str(error), 200)}.") from None
    except RecursionError:
        raise limits.Unreadable("its values are nested too deep.") from None
    if not log.version.startswith("2.1"):
        raise limits.Unreadable(f"it is SARIF of version {limits.cut(log.version, 20)}; only 2.1.0 is read.")
    findings: list[report.Finding] = []
    total = 0
    for run in log.runs:
        reading = _Reading(run, places or paths.Places())
        for result in run.results or []:
            if _is_open(result):
                total += 1
                if len(findings) < limits.MAX_FINDINGS:
                    findings.append(reading.finding(result))
    return Found(findings=tuple(findings), total=total)


def _is_open(result: _Result) -> bool:
    if result.kind in _IDLE_KINDS or result.baseline_state == "absent":
        return False
    # A suppression without a status is an accepted one (3.35.3).
    return not any(one.status in (None, "accepted") for one in result.suppressions or ())


class _Reading:
    """One run, with what its results refer to."""

    def __init__(self, run: _Run, places: paths.Places) -> None:
        self._run = run
        self._places = places
        self._rules: Mapping[str, _Rule] = {one.id: one for one in run.tool.driver.rules}

    def finding(self, result: _Result) -> report.Finding:
        rule = self._rule(result)
        path = self._path(result)
        # What has another scheme, or a drive's letter, is nowhere here.
        is_here = bool(path) and (path.startswith("/") or not _is_absolute(path))
        relative = self._places.relative(path) if is_here else None
        region = self._region(result)
        line = _line(region.start_line) or 1
        end_line = max(line, _line(region.end_line) or line)
        name = result.rule_id or (rule.id if rule is not None else "")
        return report.Finding(
            tool=limits.cut(self._run.tool.driver.name, limits.MAX_NAME_CHARACTERS),
            path=limits.cut(relative or path, limits.MAX_PATH_CHARACTERS) or "(no file)",
            line=line,
            end_line=end_line,
            is_inside=relative is not None,
            level=_level(result, rule),
            text=limits.cut(_text(result, rule), limits.MAX_TEXT_CHARACTERS) or "(no message)",
            title=limits.cut(name, limits.MAX_NAME_CHARACTERS) or None,
        )

    def _rule(self, result: _Result) -> _Rule | None:
        rules = self._run.tool.driver.rules
        index = result.rule_index if result.rule_index is not None else result.rule.index if result.rule else None
        if index is not None and 0 <= index < len(rules):
            return rules[index]
        name = result.rule_id or (result.rule.id if result.rule is not None else None) or ""
        # `CA1000/2` is a part of the rule `CA1000` (3.52.4).
        return self._rules.get(name) or self._rules.get(name.partition("/")[0])

    def _region(self, result: _Result) -> _Region:
        physical = result.locations[0].physical_location if result.locations else None
        return physical.region if physical is not None and physical.region is not None else _Region()

    def _path(self, result: _Result) -> str:
        physical = result.locations[0].physical_location if result.locations else None
        place = physical.artifact_location if physical is not None else None
        if place is None:
            return ""
        held = self._run.artifacts or []
        if place.uri is None and place.index is not None and 0 <= place.index < len(held):
            place = held[place.index].location or place
        uri = place.uri or ""
        if not _is_absolute(uri) and place.uri_base_id is not None:
            base = (self._run.original_uri_base_ids or {}).get(place.uri_base_id)
            # One without a URI stands for the root of the repository (3.14.14).
            if base is not None and base.uri and _is_absolute(base.uri):
                uri = f"{base.uri.rstrip('/')}/{uri}"
        return _file(uri)


def _is_absolute(uri: str) -> bool:
    return uri.startswith("/") or ":" in uri.partition("/")[0]


def _file(uri: str) -> str:
    """The path of a URI; of one that is no file's, the URI itself."""
    if uri[:5].lower() == "file:":
        rest = uri[5:]
        return unquote(f"/{rest[2:].partition('/')[2]}" if rest.startswith("//") else rest)
    return uri if _is_absolute(uri) and not uri.startswith("/") else unquote(uri)


def _line(number: int | None) -> int | None:
    return number if number is not None and 1 <= number <= limits.MAX_NUMBER else None


def _level(result: _Result, rule: _Rule | None) -> check.Level:
    configured = rule.default_configuration if rule is not None else None
    # Where neither the result nor its rule says it, it is a warning (3.27.10).
    word: Any = result.level or (configured.level if configured is not None else None) or "warning"
    return _LEVELS.get(word, check.Level.NOTICE)


def _text(result: _Result, rule: _Rule | None) -> str:
    message = result.message
    if message.text is None and message.markdown is None and message.id is not None and rule is not None:
        # Arguments may come in many places: the text grows with each.
        text = limits.cut((rule.message_strings.get(message.id) or _Message()).text or "", limits.MAX_TEXT_CHARACTERS)
        for position, argument in enumerate(message.arguments[:20]):
            argument = limits.cut(argument, limits.MAX_NAME_CHARACTERS)
            text = limits.cut(text.replace(f"{{{position}}}", argument), limits.MAX_TEXT_CHARACTERS)
        return text.strip()
    text = message.text or message.markdown or ""
    if not text and rule is not None and rule.short_description is not None:
        text = rule.short_description.text or ""
    return text[: 4 * limits.MAX_TEXT_CHARACTERS].strip()
