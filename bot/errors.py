"""The errors that a caller acts on differently: named by who must act, each with a sentence for people."""

from __future__ import annotations

from datetime import datetime


class BuildhookError(Exception):
    """Something went wrong; the text says what, where, and what to do."""

    def __init__(self, text: str | None = None) -> None:
        super().__init__(text or (self.__doc__ or "").strip().splitlines()[0])


class SettingsError(BuildhookError):
    """A setting is wrong. The operator mends it and starts again."""


class DeliveryRefused(BuildhookError):
    """The door refuses a request."""

    def __init__(self, text: str, *, status: int, label: str, retry_after_seconds: int | None = None) -> None:
        super().__init__(text)
        #: One of the outcomes in DESIGN.md 3.1.
        self.status = status
        #: A bounded word for metrics.
        self.label = label
        self.retry_after_seconds = retry_after_seconds


class ShapeUnknown(BuildhookError):
    """The payload is not of the shape that its event has."""


class InboxFull(BuildhookError):
    """The inbox holds as many deliveries as it may. Deliveries are taken again when it has drained."""


class StoreUnavailable(BuildhookError):
    """The database cannot be written right now."""


class StoreBroken(StoreUnavailable):
    """The database cannot be trusted any more: what was written may be lost. The service has to stop."""


class SchemaNewer(StoreUnavailable):
    """The database was written by a newer version of buildhook."""


class NotSignedIn(BuildhookError):
    """A service takes no token, or not this one."""


class ServiceAway(BuildhookError):
    """A service elsewhere cannot be reached, or cannot answer right now. Ask again later."""


class NotFound(BuildhookError):
    """There is no such thing."""


class Gone(NotFound):
    """It was there, and is deleted."""


class LogUnreadable(BuildhookError):
    """A log is damaged as a whole where it is kept."""


class Conflict(BuildhookError):
    """It cannot be done in the present state."""


class BackupUnusable(BuildhookError):
    """A backup cannot be written or restored."""


class SecretUnreadable(BuildhookError):
    """A stored secret cannot be opened: its key is gone, or it was copied from elsewhere."""


class SetUpRefused(BuildhookError):
    """Whoever wants to set the service up did not begin it here, or began it too long ago."""


class LeaseLost(BuildhookError):
    """Another process took the work over; nothing was written."""


class GitHubError(BuildhookError):
    """GitHub did not do what was asked."""

    def __init__(self, text: str, *, status: int | None = None) -> None:
        super().__init__(text)
        self.status = status


class GitHubUnavailable(GitHubError):
    """GitHub did not answer, or answered with 5xx or something that is not its API. Try again later."""


class AnswerLost(GitHubUnavailable):
    """A write was sent and its answer never came: it may or may not have been applied. Look before you try again."""


class RateLimited(GitHubError):
    """GitHub asks us to wait. No call may be made before `retry_at`."""

    def __init__(self, text: str, *, status: int, retry_at: datetime, is_secondary: bool) -> None:
        super().__init__(text, status=status)
        self.retry_at = retry_at
        self.is_secondary = is_secondary


class GraphQLAway(GitHubError):
    """GraphQL is not there, not ours to use, or used up: nothing was done, and REST may do it."""

    def __init__(
        self, text: str, *, status: int | None = None, until: datetime | None = None, is_everywhere: bool = False
    ) -> None:
        super().__init__(text, status=status)
        #: When it may be asked again, where GitHub said so.
        self.until = until
        #: Whether it is so for every installation.
        self.is_everywhere = is_everywhere


class Unauthorized(GitHubError):
    """GitHub refuses our credentials: the App's id, its private key, the clock, or a token that ended early."""


class SignInRefused(GitHubError):
    """GitHub did not let this person sign in, or the token is not one for this App. They may start again."""


class SignInOver(GitHubError):
    """What a person signed in with is no longer good: it ended, was used, or was taken back. They sign in again."""


class SignInBroken(GitHubError):
    """GitHub lets nobody sign in here: the operator mends the client id, its secret or the App's callback URL."""


class Forbidden(GitHubError):
    """The App lacks a permission for this. An administrator has to accept it."""


class Locked(Forbidden):
    """The conversation is locked: nobody but its maintainers may comment there."""


class ForeignCheckRun(Forbidden):
    """The check run was created by another App and can be changed only by that one."""


class Suspended(GitHubError):
    """The installation is suspended."""


class NotReachable(GitHubError):
    """GitHub says that it is not there, or our token may not see it (404, 410, 451)."""


class Invalid(GitHubError):
    """GitHub finds the request invalid (422). Repeating it unchanged is pointless."""


class TooMuch(Invalid):
    """One request asked for more than GitHub does at once: less of it may go."""


class CommitUnknown(Invalid):
    """GitHub does not know the commit: it was pushed a moment ago, or a force-push took it away."""


class EngineMissing(BuildhookError):
    """No engine runs the job: its file asks for one that the operator has not."""


class EngineError(BuildhookError):
    """The engine could not do it; the text says how to mend it."""


class EngineBroken(BuildhookError):
    """An engine told what cannot be true of a job; the text says what, as what follows "it told"."""
