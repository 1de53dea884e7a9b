"""A process that writes deliveries until it is killed, and says each id once it was told that it is stored.

python -m tests.store.writer PATH
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sys

from bot.store import Store, deliveries
from tests.factories import make_verified_delivery


async def main(path: str) -> None:
    """Write for ever."""
    store = await Store(f"sqlite:///{path}").open()
    numbers = itertools.count()

    async def write_on() -> None:
        while True:
            batch = [make_verified_delivery(guid=f"g-{next(numbers)}", body=os.urandom(5000)) for _ in range(3)]
            await store.write(deliveries.insert_many, batch)
            os.write(1, "".join(f"{one.guid}\n" for one in batch).encode())

    async def checkpoint_on() -> None:
        while True:
            await store.checkpoint()
            await asyncio.sleep(0.001)

    await asyncio.gather(checkpoint_on(), *(write_on() for _ in range(3)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
