"""All metrics of one process, by the rules of Prometheus: one unit each, base units, and labels that stay few.

https://prometheus.io/docs/practices/naming/

Nothing of a payload, a repository or a person is a label. What becomes a label's value is a word of `LABELS`; where the
operator chooses the words (engines), or GitHub does (events), there are so many and no more, and the rest is `other`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Generic, TypeVar

import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

PREFIX = "buildhook_"
#: How many values one label of one metric can have.
MAX_VALUES = 100
OTHER = "other"
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,62}", re.ASCII)
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_LONG_SECONDS = (0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 4 * 3600)
M = TypeVar("M", Counter, Gauge, Histogram)

_REDACTIONS = "Credentials taken out of our own log lines and texts."
#: Texts are cleaned where there are no metrics at hand: one count of the process, which each registry shows.
REDACTIONS = Counter(f"{PREFIX}redactions_total", _REDACTIONS, registry=None)

#: The labels, and what their values are.
LABELS: Mapping[str, str] = {
    "class": "`read` or `write`, as GitHub counts them",
    "component": "`controller` (deliveries, checks), `scheduler` or `agent` (engines)",
    "decision": "`trusted`, `untrusted` or `waits` (for somebody's consent)",
    "engine": "an engine's name of the policy, or `local`",
    "event": "GitHub's name of an event that we know, `hook`, or `other`",
    "kind": "what broke, a word of ours",
    "method": "the method of HTTP",
    "op": "`read` or `write`",
    "outcome": "what became of it, a word of ours",
    "reason": "why it was refused, a word of ours",
    "result": "the state that a job ended in",
    "secret": "`current` or `previous`",
    "state": "where it stands, a word of ours",
    "status_class": "`2xx` to `5xx`, or `none` where no answer came",
    "version": "the version that runs",
    "what": "what was made up for, a word of ours",
}


#: What can break by our fault, and where.
SYSTEM_ERRORS = (
    ("agent", "engine_refused"),
    ("agent", "following"),
    ("agent", "job_errored"),
    ("controller", "check_not_written"),
    ("controller", "delivery_parked"),
    ("scheduler", "scheduling"),
)


class Few(Generic[M]):
    """A metric with labels, of which each has few values whatever it is given."""

    def __init__(self, metric: M) -> None:
        self._metric: M = metric
        self._known: dict[tuple[str, ...], M] = {}
        self._values: list[set[str]] = [set() for _ in metric._labelnames]

    def labels(self, *values: str, **named: str) -> M:
        """The one with these values, in the order of the labels or by name."""
        given = values or tuple(named[name] for name in self._metric._labelnames)
        found = self._known.get(given)
        if found is None:
            found = self._metric.labels(*(self._word(place, value) for place, value in enumerate(given)))
            if len(self._known) < MAX_VALUES**2:
                self._known[given] = found
        return found

    def _word(self, place: int, value: str) -> str:
        known = self._values[place]
        if value not in known and (len(known) >= MAX_VALUES or not _WORD.fullmatch(value)):
            return OTHER
        known.add(value)
        return value


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What the page of the metrics says of one."""

    name: str
    kind: str
    labels: tuple[str, ...]
    text: str


