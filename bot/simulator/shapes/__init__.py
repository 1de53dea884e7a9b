"""Every noun as the JSON that GitHub's API and webhooks show, judged by `openapi.py` in the tests."""

from __future__ import annotations

from bot.simulator.shapes import accounts, pushes

Body = accounts.Body
node_id = accounts.node_id


class Shapes(pushes.PushShapes):
    """All shapes, with URLs that begin with `origin`, where this simulator listens."""
