"""Sentences as HTML: what stands between backticks is code, commits are short, builds are links; pure.

The same sentences go to GitHub as Markdown, and to terminals as they are. Names from outside stand in them: all is
escaped, and a link leads nowhere but to a page of a build.
"""

from __future__ import annotations

import re

from markupsafe import Markup

from bot.web import ansi

_WORDS = re.compile(
    r"`(?P<code>[^`\n]+)`|\b(?P<sha>[0-9a-f]{40})\b|(?<=\b[Bb]uild )(?P<build>[0-9A-HJKMNP-TV-Z]{26})\b", re.ASCII
)
_SHORT = 7


def html(text: str | None) -> Markup:
    """A sentence as HTML; nothing for None."""
    made, at = Markup(), 0
    for found in _WORDS.finditer(text or ""):
        made += ansi.visible(found.string[at : found.start()])
        made += _one(found)
        at = found.end()
    return made + ansi.visible((text or "")[at:])


def _one(found: re.Match[str]) -> Markup:
    shown = ansi.visible(found[found.lastgroup or 0])
    if found.lastgroup == "code":
        return Markup("<code>{}</code>").format(shown)
    if found.lastgroup == "sha":
        return Markup('<code class="long" title="{}">{}</code>').format(shown, shown[:_SHORT])
    return Markup('<a class="inline" href="/builds/{}"><code class="long">{}</code></a>').format(shown, shown)
