"""Images by their names: which one a name means, and which ones the operator lets jobs have. Pure.

https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

import msgspec

#: Where images come from whose names say nothing of it, as with Docker.
HUB = "docker.io"
#: Images of this machine itself: they are never fetched.
HERE = "localhost"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
#: https://github.com/distribution/reference/blob/main/regexp.go
_PATH = re.compile(r"[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*)*")
_REGISTRY = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::[0-9]{1,5})?")
_MOST = 255


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """An image as somebody names it, with nothing left to guess."""

    #: Registry and path, e.g. `docker.io/library/python`.
    name: str
    #: Empty where a digest says which one it is.
    tag: str = ""
    #: With its `sha256:`, or empty.
    digest: str = ""

    def __str__(self) -> str:
        return f"{self.name}@{self.digest}" if self.digest else f"{self.name}:{self.tag}"

    @property
    def registry(self) -> str:
        """The host, and where there is one the port, that it is fetched from."""
        return self.name.partition("/")[0]

    @property
    def is_here(self) -> bool:
        """Whether it is never fetched, because it can only be on this machine."""
        return self.registry == HERE


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """Which images jobs may have, as the operator says."""

    #: Whether a name has to say a digest, so that the same name is the same image for ever.
    require_digest: bool = False
    #: Globs of names, with the registry, that jobs may have; None where nobody said: then any for trusted code, and
    #: none for other code.
    allow: tuple[str, ...] | None = None


#: Where the operator says nothing.
DEFAULT = Rules()


def parse(text: str) -> Reference | None:
    """What a name means; None where it is none. A tag beside a digest says nothing more, and is left out."""
    rest, _, digest = text.partition("@")
    name, colon, tag = rest.rpartition(":")
    if not colon or "/" in tag:
        name, tag = rest, ""
    elif not _TAG.fullmatch(tag):
        return None
    first, slash, path = name.partition("/")
    if not slash or not ("." in first or ":" in first or first == HERE):
        first, path = HUB, name if slash else f"library/{name}"
    if len(text) > _MOST or not _REGISTRY.fullmatch(first) or not _PATH.fullmatch(path):
        return None
    if "@" in text:
        return Reference(name=f"{first}/{path}", digest=digest) if _DIGEST.fullmatch(digest) else None
    return Reference(name=f"{first}/{path}", tag=tag or "latest")


def why_no_glob(text: str) -> str | None:
    """Why a text is no glob of images' names; None where it is one. Its registry holds no star, so `*` is no danger."""
    registry, slash, path = text.partition("/")
    if not slash or not path or not (_REGISTRY.fullmatch(registry) and ("." in registry or registry.startswith(HERE))):
        return 'write the whole name with its registry, such as `"docker.io/library/*"`'
    return None


def refusal(one: Reference, rules: Rules, *, is_trusted: bool) -> str | None:
    """Why a job may not have an image, and what to write; None where it may.

    :param is_trusted: whether the job's code is.
    """
    if rules.require_digest and not one.digest:
        return (
            f"The image {one} is named without a digest, and the operator's policy wants one: write "
            f"`{one.name}@sha256:...` with the digest that the registry gives for `{one.tag}`."
        )
    if rules.allow is None:
        if is_trusted:
            return None
        return (
            f"The image {one} was named by code that is not trusted, and the operator's policy names no images for it: "
            f'the operator can write `allow = ["{one.name}"]` in its section `[images]`.'
        )
    if not any(fnmatchcase(said, glob) for glob in rules.allow for said in (one.name, str(one))):
        return (
            f"The image {one} is none of those that the operator's policy allows: "
            f"{', '.join(f'`{glob}`' for glob in rules.allow)}. Write one of them, or ask the operator to add "
            f'`"{one.name}"` to `allow` in its section `[images]`.'
        )
    return None
