"""The end of what a failing step wrote: what a check's summary tells of it."""

from __future__ import annotations

from bot.logs.local import LogStore
from bot.model import job

#: How much of a failing step's end is read to find its last lines.
TAIL_BYTES = 64 * 1024


async def tail(logs: LogStore, failed: job.Job) -> bytes:
    """The last whole lines of the failing step; of the whole log where no step failed."""
    step = next((one for one in failed.steps if one.state in {"failed", "timed_out"}), None)
    end = step.log_end_bytes if step is not None and step.log_end_bytes is not None else failed.log_size_bytes
    start = max(step.log_start_bytes if step is not None else 0, end - TAIL_BYTES)
    data = await logs.read(failed.origin_id or failed.id, start=start, limit=end - start)
    is_cut = step is not None and start > step.log_start_bytes
    # The end of a line that begins before would look like a line of its own.
    return data.partition(b"\n")[2] if is_cut else data
