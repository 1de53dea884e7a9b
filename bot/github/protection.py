"""Which checks a branch asks for before something is merged into it: by its own protection, and by rulesets.

https://docs.github.com/en/rest/branches/branches#get-a-branch
https://docs.github.com/en/rest/repos/rules#get-rules-for-a-branch
"""

from __future__ import annotations

import msgspec

from bot import errors
from bot.github import classify
from bot.github.calls import Ask, Calls

_PAGES = 10
_RULE = "required_status_checks"
#: What GitHub says where the check of any App counts.
_ANY = -1


class Required(msgspec.Struct, frozen=True, kw_only=True):
    """A check that is asked for."""

    name: str
    #: The App whose check alone counts; None for anybody's.
    app_id: int | None


class _Check(msgspec.Struct):
    context: str
    app_id: int | None = None
    integration_id: int | None = None


class _Checks(msgspec.Struct):
    checks: list[_Check] = msgspec.field(default_factory=list)
    contexts: list[str] = msgspec.field(default_factory=list)


class _Protection(msgspec.Struct):
    required_status_checks: _Checks | None = None


class _Branch(msgspec.Struct):
    protection: _Protection | None = None


class _Parameters(msgspec.Struct):
    required_status_checks: list[_Check] = msgspec.field(default_factory=list)


class _Rule(msgspec.Struct):
    type: str
    #: Of another shape for each type.
    parameters: msgspec.Raw = msgspec.Raw(b"null")


async def list_required(calls: Calls, branch: str) -> tuple[Required, ...]:
    """All that is asked for at a branch; a name comes more than once where it is asked for in more than one way.

    :raises errors.GitHubError: if GitHub does not say.
    """
    try:
        protection = (await calls.call(Ask(parts=("branches", branch)), _Branch)).protection
    except errors.NotReachable:
        # Raises where it was the token that could not be had; else there is no such branch yet.
        await calls.prove()
        return ()
    own = (protection.required_status_checks if protection is not None else None) or _Checks()
    # Old Enterprise Servers tell names only.
    given = own.checks or [_Check(context=name) for name in own.contexts]
    return tuple(dict.fromkeys(map(_required, [*given, *await _list_ruled(calls, branch)])))


async def _list_ruled(calls: Calls, branch: str) -> list[_Check]:
    what = f"GET /repos/{calls.full_name}/rules/branches/{branch}"

    def read(answer: classify.Answer) -> list[_Rule]:
        return classify.decode(answer, list[_Rule], what=what)

    try:
        rules = await calls.walk(Ask(parts=("rules", "branches", branch)), read, most_pages=_PAGES)
        parsed = [msgspec.json.decode(one.parameters, type=_Parameters) for one in rules if one.type == _RULE]
    except errors.NotReachable:
        # Old Enterprise Servers have no rulesets.
        return []
    except msgspec.MsgspecError as error:
        raise errors.GitHubUnavailable(f"GitHub's answer to {what} cannot be read: {error}.", status=200) from None
    return [check for one in parsed for check in one.required_status_checks]


def _required(found: _Check) -> Required:
    app_id = found.app_id if found.app_id is not None else found.integration_id
    return Required(name=found.context, app_id=None if app_id == _ANY else app_id)
