"""Where somebody goes after they have signed in: to a page of ours and nowhere else. Pure."""

from __future__ import annotations

import re
from urllib.parse import unquote

#: Longer than every page's address.
_MOST = 1000
#: What a browser may take for the start of another site: `//`, `/\\`, and either of them written out.
_AWAY = re.compile(r"/[/\\]")
_PATH = re.compile(r"/[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*", re.ASCII)
#: Leads round in a circle, or changes something.
_NOT_AFTER = ("/login", "/logout")


def after(wanted: str) -> str:
    """The page that was wanted, if it is one of ours; else the first one.

    https://cheatsheetseries.owasp.org/cheatsheets/Unvalidated_Redirects_and_Forwards_Cheat_Sheet.html
    """
    decoded = unquote(unquote(wanted))
    is_ours = (
        len(wanted) <= _MOST
        and _PATH.fullmatch(wanted) is not None
        and not any(_AWAY.match(one) for one in (wanted, decoded))
        and decoded.isprintable()
        and not wanted.startswith(_NOT_AFTER)
    )
    return wanted if is_ours else "/"
