"""Commits, branches, refs and files as JSON."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from urllib.parse import quote

from bot.simulator import values
from bot.simulator.shapes import accounts, repositories


class CommitShapes(repositories.RepositoryShapes):
    """What git knows, on top of repositories."""

    def ref(self, repository: values.Repository, name: str, sha: str, kind: str) -> accounts.Body:
        url = self.repository_url(repository)
        return {
            "ref": name,
            "node_id": accounts.node_id("REF", name),
            "url": f"{url}/git/{quote(name)}",
            "object": {"sha": sha, "type": kind, "url": f"{url}/git/{kind}s/{sha}"},
        }

    def short_branch(self, repository: values.Repository, name: str, sha: str, *, is_protected: bool) -> accounts.Body:
        url = f"{self.repository_url(repository)}/commits/{sha}"
        return {"name": name, "commit": {"sha": sha, "url": url}, "protected": is_protected}

    def tag(self, repository: values.Repository, name: str, sha: str) -> accounts.Body:
        url = self.repository_url(repository)
        return {
            "name": name,
            "zipball_url": f"{url}/zipball/refs/tags/{quote(name)}",
            "tarball_url": f"{url}/tarball/refs/tags/{quote(name)}",
            "commit": {"sha": sha, "url": f"{url}/commits/{sha}"},
            "node_id": accounts.node_id("REF", f"refs/tags/{name}"),
        }

    def branch(
        self, repository: values.Repository, name: str, commit: values.Commit, *, required: Mapping[str, int | None]
    ) -> accounts.Body:
        """`required` are the names of its required checks, each with the id of the App that it is pinned to."""
        url = f"{self.repository_url(repository)}/branches/{quote(name, safe='')}"
        html = f"{repository.html_url}/tree/{quote(name)}"
        return {
            "name": name,
            "commit": self.commit(repository, commit),
            "_links": {"self": url, "html": html},
            "protected": bool(required),
            "protection": {
                "enabled": bool(required),
                "required_status_checks": {
                    "enforcement_level": "non_admins" if required else "off",
                    "contexts": list(required),
                    "checks": [{"context": context, "app_id": app_id} for context, app_id in required.items()],
                },
            },
            "protection_url": f"{url}/protection",
        }

    def required_rule(self, repository: values.Repository, required: Mapping[str, int | None]) -> accounts.Body:
        """The required checks of a ruleset, each with the id of the App that it is pinned to."""
        checks = [
            {"context": context} if app_id is None else {"context": context, "integration_id": app_id}
            for context, app_id in required.items()
        ]
        return {
            "type": "required_status_checks",
            "ruleset_source_type": "Repository",
            "ruleset_source": repository.full_name,
            "ruleset_id": 4_200_001,
            "parameters": {"required_status_checks": checks, "strict_required_status_checks_policy": False},
        }

    def commit(
        self, repository: values.Repository, commit: values.Commit, files: Sequence[values.FileChange] | None = None
    ) -> accounts.Body:
        """A commit of the REST API; with `files`, as `GET .../commits/{ref}` shows it."""
        url = f"{self.repository_url(repository)}/commits/{commit.sha}"
        git_url = f"{self.repository_url(repository)}/git"
        body: accounts.Body = {
            "sha": commit.sha,
            "node_id": accounts.node_id("C", commit.sha),
            "commit": {
                "author": _git_actor(commit.author),
                "committer": _git_actor(commit.committer),
                "message": commit.message,
                "tree": {"sha": commit.tree, "url": f"{git_url}/trees/{commit.tree}"},
                "url": f"{git_url}/commits/{commit.sha}",
                "comment_count": 0,
                "verification": {
                    "verified": False,
                    "reason": "unsigned",
                    "signature": None,
                    "payload": None,
                    "verified_at": None,
                },
            },
            "url": url,
            "html_url": f"{repository.html_url}/commit/{commit.sha}",
            "comments_url": f"{url}/comments",
            "author": None,
            "committer": None,
            "parents": [
                {
                    "sha": parent,
                    "url": f"{self.repository_url(repository)}/commits/{parent}",
                    "html_url": f"{repository.html_url}/commit/{parent}",
                }
                for parent in commit.parents
            ],
        }
        if files is not None:
            additions = sum(file.additions for file in files)
            deletions = sum(file.deletions for file in files)
            body["stats"] = {"total": additions + deletions, "additions": additions, "deletions": deletions}
            body["files"] = [self.file_change(repository, commit.sha, file) for file in files]
        return body

    def file_change(self, repository: values.Repository, sha: str, file: values.FileChange) -> accounts.Body:
        path = quote(file.path)
        body: accounts.Body = {
            "sha": file.blob,
            "filename": file.path,
            "status": file.status,
            "additions": file.additions,
            "deletions": file.deletions,
            "changes": file.additions + file.deletions,
            "blob_url": f"{repository.html_url}/blob/{sha}/{path}",
            "raw_url": f"{repository.html_url}/raw/{sha}/{path}",
            "contents_url": f"{self.repository_url(repository)}/contents/{path}?ref={sha}",
        }
        if file.patch is not None:
            body["patch"] = file.patch
        if file.previous_path is not None:
            body["previous_filename"] = file.previous_path
        return body

    def content(
        self, repository: values.Repository, *, path: str, ref: str, sha: str, kind: str, size: int
    ) -> accounts.Body:
        """One file or folder of `GET .../contents/{path}`, without its content."""
        url = f"{self.repository_url(repository)}/contents/{quote(path)}?ref={quote(ref)}"
        html = f"{repository.html_url}/{'tree' if kind == 'dir' else 'blob'}/{quote(ref)}/{quote(path)}"
        git = f"{self.repository_url(repository)}/git/{'trees' if kind == 'dir' else 'blobs'}/{sha}"
        raw = f"{repository.html_url}/raw/{quote(ref)}/{quote(path)}"
        return {
            "name": posixpath.basename(path),
            "path": path,
            "sha": sha,
            "size": size,
            "url": url,
            "html_url": html,
            "git_url": git,
            "download_url": None if kind == "dir" else raw,
            "type": kind,
            "_links": {"self": url, "git": git, "html": html},
        }


def _git_actor(who: values.Signature) -> accounts.Body:
    return {"name": who.name, "email": who.email, "date": values.stamp(who.at)}
