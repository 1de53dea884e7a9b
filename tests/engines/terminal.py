"""A service that was started from a terminal: `python -m tests.engines.terminal DATA_DIR`, with a terminal of its own.

Runs one job that tries to type into it, and prints what the job said.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from bot.engines.local import engine as local
from tests.engines import gitserver, jobs

#: TIOCSTI types a letter, TIOCLINUX (3) pastes the selection; tried on whatever may be the terminal.
EXPLOIT = """
import errno, fcntl, os
places = ["/dev/tty", "/dev/console", *(f"/proc/{one}/fd/0" for one in os.listdir("/proc") if one.isdigit())]
fds = [0, 1, 2, *range(3, 20)]
for place in places:
    try:
        fds.append(os.open(place, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK))
    except OSError:
        continue
for fd in fds:
    if os.path.exists(f"/proc/self/fd/{fd}") and os.isatty(fd):
        print("a terminal:", fd, os.ttyname(fd))
    for command, argument in ((0x5412, b"x"), (0x541C, b"\\x03")):
        try:
            fcntl.ioctl(fd, command, argument)
            print("typed into", fd)
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.EBADF):
                print(fd, hex(command), errno.errorcode[error.errno])
print("tried", len(fds) > 20)
"""


async def _main() -> None:
    folder = Path(sys.argv[1])
    # There is one to be typed into.
    os.close(os.open("/dev/tty", os.O_RDWR))
    async with gitserver.serve(folder / "git") as server:
        repository = server.repository()
        code = jobs.Code(server, repository, repository.commit({"exploit.py": EXPLOIT}))
        engine = local.Local(folder / "data")
        await engine.open()
        for trust in (jobs.UNTRUSTED, jobs.TRUSTED):
            told = await jobs.run(engine, jobs.make(code.source(trust=trust), "/usr/bin/python3 exploit.py"))
            print(told.result, told.log.split())  # noqa: T201
        await engine.close()


if __name__ == "__main__":
    asyncio.run(_main())
