"""Telemetry: log lines and metrics with bounded names; secrets and control characters never get into either."""

from __future__ import annotations

import contextlib
import logging
import re
import sys
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

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
    return _SECRET.sub("[secret]", text)


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


def configure_logs(*, level: str, is_terminal: bool | None = None) -> None:
    """Write log lines to standard error: coloured for a terminal, JSON for everything else."""
    is_terminal = sys.stderr.isatty() if is_terminal is None else is_terminal
    renderer: Any = structlog.dev.ConsoleRenderer() if is_terminal else structlog.processors.JSONRenderer()
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
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


class Metrics:
    """All metrics of one process. Labels come from closed sets only, never from a payload."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        seconds = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
        long_seconds = (0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 4 * 3600)
        self.build_info = self._gauge("build_info", "The version that runs.", "version")
        self.deliveries = self._counter("webhook_deliveries_total", "Requests at the door.", "event", "outcome")
        self.rejected = self._counter("webhook_rejected_total", "Requests that the door refused.", "reason")
        self.conflicts = self._counter("webhook_conflicts_total", "Known delivery ids that came with another body.")
        self.secret_used = self._counter("webhook_secret_used_total", "Proved signatures, by secret.", "secret")
        self.answer_seconds = self._histogram("webhook_ack_duration_seconds", "Request to answer.", seconds)
        self.recovered = self._counter(
            "webhook_recovered_total", "Deliveries that GitHub could not deliver.", "outcome"
        )
        self.missed = self._gauge("webhook_missed", "Deliveries known to be missing in the inbox.")
        self.reconciled = self._counter("state_reconciled_total", "What GitHub's state had and we had not.", "what")
        self.inbox_depth = self._gauge("inbox_depth", "Deliveries still to be handled.")
        self.inbox_bytes = self._gauge("inbox_bytes", "Bytes of the deliveries still to be handled.")
        self.handled = self._counter("deliveries_finished_total", "Deliveries by how they ended.", "event", "state")
        self.handle_seconds = self._histogram("dispatch_duration_seconds", "Claim to written outcome.", seconds)
        self.builds = self._counter("builds_total", "Jobs by how they ended.", "engine", "result")
        self.job_seconds = self._histogram("build_duration_seconds", "Start to end of a job.", long_seconds)
        self.queue_seconds = self._histogram("build_queue_duration_seconds", "Queued to started.", long_seconds)
        self.jobs_active = self._gauge("builds_active", "Unfinished jobs.", "state")
        self.checks_stale = self._gauge("outbox_depth", "Checks that GitHub does not show as they should be.")
        self.check_attempts = self._counter("outbox_attempts_total", "Attempts to send a check.", "outcome")
        self.github_requests = self._counter("github_requests_total", "Calls to GitHub.", "method", "status_class")
        self.github_points = self._counter("github_points_total", "Points of GitHub's limits spent.", "class")
        self.oldest_stale = self._gauge("outbox_oldest_seconds", "Age of the oldest change that GitHub does not show.")
        self.handler_runs = self._counter("handler_runs_total", "What users' own handlers did.", "state")
        self.handler_seconds = self._histogram("handler_run_duration_seconds", "A handler's run.", long_seconds)
        self.notifications = self._counter("notifications_total", "Attempts to notify a subscriber.", "outcome")
        self.notifications_unsent = self._gauge("notifications_unsent", "Notifications still to be sent.")
        self.subscribers_disabled = self._gauge("subscribers_disabled", "Subscribers that are sent nothing any more.")
        self.blocked = self._gauge("installations_blocked", "Installations that GitHub asked to wait.")
        self.log_bytes = self._counter("log_bytes_total", "Bytes of job logs stored.")

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"buildhook_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"buildhook_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"buildhook_{name}", text, buckets=buckets, registry=self.registry)
