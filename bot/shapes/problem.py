"""What is wrong with a request, as programs read it."""

from __future__ import annotations

from bot.shapes.shape import Shape

PROBLEM_TYPE = "application/problem+json"


class Problem(Shape, frozen=True, kw_only=True):
    """Why a request was not answered. https://www.rfc-editor.org/rfc/rfc9457"""

    #: The status says all that there is to tell apart.
    type: str = "about:blank"
    title: str
    status: int
    detail: str
