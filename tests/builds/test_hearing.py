"""What an engine tells is believed only where it can be true; a lie that can be seen never becomes a green check."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bot import errors
from bot.builds import hearing
from bot.engines import contract, scripted
from bot.model import job
from tests import factories
from tests.builds.conftest import Yard

PASSED, FAILED = contract.Result.PASSED, contract.Result.FAILED


def known(**changes: Any) -> job.Job:
    """A job of one step that runs, of whose log 100 bytes are there."""
    one = replace(factories.make_job(), tested_sha="a" * 40, tested_tree="b" * 40, log_size_bytes=100, engine_offset=7)
    return replace(one, **changes)


def told(event: contract.Event, **changes: Any) -> contract.Event:
    """The event as the engine tells it next, with what it should not say."""
    change: Any = dataclasses.replace if isinstance(event, contract.ResultFile) else replace
    made: contract.Event = change(event, offset=8, **changes)
    return made


def output(data: bytes = b"x", *, at: object = 100) -> contract.Event:
    return told(scripted.output(data), log_offset_bytes=at)


def step(state: str = "passed", *, index: Any = 0, **changes: Any) -> contract.Event:
    made = scripted.step(0, state, exit_code=changes.pop("exit_code", 0))
    return told(made, step=replace(made.step, index=index, **changes))


def file(**changes: Any) -> contract.Event:
    return told(scripted.result_file("junit", "a.xml", b"x"), **changes)


def finished(result: Any = PASSED, **changes: Any) -> contract.Event:
    return told(scripted.finished(FAILED), result=result, **changes)


LIES: dict[str, contract.Event] = {
    "an event that lies behind it": replace(scripted.output(b"x"), offset=7),
    "output that is no bytes": output("<html>"),  # type: ignore[arg-type]
    "more than 16 MiB of output at once": output(bytes(hearing.MAX_OUTPUT_BYTES + 1)),
    "output with a gap before it": output(at=101),
    "a commit without its hash": told(scripted.prepared(sha="main")),
    "a step that the job does not have": step(index=1),
    "a step in a state that there is not": step("well"),
    "an exit status that is none": step(exit_code=2**40),
    "a step whose output is not there": step(log_end_bytes=101),
    "a result file of no kind": file(kind="<script>"),
    "a result file with no possible path": file(path="a" * 5000),
    "a result file of no size": file(size_bytes=-1),
    "a result file without its hash": file(sha256="none"),
    "an end that there is not": finished("success"),
    "outputs that are no text, or more than 2 MiB of them": finished(outputs={"a": "x" * (3 << 20)}),
    "that it passed with the exit status 1": finished(exit_code=1),
}


@pytest.mark.parametrize("lie", LIES)
def test_t68_what_cannot_be_true_is_not_believed(lie: str) -> None:
    with pytest.raises(errors.EngineBroken) as found:
        hearing.heard(LIES[lie], of=known())
    assert str(found.value) == lie


@pytest.mark.parametrize(
    "lie",
    [
        told(scripted.output(b"x"), log_offset_bytes=-1),
        told(scripted.output(b"x"), log_offset_bytes="0"),
        told(scripted.prepared(), tested_tree=None),
        step(index=-1),
        step(index="0"),
        step(log_start_bytes=5, log_end_bytes=4),
        file(path="a\0b"),
        file(path=b"a"),
        finished(exit_code="0"),
        finished(outputs={"a": 1}),
        finished(outputs=None),
    ],
    ids=lambda event: type(event).__name__,
)
def test_t68_what_has_no_possible_shape_is_not_believed(lie: contract.Event) -> None:
    with pytest.raises(errors.EngineBroken):
        hearing.heard(lie, of=known())


def test_t68_no_engine_fills_the_disk() -> None:
    full = known(log_size_bytes=hearing.MAX_LOG_BYTES)
    with pytest.raises(errors.EngineBroken, match="more than 256 MiB of output"):
        hearing.heard(output(b"x", at=hearing.MAX_LOG_BYTES), of=full)
    assert hearing.heard(output(b"x", at=hearing.MAX_LOG_BYTES - 1), of=full) is not None
    with pytest.raises(errors.EngineBroken, match="result files"):
        hearing.heard(file(), of=known(), files=hearing.MAX_FILES)


def test_t68_words_for_people_are_cut_and_hold_nothing_that_no_page_can_show() -> None:
    heard = hearing.heard(finished(FAILED, reason="a\0b" + "<script>" * 1000), of=known())
    assert isinstance(heard, contract.Finished)
    assert heard.reason is not None
    assert heard.reason.startswith("a�b<script>")
    assert len(heard.reason) == 2000


def test_f66_a_job_passes_only_with_what_was_tested_and_with_steps_that_ended_well() -> None:
    ended = job.StepResult(index=0, state="passed")
    assert hearing.heard(finished(), of=known(steps=(ended,))) is not None
    assert hearing.heard(finished(), of=known(steps=(replace(ended, state="ignored"),))) is not None
    with pytest.raises(errors.EngineBroken, match="not what was tested"):
        hearing.heard(finished(), of=known(tested_sha=None))
    for state in ("running", "failed", "timed_out", "cancelled"):
        with pytest.raises(errors.EngineBroken, match="step 1 did not"):
            hearing.heard(finished(), of=known(steps=(replace(ended, state=state),)))
        assert hearing.heard(finished(FAILED), of=known(steps=(replace(ended, state=state),))) is not None


@given(data=st.binary(max_size=50), begin=st.integers(-5, 120), size=st.integers(0, 110), offset=st.integers(-3, 20))
def test_output_is_taken_exactly_where_it_joins_on(data: bytes, begin: int, size: int, offset: int) -> None:
    one = known(log_size_bytes=size, engine_offset=5)
    event = replace(scripted.output(data), offset=offset, log_offset_bytes=begin)
    try:
        heard = hearing.heard(event, of=one)
    except errors.EngineBroken:
        assert begin < 0 or begin > size or offset <= 5
    else:
        assert heard == event
        assert 0 <= begin <= size


async def test_t68_a_job_of_an_engine_that_lies_is_errored_and_the_others_go_on(yard: Yard) -> None:
    new = factories.make_new_build(
        None, factories.make_job(), factories.make_job(plan=factories.make_plan(key="b", name="b"))
    )
    await yard.create(new)
    lied, other = new.jobs
    yard.engine.tell(lied.id, scripted.output(b"said "), scripted.finished(PASSED))
    yard.engine.tell(other.id, scripted.prepared(), scripted.finished(PASSED))
    async with yard.running():
        ended = await yard.until_job(lied.id, job.State.ERRORED)
        await yard.until_job(other.id, job.State.PASSED)
        await yard.until(lambda: bool(yard.engine.cancelled))
    assert ended.reason == (
        "The engine `local` cannot be believed: it told that it passed, and not what was tested. "
        "Whoever runs it has to mend it."
    )
    assert await yard.logs.read(lied.id) == b"said "
    assert yard.engine.cancelled == [(lied.id, "What was told of it cannot be true.")]
