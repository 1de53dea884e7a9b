"""The trail: every step of a decision with its facts, bounded, safe to show, and there even where handling failed."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from bot.events import trail
from bot.model import delivery
from tests.events.conftest import PIPELINE, House


def told(one: delivery.Delivery) -> str:
    """The trail as text, with a mark for each id that differs from run to run."""
    text = "\n".join(one.trail)
    text = re.sub(r"\b[0-7][0-9A-HJKMNP-TV-Z]{25}\b", "BUILD", text)
    text = re.sub(r"\b(id|installation|repository) \d+", r"\1 N", text)
    seen: dict[str, str] = {}
    return re.sub(r"\b[0-9a-f]{40}\b", lambda found: seen.setdefault(found[0], "abcdef"[len(seen)].upper()), text)


async def test_a_push_tells_who_what_which_file_which_line_and_which_rule(house: House) -> None:
    repository = await house.simulator.create_repository("octo/hello", files=PIPELINE)
    await house.simulator.push(repository, "main", {"a.txt": "a"})
    assert told(await house.deliver(house.sent("push"))) == (
        "`mona` (id N) pushed `refs/heads/main` of octo/hello (id N, installation N) from A to B.\n"
        "No build of B is known.\n"
        "GitHub: `.buildhook.yml` at commit B has 71 bytes.\n"
        "Trust: A push to the repository is trusted.\n"
        "`.buildhook.yml:1`: `on.push` takes `refs/heads/main`.\n"
        "Build BUILD starts with 1 job."
    )
    assert told(await house.deliver(house.sent("push"), guid="again")) == (
        "`mona` (id N) pushed `refs/heads/main` of octo/hello (id N, installation N) from A to B.\n"
        "The newest build of B is BUILD, queued.\n"
        "Build BUILD (push) already covers B."
    )


async def test_a_filter_is_told_with_its_line(house: House) -> None:
    text = "on:\n  push:\n    branches:\n      - main\njobs: {t: {steps: [{run: a}]}}\n"
    repository = await house.simulator.create_repository("octo/hello", files={".buildhook.yml": text})
    await house.simulator.push(repository, "topic", {"a.txt": "a"})
    done = await house.deliver(house.sent("push"))
    assert "`.buildhook.yml:3`: `on.push.branches` does not match `topic`." in done.trail
    (made,) = await house.builds()
    assert done.trail[-1] == done.reason == f"Build {made.id}: `on.push.branches` does not match `topic`."


async def test_a_pull_request_tells_the_permission_and_the_rule_of_trust(house: House) -> None:
    repository = await house.simulator.create_repository("octo/hello", files=PIPELINE)
    await house.simulator.commit(repository, "topic", {"a.txt": "a"})
    await house.simulator.open_pull_request(repository, "topic", author="mona")
    assert told(await house.deliver(house.sent("pull_request", "opened"))) == (
        "`mona` (id N): pull request #1 of octo/hello (id N, installation N) by `mona` (id N) was opened; its head is A"
        " in repository N, its base `main` at B.\n"
        "No build of A is known.\n"
        "GitHub: branch `topic` stands at A.\n"
        "GitHub: `mona` (id N) has the permission `admin` in repository N.\n"
        "Trust: The author may push to the repository, and the head is a branch of it.\n"
        "GitHub: `.buildhook.yml` at commit A has 71 bytes.\n"
        "`.buildhook.yml:1`: `on.pull_request` takes what is merged into `main`.\n"
        "Build BUILD starts with 1 job."
    )


async def test_a_delivery_that_failed_tells_how_far_it_came(house: House) -> None:
    repository = await house.simulator.create_repository("octo/hello", files=PIPELINE)
    await house.simulator.push(repository, "main", {"a.txt": "a"})
    house.simulator.faults.add(path="/contents/", status=503, times=None)
    failed = await house.deliver(house.sent("push"))
    assert failed.state == delivery.State.RETRYING
    assert failed.error
    assert [one.partition(" (id")[0] for one in failed.trail][:1] == ["`mona`"]
    assert failed.trail[-1].startswith("No build of ")


def test_steps_are_bounded_and_none_is_repeated() -> None:
    one = trail.Trail()
    for number in range(100):
        one.note(f"Step {number}.")
        one.note(f"Step {number}.")
    assert len(one.steps) == trail.MAX_STEPS
    assert one.steps[:2] == ("Step 0.", "Step 1.")
    assert one.steps[-1] == "Further steps are left out."


@given(text=st.text(max_size=2000))
def test_whatever_a_step_says_it_is_one_short_line_without_control_characters(text: str) -> None:
    step = trail.clean(text)
    assert len(step.encode()) <= trail.MAX_STEP_BYTES
    assert not re.search("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]", step)
    if step == text:
        assert trail.clean(step) == step


def test_a_secret_in_a_step_is_taken_out() -> None:
    assert trail.clean("Branch `ghp_" + "a" * 36 + "`.") == "Branch `[secret]`."


def test_what_came_of_it_stands_last_and_once() -> None:
    assert trail.joined(["a", "b"], ["b", "c"]) == ("a", "b", "c")
