"""Artifacts as programs read them."""

from __future__ import annotations

from bot.model import artifact
from bot.shapes.shape import Instant, Shape, taken


class Artifact(Shape, frozen=True, kw_only=True):
    """Files of a job that are kept when it has ended, as one zip."""

    id: str
    job_id: str
    name: str
    size_bytes: int
    sha256: str
    files: int
    created_at: Instant
    expires_at: Instant | None


def of_artifact(one: artifact.Artifact) -> Artifact:
    """An artifact."""
    return taken(Artifact, one)
