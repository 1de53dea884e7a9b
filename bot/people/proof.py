"""What is shown as proof, and what is kept of it: random texts, and in the database only their digests."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets

#: What API tokens begin with, so that whoever finds one in a repository knows whose it is.
API_PREFIX = "bhk_"
_BYTES = 32


def new() -> str:
    """A new secret, 43 characters that fit a URL, a header and a cookie."""
    return secrets.token_urlsafe(_BYTES)


def digest(text: str) -> bytes:
    """What is kept of a secret. It is random and long, so nobody can find it from this by trying."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()


def challenge(verifier: str) -> str:
    """What GitHub is told of a verifier before it is shown. https://www.rfc-editor.org/rfc/rfc7636#section-4.2"""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode("ascii")).digest()).rstrip(b"=").decode()


def form_token(cookie: str) -> str:
    """What our own pages write into their forms: whoever does not see our pages cannot know it."""
    return base64.urlsafe_b64encode(hmac.digest(cookie.encode("utf-8", "surrogateescape"), b"form", "sha256")).decode()


def is_form_token(given: str, cookie: str) -> bool:
    """Whether a form was made for who shows this cookie."""
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), form_token(cookie).encode())
