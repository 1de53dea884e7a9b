"""Templates: every value is escaped, characters that deceive the eye are written out, a missing name is an error."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from markupsafe import Markup

from bot.model import report
from bot.store import results
from bot.web import ansi, loglines, phrases, prose, states
from bot.web.assets import Assets
from bot.web.viewing import BARE, Shell

if TYPE_CHECKING:
    import jinja2

_FOLDER = Path(__file__).parent / "templates"


class Templates:
    """All templates: read at once, so that a request never waits for the disk, and made when they are first shown."""

    def __init__(self, assets: Assets) -> None:
        self._texts = {path.name: path.read_text("utf-8") for path in _FOLDER.iterdir()}
        self._assets = assets

    @functools.cached_property
    def environment(self) -> jinja2.Environment:
        """Made with the first page: many a service is never looked at."""
        import jinja2

        environment = jinja2.Environment(
            loader=jinja2.DictLoader(self._texts),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
            finalize=_shown,
        )
        environment.globals.update(
            asset=self._assets.path, digest=_digest, look=states.look, row=loglines.html, took=phrases.took
        )
        environment.filters.update(
            age=phrases.age,
            count=phrases.count,
            deed=phrases.deed,
            duration=phrases.duration,
            event_name=phrases.event_name,
            instant=phrases.instant,
            place=phrases.place,
            prose=prose.html,
            reference=phrases.reference,
            short=phrases.short,
            size=phrases.size,
            who=phrases.who,
        )
        return environment

    def render(self, name: str, context: object, *, shell: Shell = BARE) -> str:
        """A template with the fields of a context value.

        :param shell: what stands around it.
        :raises jinja2.UndefinedError: if the template uses what the context does not give.
        """
        assert isinstance(context, msgspec.Struct)
        values = msgspec.structs.asdict(context)
        return self.environment.get_template(name).render(values, shell=shell)


def _digest(case: report.Case) -> str:
    return results.digest(case).hex()


def _shown(value: Any) -> Any:
    return ansi.visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value
