"""What a branch requires of those who merge into it, and whether a pull request may be merged.

See https://docs.github.com/en/repositories/configuring-branches-and-merges-in-your-repository/managing-protected-branches/about-protected-branches.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bot.simulator import checking, values

#: Conclusions that satisfy a requirement, see https://docs.github.com/en/pull-requests/collaborating-with-pull-requests/collaborating-on-repositories-with-code-quality-features/troubleshooting-required-status-checks.
PASSING = ("success", "neutral", "skipped")

#: The same for commit statuses, of which `pending` is the only one that is not over.
_STATUS_STATES = {"success": "passed", "pending": "pending", "failure": "failing", "error": "failing"}


_WORST_FIRST = ("failing", "missing", "pending", "passed")


def _named(checks: Iterable[str] | Mapping[str, int | None]) -> dict[str, int | None]:
    names = [checks] if isinstance(checks, str) else checks
    return dict(names) if isinstance(names, Mapping) else dict.fromkeys(names)


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeState:
    """Whether a pull request may be merged, and why not."""

    #: GitHub's `mergeable_state`: `clean`, `blocked` by required checks, `dirty` (conflicts), `draft` or `unknown`.
    state: str
    #: Every required check: `passed`, `missing`, `pending` or `failing`.
    checks: Mapping[str, str]

    @property
    def may_merge(self) -> bool:
        return self.state == "clean"

    @property
    def reasons(self) -> Sequence[str]:
        """What is in the way, in words."""
        words = {"dirty": "it has conflicts", "draft": "it is a draft", "unknown": "it is not open"}
        checks = [f"the check {name!r} is {state}" for name, state in self.checks.items() if state != "passed"]
        return [*([words[self.state]] if self.state in words else []), *checks]


class Protecting(checking.Checking):
    """Required checks, on top of checks."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._required: dict[tuple[int, str], dict[str, int | None]] = {}
        self._ruled: dict[tuple[int, str], dict[str, int | None]] = {}

    def required_checks(
        self, repo: values.Repository | str, branch: str, checks: Iterable[str] | Mapping[str, int | None]
    ) -> None:
        """Requires checks of these names of whatever is merged into a branch; an empty list takes that back.

        :param checks: names, or names with the id of the App whose checks alone count (None for any App's)
        """
        self._required[self.repository(repo).id, branch] = _named(checks)
        self.changes.ring()

    def ruleset(
        self, repo: values.Repository | str, branch: str, checks: Iterable[str] | Mapping[str, int | None]
    ) -> None:
        """The same by a ruleset, which stands beside the branch's own protection: both have to be satisfied.

        https://docs.github.com/en/repositories/configuring-branches-and-merges-in-your-repository/managing-rulesets/about-rulesets
        """
        self._ruled[self.repository(repo).id, branch] = _named(checks)
        self.changes.ring()

    def required_on(self, repository: values.Repository, branch: str) -> Mapping[str, int | None]:
        """The names that a branch requires, each with the id of the App that it is pinned to."""
        return self._required.get((repository.id, branch), {})

    def ruled_on(self, repository: values.Repository, branch: str) -> Mapping[str, int | None]:
        """The same of the branch's ruleset."""
        return self._ruled.get((repository.id, branch), {})

    def check_states(self, repository: values.Repository, branch: str, *shas: str | None) -> dict[str, str]:
        """How each check that a branch requires stands, at the first of these commits that has it.

        `passed`, `missing`, `pending` or `failing`.
        """
        found: dict[str, str] = {}
        for required in (self.required_on(repository, branch), self.ruled_on(repository, branch)):
            for name, app_id in required.items():
                at = (self._state(repository, sha, name, app_id) for sha in shas if sha is not None)
                state = next((one for one in at if one is not None), "missing")
                # Where both name it, the one that is less well counts.
                found[name] = min(state, found.get(name, "passed"), key=_WORST_FIRST.index)
        return found

    def _state(self, repository: values.Repository, sha: str, name: str, app_id: int | None) -> str | None:
        """How the newest check run and the newest status of this name stand: both have to pass where there are both."""
        states = set()
        runs = [run for run in self.check_runs(repository, sha) if run.name == name and app_id in (None, run.app.id)]
        if runs:
            run = runs[-1]
            is_passed = run.conclusion in PASSING
            states.add("pending" if run.status != "completed" else "passed" if is_passed else "failing")
        statuses = [
            status
            for status in self.statuses
            if status.repository is repository
            and (status.sha, status.context) == (sha, name)
            and (app_id is None or (app_id == self.app.id and status.creator is self.app.bot))
        ]
        if statuses:
            states.add(_STATUS_STATES[statuses[-1].state])
        return next((state for state in ("failing", "pending", "passed") if state in states), None)

    def merge_state(self, pull: values.PullRequest) -> MergeState:
        """Whether a pull request may be merged, and why not.

        A check of the test merge, where there is one, counts in place of that of the head.
        """
        return MergeState(state=self.mergeable_state(pull), checks=self._checks_of(pull))

    def mergeable_state(self, pull: values.PullRequest) -> str:
        state = super().mergeable_state(pull)
        is_blocked = state == "clean" and any(one != "passed" for one in self._checks_of(pull).values())
        return "blocked" if is_blocked else state

    def _checks_of(self, pull: values.PullRequest) -> dict[str, str]:
        return self.check_states(pull.repository, pull.base_branch, pull.merge_commit_sha, pull.head_sha)
