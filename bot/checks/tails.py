"""The end of what a failing step wrote, wherever it lies."""

from __future__ import annotations

from bot.logs import LogStore, failure
from bot.model import job
from bot.store import Store, jobs


async def find(store: Store, logs: LogStore, failed: job.Job) -> str:
    """The last lines of the job's failing step, or of its log."""
    # Several replicas, or an object store: the log lies elsewhere, and its end with the job.
    kept = await store.read(jobs.find_log_tail, failed.origin_id or failed.id)
    data = kept if kept is not None else await failure.tail(logs, failed)
    return data.decode("utf-8", "replace")
