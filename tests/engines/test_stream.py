"""The stream's bytes: whatever is cut off or changed, what is read is true, and the log keeps its limit."""

from __future__ import annotations

import itertools
import os
import random
import tempfile
from base64 import b64encode
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.engines import contract
from bot.engines.local import stream
from bot.engines.local.supervisor import frames, mask, output

OUTPUTS = st.lists(st.binary(min_size=1, max_size=200), max_size=30)


def _written(steps: list[list[bytes]], *, limit: int) -> bytes:
    with tempfile.TemporaryFile() as file:
        writing = output.Stream(file.fileno(), log_limit_bytes=limit)
        writing.event(frames.LAUNCHED, {"pid": 1})
        for parts in steps:
            for part in parts:
                writing.write(part)
            writing.end_step()
        writing.event(frames.FINISHED, {"at": 1.5, "result": "failed", "reason": "exit status 1", "exit_code": 1})
        file.seek(0)
        return file.read()


def _log(events: list[contract.Event]) -> bytes:
    return b"".join(event.data for event in events if isinstance(event, contract.Output))


@given(OUTPUTS)
def test_what_is_written_is_read(parts: list[bytes]) -> None:
    events = stream.events(_written([parts], limit=1 << 20), at=0)
    assert _log(events) == b"".join(parts)
    assert events[-1] == contract.Finished(
        offset=events[-1].offset,
        at=datetime.fromtimestamp(1.5, UTC),
        result=contract.Result.FAILED,
        reason="exit status 1",
        exit_code=1,
    )


@given(OUTPUTS, st.data())
def test_f5_a_stream_cut_anywhere_gives_a_beginning_and_goes_on_from_there(
    parts: list[bytes], data: st.DataObject
) -> None:
    whole = _written([parts], limit=1 << 20)
    cut = data.draw(st.integers(0, len(whole)))
    first = stream.events(whole[:cut], at=0)
    offset = first[-1].offset if first else 0
    second = stream.events(whole[offset:], at=offset)
    assert _log(first) + _log(second) == b"".join(parts)
    assert second == [] or isinstance(second[-1], contract.Finished)
    log_at = len(_log(first))
    for event in second:
        if isinstance(event, contract.Output):
            assert event.log_offset_bytes == log_at
            log_at += len(event.data)


@given(OUTPUTS, st.data())
def test_f20_a_changed_bit_is_never_read_as_something_else(parts: list[bytes], data: st.DataObject) -> None:
    whole = bytearray(_written([parts], limit=1 << 20))
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= 1 << data.draw(st.integers(0, 7))
    events = stream.events(bytes(whole), at=0)
    assert b"".join(parts).startswith(_log(events))
    assert not any(isinstance(event, contract.Finished) for event in events)


@given(st.dictionaries(st.text(st.characters(categories=["Ll"]), min_size=1), st.text() | st.integers() | st.none()))
def test_values_come_back_as_words(values: dict[str, object]) -> None:
    given_values = {name: str(value).replace("\0", "") for name, value in values.items() if value is not None}
    expected = {name: value.encode("utf-8", "replace").decode() for name, value in given_values.items()}
    assert frames.parse(frames.fields(values)) == (expected if expected else {})


@given(st.lists(st.lists(st.integers(1, 30_000), max_size=12), min_size=1, max_size=8), st.integers(4_000, 60_000))
def test_f61_a_log_never_passes_its_limit_and_counts_what_it_drops(sizes: list[list[int]], limit: int) -> None:
    steps = [[bytes([65 + number]) * size for size in step] for number, step in enumerate(sizes)]
    log = _log(stream.events(_written(steps, limit=limit), at=0))
    assert len(log) <= limit
    for parts in steps:
        whole = b"".join(parts)
        if len(b"".join(b"".join(step) for step in steps)) <= limit * 3 // 4:
            assert whole in log
    if len(steps) == 1 and len(b"".join(steps[0])) > limit:
        kept, _, rest = log.partition(b"\n[buildhook dropped ")
        dropped, _, tail = rest.partition(b" bytes here")
        tail = tail.partition(b"bytes]\n")[2]
        if dropped:
            assert len(kept) + int(dropped) + len(tail) == sum(sizes[0])


@pytest.mark.parametrize("seed", range(6))
def test_f61_t71_the_end_of_a_flood_shows_no_secret_however_it_was_cut(seed: int) -> None:
    chance = random.Random(seed)
    secret = b"correct-horse-battery-staple"
    words = [secret, b64encode(secret), b"ghp_" + b"a1" * 18, b"line\n", b"gh", b"AK", b"-----BEGIN "]
    text = b"".join(chance.choices(words, weights=[3, 2, 1, 9, 1, 1, 1], k=20_000))
    patterns = mask.Patterns([secret])
    cuts = [0, *sorted(chance.sample(range(len(text)), 30)), len(text)]
    with tempfile.TemporaryFile() as file:
        writing = output.Stream(file.fileno(), log_limit_bytes=60_000, masked=mask.Mask(patterns))
        for start, end in itertools.pairwise(cuts):
            writing.write(text[start:end])
        writing.end_step()
        writing.write(b"next step: " + secret)
        writing.end_step()
        file.seek(0)
        log = _log(stream.events(file.read(), at=0))
    whole = mask.Mask(patterns).once_bytes(text)
    head, _, rest = log.partition(b"\n[buildhook dropped ")
    tail = rest.partition(b"bytes]\n")[2].removesuffix(b"next step: ***")
    assert whole.startswith(head)
    assert whole.endswith(tail)
    assert len(tail) > 1_000
    assert len(log) <= 60_000
    assert log.endswith(b"next step: ***")
    assert secret[4:-4] not in log


def test_f72_what_does_not_fit_on_the_disk_is_dropped_and_the_end_still_written() -> None:
    with tempfile.TemporaryDirectory() as folder:
        here = os.getcwd()
        os.chdir(folder)
        try:
            with open(output.BALLAST, "wb") as ballast, open("stream", "wb+") as file:
                ballast.write(bytes(output.BALLAST_BYTES))
                ballast.flush()
                writing = _Full(file.fileno(), log_limit_bytes=1 << 20)
                writing.write(b"fits\n")
                writing.is_full = True
                writing.write(b"does not fit\n")
                writing.end_step()
                writing.event(frames.FINISHED, {"at": 1, "result": "passed"})
                file.seek(0)
                events = stream.events(file.read(), at=0)
        finally:
            os.chdir(here)
    assert _log(events) == b"fits\n"
    assert isinstance(events[-1], contract.Finished)


class _Full(output.Stream):
    """A stream on a disk that is full until the ballast is thrown out."""

    is_full = False

    def _append(self, kind: int, payload: bytes) -> None:
        if self.is_full and os.path.exists(output.BALLAST):
            raise OSError(28, "No space left on device")
        super()._append(kind, payload)
