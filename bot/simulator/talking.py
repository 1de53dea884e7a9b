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
        """Writes a comment on a pull request; sends `issue_comment.created`, to the App itself too if it wrote it.

        :param author: by default `mona`; a name that ends with `[bot]` is that of a bot
        :param via_app: the App that writes it, in place of an author
        """
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
        self._tell_comment("created", comment, comment.author)
        return comment

    def find_comment(self, repo: values.Repository | str, comment_id: int) -> values.Comment:
        """:raises SimulatorError: if there is none of that id"""
        found = self.comments.get(comment_id)
        if found is None or found.repository is not self.repository(repo):
            raise world.SimulatorError(f"there is no comment {comment_id}")
        return found

    def edit_comment(self, comment: values.Comment, body: str, *, sender: str | None = None) -> None:
        """Changes a comment; sends `issue_comment.edited` with the old text. By default its author does it."""
        changes = {"body": {"from": comment.body}}
        comment.body, comment.updated_at = body, self.clock.now()
        self._tell_comment("edited", comment, self.user(sender) if sender else comment.author, changes=changes)

    def delete_comment(self, comment: values.Comment, *, sender: str | None = None) -> None:
        """Deletes a comment; sends `issue_comment.deleted`. By default its author does it.

        :raises SimulatorError: if it is gone already
        """
        del self.comments[self.find_comment(comment.repository, comment.id).id]
        self._tell_comment("deleted", comment, self.user(sender) if sender else comment.author)

    def _tell_comment(self, action: str, comment: values.Comment, sender: values.User, **extra: Any) -> None:
        """Sends https://docs.github.com/en/webhooks/webhook-events-and-payloads#issue_comment."""
        pull = self.pulls[comment.repository.id, comment.number]
        pull.updated_at = self.clock.now()
        shown = self.comments_on(pull)
        payload = {
            "action": action,
            "issue": self.shapes.issue(
                pull, association=self.association(pull.repository, pull.author), comments=len(shown)
            ),
            "comment": self.shapes.comment(comment, association=self.association(comment.repository, comment.author)),
            **extra,
        }
        self.emit("issue_comment", payload, repository=comment.repository, sender=sender)

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
