"""GitHub for demos, tests and people without an account: the real protocol over real HTTP, imports nothing of ours."""

from __future__ import annotations

from bot.simulator.git import GitError
from bot.simulator.simulator import Simulator, serve
from bot.simulator.values import CheckRun, Delivery, Link, PullRequest, RecordedRequest, Repository
from bot.simulator.world import SimulatorError

__all__ = [
    "CheckRun",
    "Delivery",
    "GitError",
    "Link",
    "PullRequest",
    "RecordedRequest",
    "Repository",
    "Simulator",
    "SimulatorError",
    "serve",
]