class Metrics:
    """All metrics of one process. Labels come from closed sets only, never from a payload."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.about: list[About] = []
        self.build_info = self._gauges("build_info", "The version that runs.", "version")
        # The door.
        self.deliveries = self._counters("webhook_deliveries_total", "Requests at the door.", "event", "outcome")
        self.rejected = self._counters("webhook_rejected_total", "Requests that the door refused.", "reason")
        self.conflicts = self._counter("webhook_conflicts_total", "Known delivery ids that came with another body.")
        self.secret_used = self._counters("webhook_secret_used_total", "Proved signatures, by secret.", "secret")
        self.answer_seconds = self._histogram("webhook_ack_duration_seconds", "Request to answer.", _SECONDS)
        self.recovered = self._counters(
            "webhook_recovered_total", "Deliveries that GitHub could not deliver.", "outcome"
        )
        self.missed = self._gauge("webhook_missed", "Deliveries known to be missing in the inbox.")
        self.reconciled = self._counters("state_reconciled_total", "What GitHub's state had and we had not.", "what")
        # The inbox.
        self.inbox_depth = self._gauge("inbox_depth", "Deliveries still to be handled.")
        self.inbox_bytes = self._gauge("inbox_bytes", "Bytes of the deliveries still to be handled.")
        self.inbox_oldest = self._gauge("inbox_oldest_age_seconds", "Age of the oldest delivery still to be handled.")
        self.parked = self._gauge("deliveries_parked", "Deliveries that failed for good and wait for a replay.")
        self.handled = self._counters("deliveries_finished_total", "Deliveries by how they ended.", "event", "state")
        self.handle_seconds = self._histogram("dispatch_duration_seconds", "Claim to written outcome.", _SECONDS)
        self.decisions = self._counters("trust_decisions_total", "Builds made, by whose code they run.", "decision")
        # Builds.
        self.builds = self._counters("builds_total", "Jobs by how they ended.", "engine", "result")
        self.job_seconds = self._histogram("build_duration_seconds", "Start to end of a job.", _LONG_SECONDS)
        self.queue_seconds = self._histogram("build_queue_duration_seconds", "Queued to started.", _LONG_SECONDS)
        self.jobs_active = self._gauges("builds_active", "Unfinished jobs.", "state")
        self.builds_unfinished = self._gauges(
            "builds_unfinished", "Builds that have not ended, all replicas' together.", "state"
        )
        self.workers = self._gauges("workers", "Places for jobs of this process.", "state")
        self.engine_up = self._gauges("engine_up", "Whether an engine took the last job that it was given.", "engine")
        self.log_bytes = self._counter("log_bytes_total", "Bytes of job logs stored.")
        # GitHub.
        self.checks_stale = self._gauge("outbox_depth", "Checks that GitHub does not show as they should be.")
        self.oldest_stale = self._gauge("outbox_oldest_seconds", "Age of the oldest change that GitHub does not show.")
        self.check_attempts = self._counters("outbox_attempts_total", "Attempts to send a check.", "outcome")
        self.github_requests = self._counters("github_requests_total", "Calls to GitHub.", "method", "status_class")
        self.github_points = self._counters("github_points_total", "Points of GitHub's limits spent.", "class")
        self.limit_remaining = self._gauge(
            "github_rate_limit_remaining_ratio", "What is left of the smallest budget of all installations, 0 to 1."
        )
        self.blocked = self._gauge("installations_blocked", "Installations that GitHub asked to wait.")
        # Others.
        self.handler_runs = self._counters("handler_runs_total", "What users' own handlers did.", "state")
        self.handler_seconds = self._histogram("handler_run_duration_seconds", "A handler's run.", _LONG_SECONDS)
        self.notifications = self._counters("notifications_total", "Attempts to notify a subscriber.", "outcome")
        self.notifications_unsent = self._gauge("notifications_unsent", "Notifications still to be sent.")
        self.subscribers_disabled = self._gauge("subscribers_disabled", "Subscribers that are sent nothing any more.")
        self.traces = self._counters("traces_total", "Traces of builds offered to the collector.", "outcome")
        # The process.
        self.disk_free = self._gauge("disk_free_ratio", "What is free of the data folder's disk, 0 to 1.")
        self.loop_lag = self._histogram("event_loop_lag_seconds", "How late the event loop was.", _SECONDS)
        self.transaction_seconds = self._histograms(
            "db_transaction_duration_seconds", "Transactions, their wait for the database included.", _SECONDS, "op"
        )
        self.registry.register(REDACTIONS)
        self._known(REDACTIONS, "redactions_total", _REDACTIONS)
        self.system_errors = self._counters(
            "system_errors_total", "What failed by our fault, not the code's.", "component", "kind"
        )
        # There from the start: what appears with its first error shows no increase.
        for component, kind in SYSTEM_ERRORS:
            self.system_errors.labels(component, kind)

    def _counter(self, name: str, text: str) -> Counter:
        return self._known(Counter(f"{PREFIX}{name}", text, registry=self.registry), name, text)

    def _counters(self, name: str, text: str, *labels: str) -> Few[Counter]:
        made = Counter(f"{PREFIX}{name}", text, labels, registry=self.registry)
        return Few(self._known(made, name, text, labels))

    def _gauge(self, name: str, text: str) -> Gauge:
        return self._known(Gauge(f"{PREFIX}{name}", text, registry=self.registry), name, text)

    def _gauges(self, name: str, text: str, *labels: str) -> Few[Gauge]:
        return Few(self._known(Gauge(f"{PREFIX}{name}", text, labels, registry=self.registry), name, text, labels))

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        return self._known(Histogram(f"{PREFIX}{name}", text, buckets=buckets, registry=self.registry), name, text)

    def _histograms(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Few[Histogram]:
        made = Histogram(f"{PREFIX}{name}", text, labels, buckets=buckets, registry=self.registry)
        return Few(self._known(made, name, text, labels))

    def _known(self, made: M, name: str, text: str, labels: tuple[str, ...] = ()) -> M:
        self.about.append(About(name=f"{PREFIX}{name}", kind=type(made).__name__.lower(), labels=labels, text=text))
        return made
