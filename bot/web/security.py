"""Response headers: a page can load nothing from elsewhere, run nothing written into it, and be framed by nobody."""

from __future__ import annotations

from aiohttp import web

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "style-src 'self'",
        "script-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        # Script may put HTML into a page only through the one policy in `static/site.js`.
        "require-trusted-types-for 'script'",
        "trusted-types server",
    )
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Server": "buildhook",
}


#: Noted on the request by the one page whose form leads elsewhere: the origin that it leads to.
LEADS_TO: web.RequestKey[str] = web.RequestKey("leads_to", str)
#: Set on an answer that other sites may show: GitHub and everybody else, for badges.
EMBEDDABLE = web.ResponseKey("embeddable", bool)


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Called by aiohttp for every answer, just before it is sent."""
    for name, value in HEADERS.items():
        response.headers[name] = value
    if (leads_to := request.get(LEADS_TO)) is not None:
        policy = CONTENT_SECURITY_POLICY.replace("form-action 'self'", f"form-action 'self' {leads_to}")
        response.headers["Content-Security-Policy"] = policy
    if response.get(EMBEDDABLE):
        response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    response.headers.setdefault("Cache-Control", "no-store")
