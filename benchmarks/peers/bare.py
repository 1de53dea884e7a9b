"""The floor: aiohttp reads the body and answers; nothing is proved and nothing is kept."""

from __future__ import annotations

import sys

import uvloop
from aiohttp import web


async def receive(request: web.Request) -> web.Response:
    """Read and answer."""
    await request.read()
    return web.Response(status=202)


if __name__ == "__main__":
    app = web.Application(client_max_size=26 * 1024**2)
    app.router.add_post("/webhook", receive)
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None, access_log=None, loop=uvloop.new_event_loop())
