"""Telemetry: log lines and metrics with bounded names; secrets and control characters never get into either."""

from __future__ import annotations

import contextlib
import logging
import re
import sys
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any

from bot.metrics import REDACTIONS, Metrics

try:
    # Where rich is installed structlog loads it, with its lexers for traces of a kind that is not shown here: 5 MB and
    # 40 ms of each start. https://docs.python.org/3/reference/import.html#the-module-cache
    sys.modules.setdefault("rich", None)  # type: ignore[arg-type]
    import structlog
finally:
    if sys.modules["rich"] is None:
        del sys.modules["rich"]

#: Where the rest of what the service tells about itself is made.
__all__ = ["Metrics", "bound", "configure_logs", "derive", "log", "one_line", "redact", "terminal_safe"]

_SECRET = re.compile(
    r"""
      gh[oprsu]_[A-Za-z0-9_.\-]{16,}            # GitHub tokens; the newer installation tokens have dots and any length
    | github_pat_[A-Za-z0-9_]{20,}
    | A(?:KIA|SIA)[A-Z0-9]{16}                  # access keys of AWS
    | -----BEGIN[ ][A-Z ]*PRIVATE[ ]KEY-----[\s\S]*?(?:-----END[ ][A-Z ]*PRIVATE[ ]KEY-----|\Z)
    | eyJ[A-Za-z0-9_\-]{10,}\.[A-Za-z0-9_\-]{10,}\.[A-Za-z0-9_\-]*   # a JWT
    | (?i:(?<=bearer[ ])|(?<=basic[ ])|(?<=x-access-token:))[A-Za-z0-9._~+/=\-]{8,}
    """,
    re.VERBOSE,
)
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]|\\n|\\t")


def redact(text: str) -> str:
    """The text with everything that looks like a credential taken out."""
    return _SECRET.sub(_hidden, text)


def _hidden(_found: re.Match[str]) -> str:
    REDACTIONS.inc()
    return "[secret]"


def one_line(text: str) -> str:
    """The text without control characters: a branch name cannot forge a log line or move a terminal's cursor."""
    return _CONTROL.sub(lambda found: found.group().encode("unicode_escape").decode(), text)


_SEQUENCE = re.compile(
    r"\x1b(?:\[(?P<colour>[0-9;]*)m|\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_]|)"
)
_LINE_CONTROL = re.compile("[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def terminal_safe(text: str, *, has_colour: bool) -> str:
    """A log for a terminal: colours stay where wanted, everything else that could move or fool it is shown or gone.

    A job's output is hostile: it could rewrite lines, set the window's title or fill the clipboard.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")

    def colour(found: re.Match[str]) -> str:
        return found.group() if has_colour and found.group("colour") is not None else ""

    text = _SEQUENCE.sub(colour, text)
    return _LINE_CONTROL.sub(lambda found: found.group().encode("unicode_escape").decode(), text)


def _clean(value: Any, *, is_trace: bool = False) -> Any:
    if isinstance(value, str):
        return redact(value) if is_trace else one_line(redact(value))
    if isinstance(value, Mapping):
        return {key: _clean(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(inner) for inner in value]
    return value


def _clean_event(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {key: _clean(value, is_trace=key == "exception") for key, value in event.items()}


#: Give facts that follow from others, for the lines of the log.
_derived: list[Callable[[Mapping[str, Any]], Mapping[str, str]]] = []


def derive(facts: Callable[[Mapping[str, Any]], Mapping[str, str]]) -> None:
    """From now on each line of the log has what these give for its other facts."""
    if facts not in _derived:
        _derived.append(facts)


def _derive(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for facts in _derived:
        event.update(facts(event))
    return event


def configure_logs(*, level: str, is_terminal: bool | None = None) -> None:
    """Write log lines to standard error: coloured for a terminal, JSON for everything else."""
    is_terminal = sys.stderr.isatty() if is_terminal is None else is_terminal
    renderer: Any = structlog.dev.ConsoleRenderer() if is_terminal else structlog.processors.JSONRenderer()
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _derive,
        _clean_event,
    ]
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *shared],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    logging.basicConfig(level=max(number, logging.WARNING), handlers=[handler], force=True)


def log(room: str) -> Any:
    """The log of one room. Each line is `log.info("a sentence", action="a_constant_word", ...facts)`."""
    return structlog.get_logger(room=room)


@contextlib.contextmanager
def bound(**facts: str) -> Iterator[None]:
    """Give every log line within these facts, e.g. the delivery's id."""
    with structlog.contextvars.bound_contextvars(**facts):
        yield
