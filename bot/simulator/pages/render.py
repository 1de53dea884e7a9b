"""Values into HTML: escaped by jinja2, Markdown without raw HTML, and headers that let nothing foreign in."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import jinja2
import markdown_it
import markupsafe
from markdown_it.token import Token

from bot.simulator import github, values
from bot.simulator.pages import views

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def headers(leads_to: str = "") -> dict[str, str]:
    """The headers of a page; `leads_to` is an origin that its form ends at, by a redirect."""
    if not leads_to:
        return HEADERS
    # Chromium asks the policy about the redirect behind a form as well.
    policy = HEADERS["Content-Security-Policy"].replace("form-action 'self'", f"form-action 'self' {leads_to}")
    return {**HEADERS, "Content-Security-Policy": policy}


#: Tags without attributes that GitHub shows in Markdown and that cannot do harm.
_HARMLESS = re.compile(r"&lt;(/?(?:details|summary|kbd|sub|sup)|details open|br ?/?)&gt;")

_COLOURS = ("#0e7490", "#7c3aed", "#b45309", "#be185d", "#15803d", "#1d4ed8", "#9f1239", "#4d7c0f")


class Renderer:
    """Renders pages with their templates."""

    def __init__(self) -> None:
        folder = pathlib.Path(__file__).with_name("templates")
        self._environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(folder),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters.update(
            markdown=markdown, when=_when, short=_short, headline=_headline, diff=_diff_lines
        )

    def render(self, page: views.Page, *, its_world: github.GitHub, person: str, path: str) -> str:
        """The page, for whoever acts as `person` and asked for `path`."""
        template = self._environment.get_template(page.template)
        deliveries = its_world.deliveries
        failed = sum(delivery.status_code >= 400 for delivery in deliveries)
        people = sorted(user.login for user in its_world.users.values() if user.type != "Organization")
        return template.render(
            title=page.title,
            failed_deliveries=failed,
            webhook_url=its_world.webhook_url,
            person=person,
            people=people,
            here=path,
            **page.context,
        )


def _text(tokens: Sequence[Token], index: int, options: Any, environment: Any) -> str:
    return _HARMLESS.sub(r"<\1>", str(markupsafe.escape(tokens[index].content)))


def _make_markdown() -> markdown_it.MarkdownIt:
    made = markdown_it.MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    made.add_render_rule("text", lambda renderer, *arguments: _text(*arguments))
    return made


_MARKDOWN = _make_markdown()


def markdown(text: str | None) -> markupsafe.Markup:
    """Markdown as HTML: raw HTML stays text, but for a few tags that fold or decorate."""
    # The renderer escapes the text and lets no markup of it through.
    return markupsafe.Markup(_MARKDOWN.render(text or ""))  # noqa: S704


def _when(at: datetime | None) -> markupsafe.Markup:
    if at is None:
        return markupsafe.Markup("")
    return markupsafe.Markup('<time datetime="{}">{} UTC</time>').format(
        values.stamp(at), at.strftime("%Y-%m-%d %H:%M:%S")
    )


def _short(sha: str) -> str:
    return sha[:7]


def _headline(message: str) -> str:
    return message.partition("\n")[0]


def _diff_lines(patch: str | None) -> list[tuple[str, str]]:
    """Each line of a patch with what it is: `add`, `remove`, `hunk` or `same`."""
    kinds = {"+": "add", "-": "remove", "@": "hunk"}
    return [(kinds.get(line[:1], "same"), line) for line in (patch or "").split("\n") if patch]


def avatar(number: int, login: str) -> str:
    """A picture for an account: its first letter on a colour of its own."""
    letter = markupsafe.escape(login[:1].upper())
    colour = _COLOURS[number % len(_COLOURS)]
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 40 40">'
        f'<rect width="40" height="40" fill="{colour}"/>'
        '<text x="20" y="21" fill="#fff" font-family="sans-serif" font-size="20" font-weight="600" '
        f'text-anchor="middle" dominant-baseline="central">{letter}</text></svg>'
    )
