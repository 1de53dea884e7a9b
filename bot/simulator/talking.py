"""What is said about commits and pull requests: statuses, comments, reactions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bot.simulator import pulls, values, world


class Talking(pulls.Pulls):
    """Statuses and comments, on top of pull requests."""

    def create_status(
        self, repository: values.Repository, sha: str, body: Mapping[str, Any], *, creator: values.User
    ) -> values.Status:
        status = values.Status(
            id=self.new_id("status"),
            repository=repository,
            sha=sha,
            state=body["state"],
            context=body.get("context", "default"),
            description=body.get("description"),
            target_url=body.get("target_url"),
            creator=creator,
            created_at=self.clock.now(),
        )
        self.statuses.append(status)
        self.changes.ring()
        return status

    def comment(
        self, pull: values.PullRequest, body: str, *, author: str | None = None, via_app: values.App | None = None
    ) -> values.Comment:
        """Writes a comment on a pull request; sends `issue_comment.created`."""
        at = self.clock.now()
        comment = values.Comment(
            id=self.new_id("comment"),
            repository=pull.repository,
            number=pull.number,
            author=via_app.bot if via_app else self.user(author or world.SOMEONE),
            body=body,
            created_at=at,
            updated_at=at,
            via_app=via_app,
        )
        self.comments[comment.id] = comment
        self._tell_comment("created", comment, pull)
        return comment

    def edit_comment(self, comment: values.Comment, body: str) -> None:
        """Changes a comment; sends `issue_comment.edited`."""
        changes = {"body": {"from": comment.body}}
        comment.body, comment.updated_at = body, self.clock.now()
        self._tell_comment("edited", comment, self.pulls[comment.repository.id, comment.number], changes=changes)

    def _tell_comment(self, action: str, comment: values.Comment, pull: values.PullRequest, **extra: Any) -> None:
        shown = self.comments_on(pull)
        payload = {
            "action": action,
            "issue": self.shapes.issue(
                pull, association=self.association(pull.repository, pull.author), comments=len(shown)
            ),
            "comment": self.shapes.comment(comment, association=self.association(comment.repository, comment.author)),
            **extra,
        }
        self.emit("issue_comment", payload, repository=comment.repository, sender=comment.author)

    def comments_on(self, pull: values.PullRequest) -> Sequence[values.Comment]:
        """The comments of a pull request, oldest first."""
        return [
            comment
            for comment in self.comments.values()
            if comment.repository is pull.repository and comment.number == pull.number
        ]

    def react(self, comment: values.Comment, content: str, *, user: values.User) -> tuple[values.Reaction, bool]:
        """Adds an emoji under a comment; gives it, and whether it is new: one account has each emoji once."""
        for reaction in comment.reactions:
            if reaction.user is user and reaction.content == content:
                return reaction, False
        reaction = values.Reaction(id=self.new_id("reaction"), user=user, content=content, created_at=self.clock.now())
        comment.reactions.append(reaction)
        self.changes.ring()
        return reaction, True
