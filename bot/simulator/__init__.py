"""GitHub for demos, tests and people without an account: the real protocol over real HTTP, imports nothing of ours."""

from __future__ import annotations

from bot.simulator.git import GitError
from bot.simulator.protecting import MergeState
from bot.simulator.simulator import Simulator, serve
from bot.simulator.values import (
    CheckRun,
    Comment,
    Delivery,
    Link,
    MergeGroup,
    PullRequest,
    RecordedRequest,
    Repository,
)
from bot.simulator.world import SimulatorError

__all__ = [
    "CheckRun",
    "Comment",
    "Delivery",
    "GitError",
    "Link",
    "MergeGroup",
    "MergeState",
    "PullRequest",
    "RecordedRequest",
    "Repository",
    "Simulator",
    "SimulatorError",
    "serve",
]
