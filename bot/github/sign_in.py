"""Signing in, as far as it is pure: what proves that who comes back is who left, and what GitHub's refusals mean.

https://docs.github.com/en/apps/oauth-apps/maintaining-oauth-apps/troubleshooting-oauth-app-access-token-request-errors
https://docs.github.com/en/apps/oauth-apps/maintaining-oauth-apps/troubleshooting-authorization-request-errors
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from bot import errors
from bot.github import classify

_NAME = re.compile(r"[a-z0-9_-]{1,64}\Z")

_CREDENTIALS = (
    "GitHub does not accept BUILDHOOK_CLIENT_ID with BUILDHOOK_CLIENT_SECRET. Copy the client id from the App's "
    "settings page, and generate a new client secret there."
)
_CLIENT = "GitHub lets nobody sign in with this App. Look at the App's settings page, and at whether it is suspended."

#: By GitHub's word for it: who has to act, and what they do.
_REFUSALS: Mapping[str, tuple[type[errors.GitHubError], str]] = MappingProxyType(
    {
        "access_denied": (
            errors.SignInRefused,
            "You did not authorize the App on GitHub, so nobody is signed in. Sign in again, and authorize it there.",
        ),
        "bad_verification_code": (
            errors.SignInRefused,
            "GitHub does not take this sign-in any more: it was used already, was begun in another browser, or took "
            "longer than ten minutes. Sign in again.",
        ),
        "unverified_user_email": (
            errors.SignInRefused,
            "GitHub lets people sign in once their primary e-mail address is verified. Verify it in the settings of "
            "your account on GitHub, then sign in again.",
        ),
        "bad_refresh_token": (
            errors.SignInOver,
            "Your sign-in has ended: GitHub does not renew it any more. Sign in again.",
        ),
        "redirect_uri_mismatch": (
            errors.SignInBroken,
            "GitHub sends nobody back to this service, as its address is not among the App's callback URLs. Add "
            "BUILDHOOK_PUBLIC_URL with /login/callback behind it to them, on the App's settings page.",
        ),
        "incorrect_client_credentials": (errors.SignInBroken, _CREDENTIALS),
        "invalid_client": (errors.SignInBroken, _CREDENTIALS),
        "application_suspended": (errors.SignInBroken, _CLIENT),
        "unauthorized_client": (errors.SignInBroken, _CLIENT),
        "unsupported_grant_type": (errors.SignInBroken, _CLIENT),
    }
)


class _Refused(msgspec.Struct):
    error: str = ""


def new_verifier() -> str:
    """What only the browser's session here knows: https://www.rfc-editor.org/rfc/rfc7636#section-4.1."""
    return secrets.token_urlsafe(48)


def challenge_of(verifier: str) -> str:
    """What GitHub is told of the verifier before: https://www.rfc-editor.org/rfc/rfc7636#section-4.2."""
    digest = hashlib.sha256(verifier.encode("ascii")).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def refusal(name: str) -> errors.GitHubError:
    """What an `error` of GitHub's is, in an answer or in the address that a browser comes back with.

    Only words of ours are in it: who made the address up cannot have us say something.
    """
    known = _REFUSALS.get(name)
    if known is not None:
        return known[0](known[1])
    shown = f" ({name})" if _NAME.match(name) else ""
    return errors.SignInRefused(f"GitHub did not let you sign in{shown}. Sign in again.")


def error_of(answer: classify.Answer) -> str | None:
    """GitHub's word for why there is no token, which mostly comes with 200; None where the answer has none."""
    try:
        return msgspec.json.decode(answer.body, type=_Refused).error or None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
