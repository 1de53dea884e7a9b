"""The server of gidgethub's documentation: verify, parse, route to a handler that does nothing. Nothing is kept.

https://gidgethub.readthedocs.io/en/latest/
"""

from __future__ import annotations

import sys

import uvloop
from aiohttp import web
from gidgethub import routing, sansio

router = routing.Router()


@router.register("pull_request", action="opened")
async def opened(event: sansio.Event) -> None:
    """Do nothing."""


async def receive(request: web.Request) -> web.Response:
    """As documented."""
    body = await request.read()
    event = sansio.Event.from_http(request.headers, body, secret=sys.argv[2])
    await router.dispatch(event)
    return web.Response(status=200)


if __name__ == "__main__":
    app = web.Application(client_max_size=26 * 1024**2)
    app.router.add_post("/webhook", receive)
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None, access_log=None, loop=uvloop.new_event_loop())
