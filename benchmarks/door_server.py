"""Our door and inbox as shipped, without the work behind them: every answer stands for a durable row."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

import uvloop
from aiohttp import web

from bot import garbage, telemetry
from bot.listener import Listener
from bot.store import Store
from bot.webhooks import door, inbox


async def main(port: int, secret: str) -> None:
    """Serve until killed."""
    with tempfile.TemporaryDirectory() as folder:
        store = await Store(f"sqlite:///{Path(folder) / 'door.db'}").open()
        metrics = telemetry.Metrics()
        box = inbox.Inbox(store, metrics=metrics, on_stored=lambda _: None, max_rows=10**9, max_bytes=10**12)
        credentials = door.Credentials(app_id=1234567, secrets=(secret.encode(),))
        front = door.Door(box, credentials=lambda: credentials, metrics=metrics, known_events=frozenset())
        app = web.Application()
        app.add_routes(front.routes())
        listener = Listener(app, host="127.0.0.1", port=port)
        await listener.open()
        async with asyncio.TaskGroup() as group:
            group.create_task(box.run())
            while True:
                await asyncio.sleep(1)
                await store.checkpoint()


if __name__ == "__main__":
    telemetry.configure_logs(level="error", is_terminal=False)
    garbage.settle()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(int(sys.argv[1]), sys.argv[2]))
