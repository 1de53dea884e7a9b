"""The API: what the pages show, for programs; each operation names its shapes, and its description is made of them."""

from bot.web.api.routes import OPERATIONS, routes

__all__ = ["OPERATIONS", "routes"]
