"""Who asks, and what they may see and do. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from bot.model.person import Permission


class Viewer(msgspec.Struct, frozen=True, kw_only=True):
    """A person, or a program in their place."""

    #: GitHub's number; None for whoever sits at this machine, where nobody signs in.
    user_id: int | None
    #: A label.
    login: str
    #: Whether the policy names them as one who runs the service.
    is_operator: bool = False
    #: What GitHub lets them do, by repository; None for everything.
    rights: Mapping[int, Permission] | None = msgspec.field(default_factory=dict)
    #: Whether they may change anything at all: an API token may be for reading only.
    can_write: bool = True
    #: Of a browser, None for a program.
    sign_in_id: str | None = None

    def may(self, need: Permission, repository_id: int | None) -> bool:
        """Whether they have a right in a repository; of what belongs to none only operators have any."""
        if need > Permission.READ and not self.can_write:
            return False
        if self.rights is None or self.is_operator:
            return True
        return repository_id is not None and self.rights.get(repository_id, Permission.NONE) >= need

    def visible(self, need: Permission = Permission.READ) -> frozenset[int] | None:
        """The repositories where they have a right, for queries of lists; None for all there are."""
        if self.rights is None or self.is_operator:
            return None
        return frozenset(one for one, permission in self.rights.items() if permission >= need)


#: Whoever reaches this machine's own address, with `ACCESS=local`.
LOCAL = Viewer(user_id=None, login="", is_operator=True, rights=None)
