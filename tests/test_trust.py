"""Trust: only what comes from somebody who may push runs by itself; everything unknown waits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot import trust
from bot.model import build

BASE, FORK = 1001, 1002


AUTHOR, BOT = 1, 49699333


def decided(
    *,
    head: int | None = BASE,
    permission: str | None = "write",
    is_bot: bool = False,
    is_head_of_branch: bool = True,
    is_only_authors: bool = False,
    policy: trust.Policy | None = None,
) -> trust.Verdict:
    facts = trust.pull_request(
        head_repository_id=head,
        base_repository_id=BASE,
        author=trust.Author(id=BOT if is_bot else AUTHOR, is_bot=is_bot, permission=permission),
        is_head_of_branch=is_head_of_branch,
        is_only_authors=is_only_authors,
    )
    return trust.decide(facts, policy)


def test_a_push_runs_with_its_own_file() -> None:
    verdict = trust.decide(trust.push("refs/heads/main"))
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
    verdict = trust.decide(trust.Facts(event="issue_comment", author=trust.Author(id=AUTHOR, permission="admin")))
    assert (verdict.action, verdict.trust) == (trust.Action.REFUSE, build.Trust.UNTRUSTED)


def test_t36_a_push_to_a_merge_queues_branch_is_refused_and_only_its_merge_group_is_trusted() -> None:
    branch = "refs/heads/gh-readonly-queue/main/pr-1-abc"
    assert trust.decide(trust.push(branch)).action == trust.Action.REFUSE
    assert trust.decide(trust.merge_group(branch)).action == trust.Action.RUN
    assert trust.decide(trust.merge_group("refs/heads/main")).action == trust.Action.REFUSE
    assert trust.decide(trust.push("refs/heads/my/gh-readonly-queue/main")).action == trust.Action.RUN


def test_t121_a_commit_that_no_branch_of_the_repository_stands_at_waits() -> None:
    verdict = decided(permission="admin", is_head_of_branch=False)
    assert (verdict.action, verdict.trust) == (trust.Action.WAIT, build.Trust.UNTRUSTED)


@pytest.mark.parametrize(
    ("head", "named", "is_only_authors", "action"),
    [
        (BASE, {BOT}, True, trust.Action.RUN),
        (BASE, {BOT}, False, trust.Action.WAIT),
        (BASE, {BOT + 1}, True, trust.Action.WAIT),
        (BASE, set(), True, trust.Action.WAIT),
        (FORK, {BOT}, True, trust.Action.WAIT),
    ],
)
def test_t122_a_bot_runs_only_where_it_is_named_and_for_commits_of_its_own(
    head: int, named: set[int], is_only_authors: bool, action: trust.Action
) -> None:
    policy = trust.Policy(bots=frozenset(named))
    verdict = decided(head=head, permission="admin", is_bot=True, is_only_authors=is_only_authors, policy=policy)
    assert verdict.action == action


def test_the_policy_can_let_everybody_wait() -> None:
    policy = trust.Policy(approval=trust.Approval.EVERYONE)
    assert decided(permission="admin", policy=policy).action == trust.Action.WAIT
    assert trust.decide(trust.push("refs/heads/main"), policy).action == trust.Action.RUN


_facts = st.builds(
    trust.Facts,
    event=st.sampled_from(["push", "pull_request", "merge_group", "pull_request_target", "workflow_run", ""]),
    ref=st.sampled_from(["", "refs/heads/main", "refs/heads/gh-readonly-queue/main/pr-1-x", "refs/tags/v1"]),
    head_repository_id=st.sampled_from([None, 0, BASE, FORK]),
    base_repository_id=st.sampled_from([None, 0, BASE]),
    author=st.none()
    | st.builds(
        trust.Author,
        id=st.sampled_from([AUTHOR, BOT]),
        is_bot=st.booleans(),
        permission=st.none() | st.sampled_from(["admin", "maintain", "write", "triage", "read", "none"]) | st.text(),
    ),
    is_head_of_branch=st.booleans(),
    is_only_authors=st.booleans(),
)
_policies = st.builds(
    trust.Policy, approval=st.sampled_from(trust.Approval), bots=st.frozensets(st.sampled_from([AUTHOR, BOT]))
)


def _is_proved(facts: trust.Facts, policy: trust.Policy) -> bool:
    is_queue = facts.ref.startswith("refs/heads/gh-readonly-queue/")
    if facts.event in {"push", "merge_group"}:
        return is_queue == (facts.event == "merge_group")
    if facts.event != "pull_request" or facts.author is None or not facts.is_head_of_branch:
        return False
    if facts.head_repository_id is None or facts.head_repository_id != facts.base_repository_id:
        return False
    if facts.author.is_bot:
        return facts.author.id in policy.bots and facts.is_only_authors
    is_writer = facts.author.permission in {"admin", "maintain", "write"}
    return is_writer and policy.approval == trust.Approval.OUTSIDERS


@given(_facts, _policies)
def test_t21_t25_t26_only_proved_facts_make_code_trusted(facts: trust.Facts, policy: trust.Policy) -> None:
    verdict = trust.decide(facts, policy)
    is_proved = _is_proved(facts, policy)
    assert (verdict.trust == build.Trust.TRUSTED) == is_proved
    assert (verdict.action == trust.Action.RUN) == is_proved
    assert (verdict.file_from == trust.FileFrom.HEAD) == is_proved
    assert verdict.has_secrets == is_proved
    assert (verdict.network == trust.Network.SETTING) == is_proved
    assert verdict.reason.endswith(".")


@pytest.mark.parametrize(("permission", "may"), [("write", True), ("admin", True), ("read", False), (None, False)])
def test_who_may_write(permission: str | None, may: bool) -> None:
    assert trust.may_write(permission) is may
