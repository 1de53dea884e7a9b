"""Paths as reports and logs have them, brought to the repository they are about. Every one of them is a stranger's."""

from __future__ import annotations

import unicodedata

import msgspec

from bot.reports import limits

#: Where an engine lays the repository out, in the paths that a job's programs write.
WORKSPACE = "/workspace"
#: What GitHub takes of an annotation's path, in UTF-8 bytes.
MAX_PATH_BYTES = 255
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Cn", "Co", "Zl", "Zp"})


class Places(msgspec.Struct, frozen=True):
    """Where the paths of a log lie."""

    #: Absolute folder in which the repository is laid out.
    workspace: str = WORKSPACE
    #: The step's working directory, relative to the workspace.
    folder: str = "."

    def relative(self, path: str) -> str | None:
        """A path as it is in the repository; None where it is outside of it, or may not be annotated.

        `..` is refused where it leads out, and resolved where it does not. Symbolic links are nobody's business here:
        what is annotated is a name, and nothing is opened by it.
        """
        if path.startswith("/"):
            # Without a sandbox, the workspace lies within another folder of the machine.
            _, found, path = path.partition(f"{self.workspace.rstrip('/')}/")
            if not found:
                return None
        elif self.folder != ".":
            path = f"{self.folder}/{path}"
        parts: list[str] = []
        for part in path.split("/"):
            if part == "..":
                if not parts:
                    return None
                parts.pop()
            elif part not in ("", "."):
                parts.append(part)
        normal = "/".join(parts)
        return normal if parts and parts[0] != ".git" and "site-packages" not in parts and _is_fit(normal) else None


def _is_fit(path: str) -> bool:
    """Whether it can be shown as it is: short, on one line, with nothing hidden in it."""
    if len(path) > limits.MAX_PATH_CHARACTERS or path != " ".join(path.split()):
        return False
    if len(path.encode("utf-8", "replace")) > MAX_PATH_BYTES:
        return False
    return (path.isascii() and path.isprintable()) or not any(unicodedata.category(one) in _HIDDEN for one in path)
