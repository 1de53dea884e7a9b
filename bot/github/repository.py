"""A repository on GitHub, as our token for exactly this repository id sees it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from bot import errors
from bot.github import (
    checks,
    comments,
    commits,
    compare,
    contents,
    graphql,
    permissions,
    protection,
    pulls,
    refs,
    repositories,
)
from bot.github.calls import Calls
from bot.model import change, check


class Repository:
    """What can be asked of one repository, and written to it. Made by `GitHub.repository`; making one costs no call.

    Every method raises a subclass of `errors.GitHubError` when GitHub does not do it: `NotReachable`, `Suspended` or
    `Forbidden` where the installation does not give us the repository, `RateLimited` where we have to wait,
    `GitHubUnavailable` where it may go well later.
    """

    def __init__(self, calls: Calls, *, files: contents.FileCache, app_id: int) -> None:
        self._calls = calls
        #: Where it was found by its name; None where that was not asked for.
        self.default_branch: str | None = None
        self._files = files
        self._app_id = app_id

    def __repr__(self) -> str:
        return f"Repository({self.full_name!r}, id={self.id})"

    @property
    def id(self) -> int:
        """The repository's id."""
        return self._calls.repository_id

    @property
    def installation_id(self) -> int:
        """The installation that gives it to us."""
        return self._calls.installation_id

    @property
    def full_name(self) -> str:
        """`owner/name` as it was given: a label."""
        return self._calls.full_name

    async def get_name(self) -> str:
        """`owner/name` by its id; costs a call only where there is no token for it yet."""
        return await self._calls.get_name()

    def forget(self) -> None:
        """Ask anew for its name, and whether it is ours at all, at the next call: something happened to it."""
        self._calls.forget()

    async def get_raw(self) -> bytes:
        """See `repositories.get_raw`: the repository as an object of JSON."""
        return await repositories.get_raw(self._calls)

    async def get_branch(self, name: str) -> refs.Branch | None:
        """See `refs.get_branch`: where it stands, and the message of that commit."""
        return await refs.get_branch(self._calls, name)

    async def get_branch_head(self, name: str) -> str | None:
        """See `refs.get_branch_head`: a commit, or None if there is no such branch."""
        return await refs.get_branch_head(self._calls, name)

    async def list_required(self, branch: str) -> tuple[protection.Required, ...]:
        """See `protection.list_required`: the checks that are asked for at a branch."""
        return await protection.list_required(self._calls, branch)

    async def get_tag(self, name: str) -> str | None:
        """See `refs.get_tag`: a commit, or None if there is no such tag."""
        return await refs.get_tag(self._calls, name)

    async def list_tags(self) -> tuple[refs.Tag, ...]:
        """See `refs.list_tags`: at most 1,000, each with its commit."""
        return await refs.list_tags(self._calls)

    async def get_file(self, path: str, *, ref: str) -> bytes | None:
        """See `contents.get_file`: the bytes, or None if there is no such file at that commit."""
        return await contents.get_file(self._calls, path, ref=ref, cache=self._files)

    async def get_permission(self, login: str, *, user_id: int) -> str:
        """See `permissions.get_permission`: `admin`, `maintain`, `write`, `triage`, `read` or `none`."""
        return await permissions.get_permission(self._calls, login, user_id=user_id)

    async def get_pull(self, number: int) -> pulls.Pull:
        """See `pulls.get_pull`."""
        return await pulls.get_pull(self._calls, number)

    async def list_pulls_of_head(self, head_ref: str) -> tuple[pulls.Pull, ...]:
        """See `pulls.list_pulls_of_head`."""
        return await pulls.list_pulls_of_head(self._calls, head_ref)

    async def list_open_pulls(self) -> tuple[pulls.OpenPull, ...]:
        """See `pulls.list_open_pulls`: at most 1,000, the one that changed last first."""
        return await pulls.list_open_pulls(self._calls)

    async def is_ahead_only(self, *, base: str, head: str) -> bool:
        """See `compare.is_ahead_only`: whether the head contains the whole base."""
        return await compare.is_ahead_only(self._calls, base=base, head=head)

    async def changed_files(self, *, base: str, head: str) -> change.ChangedFiles:
        """See `compare.changed_files`: all that differs between two commits of a branch."""
        return await compare.changed_files(self._calls, base=base, head=head, is_since_fork=False)

    async def changed_files_of_pull(self, number: int, *, base: str, head: str) -> change.ChangedFiles:
        """See `pulls.changed_files`: what a pull request changes in its base."""
        return await pulls.changed_files(self._calls, number, base=base, head=head)

    async def find_message(self, sha: str) -> str | None:
        """See `commits.find_message`: None where GitHub does not know the commit."""
        return await commits.find_message(self._calls, sha)

    async def put_check_run(self, check_run: check.CheckRun, *, github_id: int | None = None) -> int:
        """Make the check run, or bring the one with this id to this state; GitHub's id of it.

        :raises errors.AnswerLost: if it may have been written all the same: find it before making another.
        :raises errors.ForeignCheckRun: if another App made the run.
        """
        if github_id is None:
            return await checks.create(self._calls, check_run)
        await checks.update(self._calls, github_id, check_run)
        return github_id

    async def update_check_run(self, check_run: check.CheckRun, *, github_id: int) -> int | None:
        """See `checks.update`: how many annotations the run has now.

        :raises errors.AnswerLost: if it may have been written all the same.
        :raises errors.ForeignCheckRun: if another App made the run.
        """
        return await checks.update(self._calls, github_id, check_run)

    @property
    def has_graphql(self) -> bool:
        """Whether GitHub takes several check runs at once, as far as is known."""
        return self._calls.nodes.is_there(self.installation_id)

    @property
    def most_at_once(self) -> int:
        """How many check runs one request should hold: fewer after requests whose answers were lost."""
        return max(graphql.MAX_RUNS >> self._calls.nodes.halvings(self.id), 1)

    def graphql_went_away(self, error: errors.GraphQLAway) -> None:
        """See `nodes.Nodes.went_away`: what kept GraphQL from taking a request lasts for a while."""
        self._calls.nodes.went_away(self.installation_id, error)

    def find_node_id(self, github_id: int) -> str | None:
        """GraphQL's id of a check run that an answer told of; a look-up of its commit tells it."""
        return self._calls.nodes.find(github_id)

    async def put_check_runs(self, writes: Sequence[graphql.Write]) -> list[graphql.Written | errors.GitHubError]:
        """See `graphql.put`: make and change several check runs with one request; each fails for itself.

        :raises errors.GraphQLAway: if GraphQL did not take it, which says nothing of REST.
        :raises errors.AnswerLost: if any of it may have been written all the same.
        """
        try:
            outcomes = await graphql.put(self._calls, writes)
        except errors.AnswerLost:
            self._calls.nodes.went(self.id, is_well=False)
            raise
        self._calls.nodes.went(self.id, is_well=True)
        for one in outcomes:
            if isinstance(one, graphql.Written):
                self._calls.nodes.keep(one.id, one.node_id)
        return outcomes

    async def find_check_run(self, *, external_id: str, name: str, head_sha: str) -> checks.Found | None:
        """See `checks.find`: our check run with these marks, or None if there is none."""
        return await checks.find(
            self._calls, external_id=external_id, name=name, head_sha=head_sha, app_id=self._app_id
        )

    async def get_check_run(self, github_id: int) -> checks.Found | None:
        """See `checks.get`: the check run with this id, or None if there is none."""
        return await checks.get(self._calls, github_id)

    async def list_check_runs(self, *, head_sha: str) -> tuple[checks.Found, ...]:
        """See `checks.list_ours`: our check runs of a commit, newest first; at most 1,000."""
        return await checks.list_ours(self._calls, head_sha, self._app_id)

    async def create_reaction(self, comment_id: int, content: comments.Reaction) -> None:
        """See `comments.create_reaction`: an emoji of ours under a comment; repeating it is harmless."""
        await comments.create_reaction(self._calls, comment_id, content)

    async def create_comment(self, number: int, body: str) -> int:
        """See `comments.create_comment`: GitHub's id of a new comment on a pull request.

        :raises errors.AnswerLost: if it may have been written all the same: find it before making another.
        :raises errors.Locked: if the conversation is locked.
        """
        return await comments.create_comment(self._calls, number, body)

    async def update_comment(self, comment_id: int, body: str) -> None:
        """See `comments.update_comment`.

        :raises errors.NotReachable: if it is gone.
        """
        await comments.update_comment(self._calls, comment_id, body)

    async def get_comment(self, comment_id: int) -> comments.Comment | None:
        """See `comments.get_comment`: the comment, or None if there is none."""
        return await comments.get_comment(self._calls, comment_id)

    async def find_comment(self, number: int, *, marker: str, since: datetime | None = None) -> comments.Comment | None:
        """See `comments.find_comment`: the comment of our App with this marker, or None if there is none."""
        return await comments.find_comment(self._calls, number, marker=marker, app_id=self._app_id, since=since)

    async def git_token(self) -> str:
        """A token that can only read this repository's code, with at least ten minutes left: for `Source.token`."""
        return await self._calls.git_token()
