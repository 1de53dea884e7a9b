"""Pull requests, their comments and commit statuses as JSON."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from urllib.parse import quote

from bot.simulator import values
from bot.simulator.shapes import accounts, commits

_REACTIONS = ("+1", "-1", "laugh", "confused", "heart", "hooray", "eyes", "rocket")


class PullShapes(commits.CommitShapes):
    """What people talk about, on top of commits."""

    def pull_request(self, pull: values.PullRequest, *, association: str) -> accounts.Body:
        """What lists of pull requests say."""
        url = f"{self.repository_url(pull.repository)}/pulls/{pull.number}"
        issue = f"{self.repository_url(pull.repository)}/issues/{pull.number}"
        html = f"{pull.repository.html_url}/pull/{pull.number}"
        statuses = f"{self.repository_url(pull.repository)}/statuses/{pull.head_sha}"
        links = {
            "self": url,
            "html": html,
            "issue": issue,
            "comments": f"{issue}/comments",
            "review_comments": f"{url}/comments",
            "review_comment": f"{self.repository_url(pull.repository)}/pulls/comments{{/number}}",
            "commits": f"{url}/commits",
            "statuses": statuses,
        }
        return {
            "url": url,
            "id": pull.id,
            "node_id": accounts.node_id("PR", pull.id),
            "html_url": html,
            "diff_url": f"{html}.diff",
            "patch_url": f"{html}.patch",
            "issue_url": issue,
            "number": pull.number,
            "state": pull.state,
            "locked": False,
            "title": pull.title,
            "user": self.user(pull.author),
            "body": pull.body,
            "created_at": values.stamp(pull.created_at),
            "updated_at": values.stamp(pull.updated_at),
            "closed_at": values.stamp(pull.closed_at) if pull.closed_at else None,
            "merged_at": values.stamp(pull.merged_at) if pull.merged_at else None,
            "merge_commit_sha": pull.merge_commit_sha,
            "assignee": None,
            "assignees": [],
            "requested_reviewers": [],
            "requested_teams": [],
            "labels": [self.label(pull.repository, name) for name in pull.labels],
            "milestone": None,
            "draft": pull.is_draft,
            "commits_url": links["commits"],
            "review_comments_url": links["review_comments"],
            "review_comment_url": links["review_comment"],
            "comments_url": links["comments"],
            "statuses_url": statuses,
            "head": self._side(pull.head_repository, pull.head_branch, pull.head_sha, pull.author),
            "base": self._side(pull.repository, pull.base_branch, pull.base_sha, pull.author),
            "_links": {name: {"href": link} for name, link in links.items()},
            "author_association": association,
            "auto_merge": None,
            "active_lock_reason": None,
        }

    def full_pull_request(
        self, pull: values.PullRequest, *, association: str, counts: Mapping[str, int], state: str | None
    ) -> accounts.Body:
        """What `GET .../pulls/{number}` and webhooks say.

        `counts` has `comments`, `commits`, `additions`, `deletions`, `changed_files`. Without a `state` (its
        `mergeable_state`) the test merge is not known yet, as in the webhooks that GitHub sends right after a change.
        """
        mergeable = pull.is_mergeable if state is not None else None
        body = {
            **self.pull_request(pull, association=association),
            "merged": pull.merged_at is not None,
            "mergeable": mergeable,
            "rebaseable": mergeable,
            "mergeable_state": state or "unknown",
            "merged_by": self.user(pull.merged_by) if pull.merged_by else None,
            "review_comments": 0,
            "maintainer_can_modify": pull.is_fork,
            **counts,
        }
        if state is None and pull.merged_at is None:
            body["merge_commit_sha"] = None
        return body

    def _side(self, repository: values.Repository | None, branch: str, sha: str, author: values.User) -> accounts.Body:
        owner = repository.owner if repository else author
        return {
            "label": f"{owner.login}:{branch}",
            "ref": branch,
            "sha": sha,
            "user": self.user(owner),
            "repo": self.repository(repository) | self._merge_settings() if repository else None,
        }

    def _merge_settings(self) -> accounts.Body:
        return {
            "allow_squash_merge": True,
            "allow_merge_commit": True,
            "allow_rebase_merge": True,
            "allow_auto_merge": False,
            "delete_branch_on_merge": False,
            "allow_update_branch": False,
            "use_squash_pr_title_as_default": False,
            "squash_merge_commit_message": "COMMIT_MESSAGES",
            "squash_merge_commit_title": "COMMIT_OR_PR_TITLE",
            "merge_commit_message": "PR_TITLE",
            "merge_commit_title": "MERGE_MESSAGE",
        }

    def label(self, repository: values.Repository, name: str) -> accounts.Body:
        return {
            "id": zlib.crc32(f"{repository.id}/{name}".encode()),
            "node_id": accounts.node_id("LA", name),
            "url": f"{self.repository_url(repository)}/labels/{quote(name)}",
            "name": name,
            "color": "ededed",
            "default": False,
            "description": None,
        }

    def short_pull_request(self, pull: values.PullRequest) -> accounts.Body:
        """What check runs and suites say about a pull request."""
        sides = (
            ("head", pull.head_branch, pull.head_sha, pull.head_repository),
            ("base", pull.base_branch, pull.base_sha, pull.repository),
        )
        body: accounts.Body = {
            "url": f"{self.repository_url(pull.repository)}/pulls/{pull.number}",
            "id": pull.id,
            "number": pull.number,
        }
        for side, ref, sha, repository in sides:
            assert repository is not None
            body[side] = {
                "ref": ref,
                "sha": sha,
                "repo": {"id": repository.id, "url": self.repository_url(repository), "name": repository.name},
            }
        return body

    def issue(self, pull: values.PullRequest, *, association: str, comments: int) -> accounts.Body:
        """A pull request as the issue that comments belong to."""
        url = f"{self.repository_url(pull.repository)}/issues/{pull.number}"
        html = f"{pull.repository.html_url}/pull/{pull.number}"
        closed_at = values.stamp(pull.closed_at) if pull.closed_at else None
        return {
            "url": url,
            "repository_url": self.repository_url(pull.repository),
            "labels_url": f"{url}/labels{{/name}}",
            "comments_url": f"{url}/comments",
            "events_url": f"{url}/events",
            "html_url": html,
            "id": pull.id,
            "node_id": accounts.node_id("PR", pull.id),
            "number": pull.number,
            "title": pull.title,
            "user": self.user(pull.author),
            "labels": [self.label(pull.repository, name) for name in pull.labels],
            "state": pull.state,
            "locked": False,
            "assignee": None,
            "assignees": [],
            "milestone": None,
            "comments": comments,
            "created_at": values.stamp(pull.created_at),
            "updated_at": values.stamp(pull.updated_at),
            "closed_at": closed_at,
            "author_association": association,
            "active_lock_reason": None,
            "draft": pull.is_draft,
            "pull_request": {
                "url": f"{self.repository_url(pull.repository)}/pulls/{pull.number}",
                "html_url": html,
                "diff_url": f"{html}.diff",
                "patch_url": f"{html}.patch",
                "merged_at": values.stamp(pull.merged_at) if pull.merged_at else None,
            },
            "body": pull.body,
            "reactions": {"url": f"{url}/reactions", "total_count": 0, **dict.fromkeys(_REACTIONS, 0)},
            "timeline_url": f"{url}/timeline",
            "performed_via_github_app": None,
            "state_reason": None,
        }

    def comment(self, comment: values.Comment, *, association: str) -> accounts.Body:
        repository = comment.repository
        url = f"{self.repository_url(repository)}/issues/comments/{comment.id}"
        counts = {content: sum(reaction.content == content for reaction in comment.reactions) for content in _REACTIONS}
        return {
            "url": url,
            "html_url": f"{repository.html_url}/pull/{comment.number}#issuecomment-{comment.id}",
            "issue_url": f"{self.repository_url(repository)}/issues/{comment.number}",
            "id": comment.id,
            "node_id": accounts.node_id("IC", comment.id),
            "user": self.user(comment.author),
            "created_at": values.stamp(comment.created_at),
            "updated_at": values.stamp(comment.updated_at),
            "body": comment.body,
            "author_association": association,
            "reactions": {"url": f"{url}/reactions", "total_count": len(comment.reactions), **counts},
            "performed_via_github_app": self.app(comment.via_app) if comment.via_app else None,
        }

    def reaction(self, reaction: values.Reaction) -> accounts.Body:
        return {
            "id": reaction.id,
            "node_id": accounts.node_id("REA", reaction.id),
            "user": self.user(reaction.user),
            "content": reaction.content,
            "created_at": values.stamp(reaction.created_at),
        }

    def status(self, status: values.Status) -> accounts.Body:
        created = values.stamp(status.created_at)
        return {
            "url": f"{self.repository_url(status.repository)}/statuses/{status.sha}",
            "avatar_url": f"{self.origin}/_avatars/{status.creator.id}.svg",
            "id": status.id,
            "node_id": accounts.node_id("SC", status.id),
            "state": status.state,
            "description": status.description,
            "target_url": status.target_url,
            "context": status.context,
            "created_at": created,
            "updated_at": created,
            "creator": self.user(status.creator),
        }
