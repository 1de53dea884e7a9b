"""GitHub's REST API, as far as a GitHub App that builds needs it."""

from __future__ import annotations

from bot.simulator.rest import apps, checks, comments, commits, contents, deliveries, meta, people, pulls, repositories

#: Every operation, in the order in which paths are tried.
ROUTES = (
    *apps.ROUTES,
    *people.ROUTES,
    *deliveries.ROUTES,
    *meta.ROUTES,
    *checks.ROUTES,
    *contents.ROUTES,
    *pulls.ROUTES,
    *comments.ROUTES,
    *repositories.ROUTES,
    *commits.ROUTES,
    *commits.LAST_ROUTES,
)
