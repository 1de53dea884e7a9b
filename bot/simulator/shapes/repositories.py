"""Repositories as JSON, in the three sizes that GitHub shows them in."""

from __future__ import annotations

from bot.simulator import values
from bot.simulator.shapes import accounts

_REPOSITORY_URLS = {
    "archive_url": "/{archive_format}{/ref}",
    "assignees_url": "/assignees{/user}",
    "blobs_url": "/git/blobs{/sha}",
    "branches_url": "/branches{/branch}",
    "collaborators_url": "/collaborators{/collaborator}",
    "comments_url": "/comments{/number}",
    "commits_url": "/commits{/sha}",
    "compare_url": "/compare/{base}...{head}",
    "contents_url": "/contents/{+path}",
    "contributors_url": "/contributors",
    "deployments_url": "/deployments",
    "downloads_url": "/downloads",
    "events_url": "/events",
    "forks_url": "/forks",
    "git_commits_url": "/git/commits{/sha}",
    "git_refs_url": "/git/refs{/sha}",
    "git_tags_url": "/git/tags{/sha}",
    "hooks_url": "/hooks",
    "issue_comment_url": "/issues/comments{/number}",
    "issue_events_url": "/issues/events{/number}",
    "issues_url": "/issues{/number}",
    "keys_url": "/keys{/key_id}",
    "labels_url": "/labels{/name}",
    "languages_url": "/languages",
    "merges_url": "/merges",
    "milestones_url": "/milestones{/number}",
    "notifications_url": "/notifications{?since,all,participating}",
    "pulls_url": "/pulls{/number}",
    "releases_url": "/releases{/id}",
    "stargazers_url": "/stargazers",
    "statuses_url": "/statuses/{sha}",
    "subscribers_url": "/subscribers",
    "subscription_url": "/subscription",
    "tags_url": "/tags",
    "teams_url": "/teams",
    "trees_url": "/git/trees{/sha}",
}


class RepositoryShapes(accounts.AccountShapes):
    """Repositories, on top of accounts."""

    def repository_url(self, repository: values.Repository) -> str:
        return f"{self.api}/repos/{repository.full_name}"

    def repository(self, repository: values.Repository) -> accounts.Body:
        """What webhooks and most answers say about a repository."""
        url = self.repository_url(repository)
        html = repository.html_url
        return {
            "id": repository.id,
            "node_id": accounts.node_id("R", repository.id),
            "name": repository.name,
            "full_name": repository.full_name,
            "private": repository.is_private,
            "owner": self.user(repository.owner),
            "html_url": html,
            "description": repository.description,
            "fork": repository.parent is not None,
            "url": url,
            **{name: url + path for name, path in _REPOSITORY_URLS.items()},
            "created_at": values.stamp(repository.created_at),
            "updated_at": values.stamp(repository.updated_at),
            "pushed_at": values.stamp(repository.pushed_at),
            "git_url": "git:" + repository.clone_url.partition(":")[2],
            "ssh_url": f"ssh://git@localhost/{repository.full_name}.git",
            "clone_url": repository.clone_url,
            "svn_url": html,
            "homepage": None,
            "size": 0,
            "stargazers_count": 0,
            "watchers_count": 0,
            "language": None,
            "has_issues": True,
            "has_projects": False,
            "has_downloads": True,
            "has_wiki": False,
            "has_pages": False,
            "has_discussions": False,
            "forks_count": 0,
            "mirror_url": None,
            "archived": repository.is_archived,
            "disabled": False,
            "open_issues_count": 0,
            "license": None,
            "allow_forking": True,
            "is_template": False,
            "web_commit_signoff_required": False,
            "topics": [],
            "visibility": "private" if repository.is_private else "public",
            "forks": 0,
            "open_issues": 0,
            "watchers": 0,
            "default_branch": repository.default_branch,
        }

    def full_repository(self, repository: values.Repository) -> accounts.Body:
        """What `GET /repos/{owner}/{repo}` says."""
        body = {**self.repository(repository), "network_count": 0, "subscribers_count": 0}
        if repository.parent is not None:
            body["parent"] = body["source"] = self.repository(repository.parent)
        return body

    def short_repository(self, repository: values.Repository) -> accounts.Body:
        """What installation events say."""
        return {
            "id": repository.id,
            "node_id": accounts.node_id("R", repository.id),
            "name": repository.name,
            "full_name": repository.full_name,
            "private": repository.is_private,
        }
