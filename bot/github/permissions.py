"""What a user may do in a repository.

https://docs.github.com/en/rest/collaborators/collaborators#get-repository-permissions-for-a-user
"""

from __future__ import annotations

import msgspec

from bot import errors
from bot.github.calls import Ask, Calls

#: Each role of GitHub's own with the older word that has to go with it.
_ROLES = {"admin": "admin", "maintain": "write", "write": "write", "triage": "read", "read": "read", "none": "none"}


class _User(msgspec.Struct):
    id: int


class _Permission(msgspec.Struct):
    permission: str
    role_name: str = ""
    user: _User | None = None


async def get_permission(calls: Calls, login: str, *, user_id: int) -> str:
    """`admin`, `maintain`, `write`, `triage`, `read` or `none`.

    A login can pass to somebody else: where GitHub answers about another user than `user_id`, it is `none`.

    :raises errors.GitHubError: if GitHub does not say.
    """
    try:
        found = await calls.call(Ask(parts=("collaborators", login, "permission")), _Permission)
    except errors.NotReachable:
        # Raises where it was the token that could not be had; else GitHub knows no such user.
        await calls.prove()
        return "none"
    if found.user is not None and found.user.id != user_id:
        return "none"
    return _role(found)


def _role(found: _Permission) -> str:
    """A role that an organisation made is told by the older word, also where it bears the name of GitHub's own."""
    if _ROLES.get(found.role_name) == found.permission:
        return found.role_name
    return found.permission if found.permission in _ROLES.values() else "none"
