"""The reading end of a job's stream: bytes in, the contract's events out."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

from bot import errors
from bot.engines import contract
from bot.engines.local import results
from bot.engines.local.supervisor import collect, frames
from bot.model import job

#: How much is read at once: a few frames of the largest size.
READ_BYTES = 4 * frames.MAX_PAYLOAD_BYTES + 4 * frames.HEAD_BYTES


def read(path: Path, offset: int) -> tuple[list[contract.Event], bool]:
    """The events from `offset` on, and whether there is more to read at once.

    :raises errors.NotFound: if the job was removed.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise errors.NotFound(f"The job {path.parent.name} was removed.") from error
    try:
        data = os.pread(fd, READ_BYTES, offset)
        found = events(data, at=offset, kept=path.parent / collect.KEPT)
        return found, bool(found) and len(data) == READ_BYTES
    finally:
        os.close(fd)


def events(data: bytes, *, at: int, kept: Path = Path(collect.KEPT)) -> list[contract.Event]:
    """The events in what was read from byte `at` on; a frame that is not whole yet is left for the next time.

    Output that comes in a row is one event.

    :param kept: the folder of the job's collected files.
    """
    found: list[contract.Event] = []
    parts: list[bytes] = []
    log_at = end = 0
    for frame in frames.decode(data, at=at):
        if frame.kind == frames.OUTPUT:
            log_at = log_at if parts else frame.log_at
            parts.append(frame.payload)
            end = frame.end
            continue
        if parts:
            found.append(contract.Output(offset=end, log_offset_bytes=log_at, data=b"".join(parts)))
            parts = []
        found += _event(frame, kept)
    if parts:
        found.append(contract.Output(offset=end, log_offset_bytes=log_at, data=b"".join(parts)))
    return found


def _event(frame: frames.Frame, kept: Path) -> list[contract.Event]:
    values = frames.parse(frame.payload)
    if frame.kind == frames.PREPARED:
        return [
            contract.Prepared(
                offset=frame.end,
                at=_instant(values["at"]),
                tested_sha=values["tested_sha"],
                tested_tree=values["tested_tree"],
                images={
                    name.removeprefix(frames.IMAGE_PREFIX): text
                    for name, text in values.items()
                    if name.startswith(frames.IMAGE_PREFIX)
                },
            )
        ]
    if frame.kind == frames.STEP:
        return [contract.StepChanged(offset=frame.end, step=_step(values))]
    if frame.kind == frames.RESULT:
        return [results.event(values, offset=frame.end, kept=kept)]
    if frame.kind == frames.FINISHED:
        return [
            contract.Finished(
                offset=frame.end,
                at=_instant(values["at"]),
                result=contract.Result(values["result"]),
                reason=values.get("reason"),
                exit_code=_number(values.get("exit_code")),
                outputs={
                    name.removeprefix(frames.OUTPUT_PREFIX): text
                    for name, text in values.items()
                    if name.startswith(frames.OUTPUT_PREFIX)
                },
            )
        ]
    return []


def _step(values: dict[str, str]) -> job.StepResult:
    started_at, finished_at = values.get("started_at"), values.get("finished_at")
    return job.StepResult(
        index=int(values["index"]),
        state=values["state"],
        started_at=_instant(started_at) if started_at else None,
        finished_at=_instant(finished_at) if finished_at else None,
        exit_code=_number(values.get("exit_code")),
        log_start_bytes=int(values.get("log_start", 0)),
        log_end_bytes=_number(values.get("log_end")),
    )


def _instant(text: str) -> datetime:
    return datetime.fromtimestamp(float(text), UTC)


def _number(text: str | None) -> int | None:
    return None if text is None else int(text)
