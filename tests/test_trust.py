"""Trust: only what comes from somebody who may push runs by itself; everything unknown waits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot import trust
from bot.model import build

BASE, FORK = 1001, 1002


def decided(*, head: int | None = BASE, permission: str | None = "write") -> trust.Verdict:
    return trust.decide(
        trust.pull_request(head_repository_id=head, base_repository_id=BASE, author_permission=permission)
    )


def test_a_push_runs_with_its_own_file() -> None:
    verdict = trust.decide(trust.push())
    assert (verdict.action, verdict.trust, verdict.file_from) == (
        trust.Action.RUN,
        build.Trust.TRUSTED,
        trust.FileFrom.HEAD,
    )


@pytest.mark.parametrize("permission", ["admin", "maintain", "write"])
def test_a_branch_of_the_repository_by_somebody_who_may_push_runs(permission: str) -> None:
    verdict = decided(permission=permission)
    assert (verdict.action, verdict.trust, verdict.file_from) == (
        trust.Action.RUN,
        build.Trust.TRUSTED,
        trust.FileFrom.HEAD,
    )


@pytest.mark.parametrize("permission", ["triage", "read", "none", "", "WRITE", "owner", None])
def test_t25_an_author_who_is_not_known_to_be_let_push_waits(permission: str | None) -> None:
    verdict = decided(permission=permission)
    assert (verdict.action, verdict.trust, verdict.file_from) == (
        trust.Action.WAIT,
        build.Trust.UNTRUSTED,
        trust.FileFrom.BASE,
    )


@pytest.mark.parametrize(
    ("head", "permission", "reason"),
    [
        (None, "admin", "The repository of the head is gone: somebody who may push has to approve this commit."),
        (FORK, "admin", "The head is in a fork: somebody who may push has to approve this commit."),
        (BASE, "read", "The author may not push to the repository: somebody who may push has to approve this commit."),
        (
            BASE,
            None,
            "It is not known what the author may do in the repository: somebody who may push has to approve this"
            " commit.",
        ),
    ],
)
def test_what_waits_says_why(head: int | None, permission: str | None, reason: str) -> None:
    assert decided(head=head, permission=permission).reason == reason


def test_another_event_is_refused() -> None:
    verdict = trust.decide(trust.Facts(event="issue_comment", author_permission="admin"))
    assert (verdict.action, verdict.trust) == (trust.Action.REFUSE, build.Trust.UNTRUSTED)


_facts = st.builds(
    trust.Facts,
    event=st.sampled_from(["push", "pull_request", "pull_request_target", "workflow_run", ""]),
    head_repository_id=st.sampled_from([None, 0, BASE, FORK]),
    base_repository_id=st.sampled_from([None, 0, BASE]),
    author_permission=st.none() | st.sampled_from(["admin", "maintain", "write", "triage", "read", "none"]) | st.text(),
)


@given(_facts)
def test_t25_only_proved_facts_make_code_trusted(facts: trust.Facts) -> None:
    verdict = trust.decide(facts)
    is_proved = facts.event == "push" or (
        facts.event == "pull_request"
        and facts.head_repository_id is not None
        and facts.head_repository_id == facts.base_repository_id
        and facts.author_permission in {"admin", "maintain", "write"}
    )
    assert (verdict.trust == build.Trust.TRUSTED) == is_proved
    assert (verdict.action == trust.Action.RUN) == is_proved
    assert (verdict.file_from == trust.FileFrom.HEAD) == is_proved
    assert verdict.reason.endswith(".")


@pytest.mark.parametrize(("permission", "may"), [("write", True), ("admin", True), ("read", False), (None, False)])
def test_who_may_write(permission: str | None, may: bool) -> None:
    assert trust.may_write(permission) is may
