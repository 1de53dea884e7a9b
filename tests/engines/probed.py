"""What jobs reach of the network, by each setting: 34 targets that none may reach, and some that the setting allows.

`python -m tests.engines.probed FOLDER SETTING` in the namespaces of a `world`; prints as JSON at which addresses each
target was reached from "this host" itself, by a job of trusted code, and by one of untrusted code.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from bot import egress
from bot.engines import contract
from bot.engines.local import engine as local
from bot.model import build
from tests.engines import gitserver, jobs, world

#: What no job may reach, as a program may write it.
TARGETS = {
    "metadata": "169.254.169.254",
    "metadata of tasks": "169.254.170.2",
    "metadata at a shared address": "100.100.100.200",
    "metadata at a public address": "168.63.129.16",
    "metadata at a protocol's address": "192.0.0.192",
    "metadata, IPv6": "fd00:ec2::254",
    "metadata, another IPv6": "fd20:ce::254",
    "metadata, mapped": "::ffff:169.254.169.254",
    "metadata, translated": "64:ff9b::a9fe:a9fe",
    "metadata, tunnelled": "2002:a9fe:a9fe::1",
    "metadata by its name": "metadata.google.internal",
    "a neighbour of one link": "169.254.1.1",
    "a neighbour of one link, IPv6": "fe80::1",
    "loopback": "127.0.0.1",
    "another loopback": "127.8.9.10",
    "loopback by its name": "localhost",
    "loopback, IPv6": "::1",
    "loopback, mapped": "::ffff:127.0.0.1",
    "loopback, short": "127.1",
    "loopback as a number": "2130706433",
    "loopback, hexadecimal": "0x7f000001",
    "this host, unspecified": "0.0.0.0",
    "this host, unspecified, IPv6": "::",
    "this host": "192.0.2.1",
    "this host, another address": "203.0.113.9",
    "this host, an address like anybody's": "8.8.4.4",
    "this host, IPv6": "2001:db8::1",
    "this host, mapped": "::ffff:192.0.2.1",
    "this host by its name": "own.example",
    "this host's loopback by the gateway": "10.0.2.2",
    "a name that changes its mind": "rebind.example",
    "several receivers": "224.0.0.1",
    "all receivers": "255.255.255.255",
    "a service of this network, IPv6": world.INTERNAL_6,
}
#: What only the setting `full`, or a word of the policy, lets a job reach.
INTERNAL = {"a service of this network": world.INTERNAL, "the same by its name": "internal.example"}
#: What a list allows.
LISTED = {
    "what is listed": "www.example",
    "what is below a listed domain": "deep.wild.example",
    "what is listed, IPv6": "six.example",
    "what the list calls private": "mirror.example",
}
ALL = TARGETS | INTERNAL | LISTED
_BY_WILDCARD = ("deep.wild.example",)
_TRY = r"""
set +e
cat > try.sh <<'END'
exec 3<> "/dev/tcp/$3/$4" || exit
printf "$5" >&3
while read -r -t 4 -u 3 line; do case $line in reached*) echo "reached $1 $2 ${line#reached }";; esac; done
END
asked() { timeout 5 bash try.sh "$index" "$way" "$@" 2> /dev/null; }
index=0
for host in HOSTS; do
    case $host in *:*) shown="[$host]";; *) shown=$host;; esac
    case $host in rebind*) times='1 2 3';; *) times=1;; esac
    for time in $times; do
        way=directly; asked $host PORT '' &
        way=tunnel; asked 127.0.0.1 3128 "CONNECT $shown:PORT HTTP/1.1\r\nHost: $shown\r\n\r\n" &
        way=plain; asked 127.0.0.1 3128 "GET http://$shown:PORT/ HTTP/1.1\r\nHost: $shown\r\n\r\n" &
    done
    test $((index % 10)) = 9 && wait
    index=$((index + 1))
done
wait
true
"""


def listed() -> contract.Egress:
    """A list that has all that can be listed, so that whatever is not reached was refused for its address."""
    allow = []
    for host in ALL.values():
        if host not in {*_BY_WILDCARD, "mirror.example"}:
            text = f"[{host}]:{world.PORT}" if ":" in host else f"{host}:{world.PORT}"
            try:
                allow.append(str(egress.entry(text)))
            except ValueError:
                continue
    return contract.Egress(
        allow=(*allow, f"*.wild.example:{world.PORT}"), allow_private=(f"mirror.example:{world.PORT}",)
    )


async def _reached(engine: local.Local, code: jobs.Code, trust: build.Trust) -> dict[str, list[str]]:
    script = _TRY.replace("HOSTS", " ".join(ALL.values())).replace("PORT", str(world.PORT))
    told = await jobs.run(engine, jobs.make(code.source(trust=trust), script))
    assert told.result == "passed", told.log
    found: dict[str, set[str]] = {name: set() for name in ALL}
    for line in told.log.splitlines():
        if line.startswith("reached "):
            _, index, way, address = line.split()
            found[list(ALL)[int(index)]].add(f"{way} {address}")
    return {name: sorted(one) for name, one in found.items()}


async def _answers(address: str) -> bool:
    try:
        reader, writer = await asyncio.open_connection(address, world.PORT)
    except OSError:
        return False
    said = await reader.read()
    writer.close()
    return said.startswith(b"reached")


async def _main() -> None:
    folder, setting = Path(sys.argv[1]), sys.argv[2]
    async with world.made(folder / "world"), gitserver.serve(folder / "git") as server:
        repository = server.repository()
        code = jobs.Code(server, repository, repository.commit({"a": "a"}))
        engine = local.Local(folder / "data", network=setting, egress=listed())
        await engine.open()
        found = {
            "unanswered": [one for one in (*world.OWN, *world.OUTSIDE, "127.0.0.1", "::1") if not await _answers(one)],
            "trusted": await _reached(engine, code, jobs.TRUSTED),
            "untrusted": await _reached(engine, code, jobs.UNTRUSTED),
        }
        await engine.close()
    print(json.dumps(found))  # noqa: T201


if __name__ == "__main__":
    asyncio.run(_main())
