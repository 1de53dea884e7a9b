"""Pages to look at the simulated GitHub with: repositories, pull requests with their checks, deliveries."""

from __future__ import annotations

from bot.simulator.pages.site import Pages

__all__ = ["Pages"]
