"""A job that nobody works on: claimed to be prepared, gone on with after a restart, or ended in words."""

from __future__ import annotations

from bot.engines import contract
from bot.engines.local import cgroups, containers, folder, podman

_LOST = "The job's supervisor was lost: it was killed, or this machine was restarted. Run the job again."
_FORGOTTEN = "The service was restarted while it prepared this job, and nobody started it again. Run the job again."


def claim(place: folder.Folder, claims: list[folder.Claim]) -> bool:
    """Try to claim the job; returns whether that came out one way or the other."""
    if (claim := place.claim()) is not None:
        claims.append(claim)
        return True
    return place.was_launched()


def look_after(
    place: folder.Folder, *, is_late: bool, held: cgroups.Cgroups, program: podman.Podman
) -> contract.JobRequest | bool:
    """End what is lost or cancelled; gives a request back that can be gone on with, or whether the job was over."""
    claim = place.claim()
    if claim is None:
        return False
    with claim:
        if claim.is_finished:
            return True
        if not claim.is_fresh:
            containers.clear(program, held, place.job_id)
            held.clear(place.job_id)
            claim.finish(contract.Result.ERRORED, _LOST, log=place.last_words())
            return False
        if (reason := place.cancel_reason()) is not None:
            claim.finish(contract.Result.CANCELLED, reason)
            return False
        request, needs_more = place.request()
        if not needs_more:
            return request
        if is_late:
            claim.finish(contract.Result.ERRORED, _FORGOTTEN)
        return False
