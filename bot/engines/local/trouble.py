"""Why a job ends before its first step, in words for people."""

from __future__ import annotations

import re

from bot.engines import contract

#: What git says where the mirror itself is broken and making it anew helps.
_DAMAGED = re.compile(
    r"not a git repository|bad config|bad object|bad tree object|bad ref|corrupt|unable to (?:read|find|parse)|missing "
    r"(?:blob|tree|commit)|loose object|packfile .* (?:cannot|not)|does not point to a valid object|unknown repository",
)
#: Where what came is broken, and the mirror is not: nothing of it was taken.
_BROKEN = re.compile(
    r"pack has bad object|pack is corrupted|pack signature mismatch|Unable to find [0-9a-f]+ under|Cannot obtain needed"
)
_MISSING = re.compile(r"not our ref|unadvertised object|couldn't find remote ref|did not send all necessary objects")
_REFUSED = re.compile(
    r"could not read (?:Username|Password)|Authentication failed|returned error: 40[13]|terminal prompts"
)
_UNSAFE = re.compile(r"fsck error|error: object [0-9a-f]{40,64}: ([A-Za-z0-9]+)")


class Ended(Exception):
    """The job is over before anything of it ran."""

    def __init__(self, reason: str, *, result: contract.Result = contract.Result.ERRORED, log: str = "") -> None:
        super().__init__(reason)
        self.result = result
        self.reason = reason
        #: For people who want to know more.
        self.log = log


def during(phase: str, error: Ended) -> Ended:
    """The same end, which says in its first words what was being done; several jobs may have one between them."""
    reason = (
        error.reason[:1].lower() + error.reason[1:]
        if error.reason.startswith(("The ", "There ", "What "))
        else error.reason
    )
    return Ended(f"{phase}: {reason}", result=error.result, log=error.log)


class Fetching(Ended):
    """The code could not be fetched."""

    def __init__(
        self,
        reason: str,
        *,
        log: str,
        is_passing: bool = False,
        is_damaged: bool = False,
        is_out_of_sight: bool = False,
    ) -> None:
        super().__init__(reason, log=log)
        #: The repository is not there, or not for this token: asking anew where it is and for a token may help.
        self.is_out_of_sight = is_out_of_sight
        #: Trying again may help.
        self.is_passing = is_passing
        #: Making the mirror anew may help.
        self.is_damaged = is_damaged


def fetching(stderr: str, *, host: str) -> Fetching:
    """What git's words after a failed fetch mean."""
    log = f"git fetch:\n{stderr.strip()}\n"
    if _MISSING.search(stderr):
        return Fetching(
            "The commit is not in the repository any more: its branch was probably force-pushed or deleted.", log=log
        )
    if "returned error: 30" in stderr or "redirection" in stderr:
        return Fetching(
            f"{host} answered with a redirect, which is not followed: was the repository renamed or moved?",
            log=log,
            is_out_of_sight=True,
        )
    if re.search(r"repository '[^']*' not found", stderr) or "returned error: 404" in stderr:
        return Fetching(
            f"{host} says that there is no such repository, or the App may not read it: check its installation.",
            log=log,
            is_out_of_sight=True,
        )
    if _REFUSED.search(stderr):
        return Fetching(
            f"{host} did not let us read the repository: check the App's permission contents.",
            log=log,
            is_out_of_sight=True,
        )
    if unsafe := _UNSAFE.search(stderr):
        what = f" ({unsafe.group(1)})" if unsafe.group(1) else ""
        return Fetching(f"The repository holds an object that is not safe to check out{what}; see the log.", log=log)
    if _BROKEN.search(stderr):
        return Fetching(f"What {host} sent is broken; the log says why.", log=log, is_passing=True)
    if _DAMAGED.search(stderr):
        return Fetching("The mirror of the repository is damaged.", log=log, is_passing=True, is_damaged=True)
    if "No space left" in stderr or "Disk quota" in stderr:
        return Fetching("The disk is full while fetching: make room in the data folder.", log=log)
    return Fetching(f"The code could not be fetched from {host}; the log says why.", log=log, is_passing=True)
