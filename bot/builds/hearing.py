"""What an engine tells of a job is believed only where it can be true: pure.

An engine may be a package of somebody else's, and what stands behind it a service that is broken or taken over. A lie
that cannot be seen is its operator's to bear; one that can never makes a check green, fills a disk or breaks a page.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping

from msgspec.structs import replace

from bot import errors
from bot.engines import contract
from bot.model import job

#: Of a job's log; the local engine keeps a quarter of it.
MAX_LOG_BYTES = 256 << 20
#: Of one event, which is held in memory.
MAX_OUTPUT_BYTES = 16 << 20
#: Of all outputs of a job together, names and values.
MAX_OUTPUTS_BYTES = 2 << 20
#: More than any engine collects; what comes behind them would only be noted as left out.
MAX_FILES = 10_000
_MAX_REASON = 2_000
#: What GitHub shows of a number, and what fits into a column of one.
_MAX_EXIT = 2**31 - 1
_SHA = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}", re.ASCII)
_HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)
_PATH = re.compile(r"[^\0]{0,4096}", re.DOTALL)
_KIND = re.compile(r"[a-z][a-z0-9_]{0,30}", re.ASCII)
_STATES = frozenset({"running", "passed", "failed", "ignored", "skipped", "cancelled", "timed_out"})
#: States of a step that no job can pass with.
_UNWELL = frozenset({"running", "failed", "cancelled", "timed_out"})


def heard(event: contract.Event, *, of: job.Job, files: int = 0) -> contract.Event:
    """The event as it can be kept.

    :param of: the job as it is known before it.
    :param files: how many result files were told of before it.
    :raises errors.EngineBroken: if it cannot be true; the text says what was told.
    """
    _expect(_is_number(event.offset, least=of.engine_offset + 1), "an event that lies behind it")
    match event:
        case contract.Output():
            return _output(event, of)
        case contract.Prepared():
            is_named = _is_like(event.tested_sha, _SHA) and _is_like(event.tested_tree, _SHA)
            _expect(is_named, "a commit without its hash")
            return event
        case contract.StepChanged():
            return _step(event, of)
        case contract.ResultFile():
            return _file(event, files)
        case contract.Finished():
            return _finished(event, of)


def _expect(is_so: bool, what: str) -> None:
    if not is_so:
        raise errors.EngineBroken(what)


def _output(event: contract.Output, of: job.Job) -> contract.Output:
    _expect(_is_bytes(event.data), "output that is no bytes")
    _expect(len(event.data) <= MAX_OUTPUT_BYTES, f"more than {MAX_OUTPUT_BYTES >> 20} MiB of output at once")
    _expect(_is_number(event.log_offset_bytes, most=of.log_size_bytes), "output with a gap before it")
    _expect(event.log_offset_bytes + len(event.data) <= MAX_LOG_BYTES, f"more than {MAX_LOG_BYTES >> 20} MiB of output")
    return event


def _step(event: contract.StepChanged, of: job.Job) -> contract.StepChanged:
    step = event.step
    _expect(_is_number(step.index, most=len(of.plan.steps) - 1), "a step that the job does not have")
    _expect(step.state in _STATES, "a step in a state that there is not")
    _expect(_is_status(step.exit_code), "an exit status that is none")
    end = of.log_size_bytes if step.log_end_bytes is None else step.log_end_bytes
    is_there = _is_number(end, most=of.log_size_bytes) and _is_number(step.log_start_bytes, most=end)
    _expect(is_there, "a step whose output is not there")
    return event


def _file(event: contract.ResultFile, files: int) -> contract.ResultFile:
    _expect(files < MAX_FILES, f"more than {MAX_FILES} result files")
    _expect(_is_like(event.kind, _KIND), "a result file of no kind")
    _expect(_is_like(event.path, _PATH), "a result file with no possible path")
    if event.problem is not None:
        return dataclasses.replace(event, problem=_text(event.problem), read=None, copy=None)
    _expect(_is_number(event.size_bytes), "a result file of no size")
    _expect(_is_like(event.sha256, _HASH), "a result file without its hash")
    return event


def _finished(event: contract.Finished, of: job.Job) -> contract.Finished:
    _expect(_is_result(event.result), "an end that there is not")
    _expect(_is_status(event.exit_code), "an exit status that is none")
    _expect(_is_outputs(event.outputs), f"outputs that are no text, or more than {MAX_OUTPUTS_BYTES >> 20} MiB of them")
    if event.result == contract.Result.PASSED:
        # A green check stands for a commit that was tested and for commands that ended well; both were told before.
        _expect(of.tested_sha is not None, "that it passed, and not what was tested")
        _expect(event.exit_code in (None, 0), f"that it passed with the exit status {event.exit_code}")
        unwell = next((one for one in of.steps if one.state in _UNWELL), None)
        _expect(unwell is None, f"that it passed, and that step {unwell.index + 1 if unwell else 0} did not")
    return replace(event, reason=None if event.reason is None else _text(event.reason))


# What follows asks for types that the contract promises: whoever broke the rest may have broken that as well.


def _is_number(value: object, *, least: int = 0, most: int | None = None) -> bool:
    return isinstance(value, int) and least <= value and (most is None or value <= most)


def _is_like(value: object, pattern: re.Pattern[str]) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _is_bytes(value: object) -> bool:
    return isinstance(value, bytes)


def _is_result(value: object) -> bool:
    return isinstance(value, contract.Result)


def _is_status(value: object) -> bool:
    return value is None or _is_number(value, least=-_MAX_EXIT, most=_MAX_EXIT)


def _is_outputs(value: object) -> bool:
    if not isinstance(value, Mapping) or not all(isinstance(one, str) for pair in value.items() for one in pair):
        return False
    return sum(len(name) + len(text) for name, text in value.items()) <= MAX_OUTPUTS_BYTES


def _text(value: object) -> str:
    text = str(value).replace("\0", "�")
    return text if len(text) <= _MAX_REASON else f"{text[: _MAX_REASON - 1]}…"
