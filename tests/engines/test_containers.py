"""Jobs in containers of Podman, with real images of this machine's own programs."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from msgspec.structs import replace

from bot import errors
from bot.engines import contract
from bot.engines.local import engine as local
from bot.engines.local import podman
from bot.model import job
from bot.store import Store
from tests.acceptance import process
from tests.engines import images, jobs, stores, supervisors
from tests.engines.conftest import Open

pytestmark = pytest.mark.skipif(not images.is_possible(), reason="podman or busybox is not installed")

#: Answers on port 8000, once it is asked to: then it is healthy.
SERVER = """#!/bin/sh
echo "serving with $GREETING"
sleep 0.3
touch /tmp/ready
while :; do printf 'HTTP/1.0 200 OK\\r\\n\\r\\n%s' "$GREETING" | nc -l -p 8000 > /dev/null; done
"""


@pytest.fixture(autouse=True)
def store(data_dir: Path) -> Iterator[podman.Podman]:
    """Podman of the engine, with a small image, one with git, and one that serves."""
    serving = images.make(files=(("bin/server", SERVER),), config='{"Cmd": ["server"]}')
    named = {stores.SMALL: images.make(), stores.TOOLS: images.make(has_git=True), stores.SERVER: serving}
    with stores.made(data_dir, named=named) as made:
        yield made


def boxed(
    request: contract.JobRequest,
    *,
    image: str | None = stores.SMALL,
    services: Mapping[str, job.Container] | None = None,
    **more: object,
) -> contract.JobRequest:
    """The request, in a container and with services."""
    container = None if image is None else job.Container(image=image, **more)  # type: ignore[arg-type]
    return dataclasses.replace(request, plan=replace(request.plan, container=container, services=services or {}))


async def left(store: podman.Podman, data_dir: Path) -> list[str]:
    """What is left of containers: nothing, once they are all taken away."""
    return await asyncio.to_thread(lambda: [*stores.containers(store), *stores.groups(data_dir)])


async def test_f8_a_job_whose_time_is_over_while_its_code_is_checked_out_has_overrun(
    open_engine: Open, code: jobs.Code, store: podman.Podman
) -> None:
    # With a git that never ends, the checkout is sure to be what the time is over in.
    stuck = images.make(has_git=True, files=(("usr/bin/git", "#!/bin/sh\nexec sleep 1000\n"),))
    await asyncio.to_thread(images.put, store.command, store.env, stuck, "localhost/stuck:1")
    engine = await open_engine(sandbox="podman", image="localhost/stuck:1")
    made = boxed(jobs.make(code.source(trust=jobs.TRUSTED), "true"))
    told = await jobs.run(engine, dataclasses.replace(made, timeout_seconds=2))
    # On a busy machine the containers are not there by then, which is told in the same words.
    assert (told.result, told.reason) == ("timed_out", "It ran longer than 2 seconds, its time limit.")
    assert told.steps == []


async def test_a_job_runs_in_one_container_from_its_first_step_to_its_last(
    open_engine: Open, code: jobs.Code, store: podman.Podman, data_dir: Path
) -> None:
    engine = await open_engine()
    steps = (
        "cat README.md; echo $FROM_IMAGE $PATH $TRACEPARENT; (sleep 1000 &); touch /opt/kept; echo word > $HOME/w",
        "ls /opt; cat ~/w; ps; echo err >&2; cat /etc/hosts; ls -A /sys; exit 3",
    )
    parents = tuple(f"00-{'ab' * 16}-{number:016x}-01" for number in (1, 2))
    asked = dataclasses.replace(jobs.make(code.source(trust=jobs.TRUSTED), *steps), trace_parents=parents)
    told = await jobs.run(engine, boxed(asked, env={"FROM_JOB": "it's\nme"}))
    assert (told.result, told.reason) == ("failed", "exit status 3")
    assert told.prepared.images["container"].startswith("localhost/small@sha256:")
    assert f"Image of container: {told.prepared.images['container']} (asked for as localhost/small:1)\n" in told.log
    assert f"hello\nyes /opt/own:/usr/bin:/bin {parents[0]}\nkept\nword\n" in told.log
    assert "sleep" not in told.log
    assert "err\n127.0.0.1 localhost" in told.log
    assert await left(store, data_dir) == []


@pytest.mark.long
async def test_every_job_runs_in_the_operators_image_where_containers_stand_for_the_sandbox(
    open_engine: Open, code: jobs.Code, store: podman.Podman, data_dir: Path
) -> None:
    engine = await open_engine(sandbox="podman", image=stores.TOOLS)
    script = 'git log --format=%H -1; echo "$0" $BASH_VERSION; echo x=1 >> $GITHUB_OUTPUT; cat src/main.c'
    told = await jobs.run(engine, jobs.make(code.source(), script))
    assert told.result == "passed", told.log
    assert code.sha in told.log
    assert "int main;" in told.log
    assert list(told.prepared.images) == ["sandbox"]
    # Its own image needs no git: the code comes by the operator's.
    told = await jobs.run(engine, boxed(jobs.make(code.source(trust=jobs.TRUSTED), "cat README.md; git version")))
    assert (told.result, told.reason) == ("failed", "exit status 127")
    assert "hello\n" in told.log
    assert await left(store, data_dir) == []


@pytest.mark.long
@pytest.mark.parametrize("image", [stores.SMALL, None], ids=["beside a container", "beside a sandbox"])
async def test_services_are_reached_by_their_names_once_they_are_healthy(
    open_engine: Open, code: jobs.Code, store: podman.Podman, data_dir: Path, image: str | None
) -> None:
    engine = await open_engine()

    async def secrets() -> contract.Secrets:
        return contract.Secrets({"WORD": "it's a\nsecret"})

    options = "--health-cmd 'test -e /tmp/ready' --health-interval 100ms --health-retries=100"
    env = {"GREETING": "hello ${{ secrets.WORD }}", "PLAIN": "a 'b'"}
    service = job.Container(image=stores.SERVER, env=env, ports=("8000:8000",), options=options)
    get = (
        "wget -q -O - http://web:8000/"
        if image
        else "exec 3<> /dev/tcp/web/8000; printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3"
    )
    request = jobs.make(code.source(trust=jobs.TRUSTED), f"{get} | od -c | head -30; cat /proc/net/dev")
    request = boxed(dataclasses.replace(request, secrets=secrets), image=image, services={"web": service})
    request = dataclasses.replace(request, plan=replace(request.plan, secret_names=("WORD",)))
    told = await jobs.run(engine, request)
    assert told.result == "passed", told.log
    assert "Waiting for the service web to become healthy." in told.log
    assert "h   e   l   l   o       i   t   '   s" in told.log
    assert "eth" not in told.log
    assert set(told.prepared.images) == {"web", *(["container"] if image else [])}
    assert await left(store, data_dir) == []
    kept = await asyncio.to_thread(lambda: [path for path in data_dir.rglob("*") if path.is_file() and holds(path)])
    assert kept == []


def holds(path: Path) -> bool:
    """Whether a file holds the secret of this test."""
    return b"it's a\nsecret" in path.read_bytes() or b"it's a\\nsecret" in path.read_bytes()


@pytest.mark.long
async def test_a_service_that_does_not_become_healthy_fails_the_job_with_its_last_words(
    open_engine: Open, code: jobs.Code, store: podman.Podman, data_dir: Path
) -> None:
    engine = await open_engine()
    options = "--health-cmd 'echo not yet; false' --health-interval 100ms --health-retries=2"
    services = {"web": job.Container(image=stores.SERVER, env={"GREETING": "me"}, options=options)}
    told = await jobs.run(engine, boxed(jobs.make(code.source(trust=jobs.TRUSTED), "echo ran"), services=services))
    assert (told.result, told.reason) == ("failed", "The service web did not become healthy; the log says more.")
    assert "The service web is not healthy: not yet. Its last lines:\nserving with me" in told.log
    assert "ran" not in told.log
    assert await left(store, data_dir) == []


@pytest.mark.long
async def test_a_service_that_ends_is_told(open_engine: Open, code: jobs.Code, store: podman.Podman) -> None:
    engine = await open_engine()
    services = {"web": job.Container(image=stores.SERVER, env={"GREETING": "me"})}
    stop = "until wget -q -O - http://web:8000/ > /dev/null; do sleep 0.1; done; echo ran"
    quick = {"web": job.Container(image=stores.SMALL)}
    told = await jobs.run(engine, boxed(jobs.make(code.source(trust=jobs.TRUSTED), stop), services=services))
    assert told.result == "passed", told.log
    assert "ended" not in told.log
    told = await jobs.run(engine, boxed(jobs.make(code.source(trust=jobs.TRUSTED), "echo ran"), services=quick))
    assert "The service web ended. It said nothing." in told.log


@pytest.mark.long
async def test_a_cancelled_job_is_asked_then_killed_and_its_containers_go(
    open_engine: Open, code: jobs.Code, store: podman.Podman, data_dir: Path
) -> None:
    engine = await open_engine(limits=local.Limits(grace_seconds=1.0))
    script = "trap 'echo asked' TERM; echo ready; while :; do sleep 100 & wait; done"
    request = boxed(jobs.make(code.source(trust=jobs.TRUSTED), script))
    await engine.start(request)
    await jobs.until(
        engine.events(request.job_id), lambda one: isinstance(one, contract.Output) and b"ready" in one.data
    )
    await engine.cancel(request.job_id, reason="enough")
    told = await jobs.follow(engine, request.job_id)
    assert (told.result, told.reason) == ("cancelled", "enough")
    assert "asked" in told.log
    assert await left(store, data_dir) == []


@pytest.mark.long
async def test_t57_nothing_is_left_of_a_job_whose_supervisor_was_killed(
    open_engine: Open, code: jobs.Code, store: podman.Podman, data_dir: Path
) -> None:
    engine = await open_engine()
    services = {"web": job.Container(image=stores.SERVER)}
    request = boxed(jobs.make(code.source(trust=jobs.TRUSTED), "echo ready; sleep 600"), services=services)
    await engine.start(request)
    await jobs.until(
        engine.events(request.job_id), lambda one: isinstance(one, contract.Output) and b"ready" in one.data
    )
    assert len(await asyncio.to_thread(stores.containers, store)) == 2
    (pid,) = supervisors.running(data_dir)
    os.kill(pid, signal.SIGKILL)
    told = await jobs.follow(engine, request.job_id)
    assert told.result == "errored"
    assert "supervisor was lost" in told.reason
    assert await left(store, data_dir) == []


@pytest.mark.long
async def test_what_is_left_of_a_job_that_nobody_knows_is_taken_away_at_the_start(
    open_engine: Open, store: podman.Podman, data_dir: Path
) -> None:
    def make() -> None:
        limits = [part for one in podman.limits_of_processes() for part in ("--ulimit", one)]
        store.run(
            "run", "-d", "--label", f"{podman.LABEL}=gone", "--network", "none", *limits, stores.SMALL, "sleep", "600"
        )

    await asyncio.to_thread(make)
    engine = await open_engine()
    await asyncio.gather(*engine._tasks)
    assert await left(store, data_dir) == []


@pytest.mark.long
async def test_t56_a_container_has_the_limits_of_every_job(
    open_engine: Open, code: jobs.Code, store: podman.Podman, data_dir: Path
) -> None:
    limits = contract.JobLimits(memory_bytes=128 << 20, processes=100, disk_bytes=64 << 20)
    engine = await open_engine(job_limits=limits)
    source = code.source(trust=jobs.TRUSTED)
    memory = await jobs.run(engine, boxed(jobs.make(source, "head -c 400m /dev/zero | tail > /dev/null")))
    assert (memory.result, "memory ran out" in memory.reason) == ("failed", True), (memory.reason, memory.log)
    many = "i=0; while [ $i -lt 200 ]; do sleep 100 & i=$((i+1)); done; echo all"
    processes = await jobs.run(engine, boxed(jobs.make(source, many)))
    assert (processes.result, "100 processes" in processes.reason) == ("failed", True), processes.reason
    for place in ("/tmp", "/opt"):
        # What is written over the image counts as what is written into the job's own folders.
        disk = await jobs.run(engine, boxed(jobs.make(source, f"head -c 90m /dev/zero > {place}/a; sleep 30; echo no")))
        assert (disk.result, "64 MiB" in disk.reason) == ("failed", True), (place, disk.reason)
    files = await jobs.run(engine, boxed(jobs.make(source, "ulimit -c; ulimit -n; head -c 65m /dev/zero > /opt/a")))
    assert (files.result, "64 MiB" in files.reason) == ("failed", True), files.reason
    assert await left(store, data_dir) == []
    assert (await jobs.run(engine, boxed(jobs.make(source, "true")))).result == "passed"


@pytest.mark.long
async def test_t53_t60_all_attempts_to_get_out_of_a_container_are_held(open_engine: Open, store: podman.Podman) -> None:
    engine = await open_engine(sandbox="podman", image=stores.TOOLS)
    found = await engine.test()
    assert {one.name: one.said for one in found if one.is_held is not True} == {}
    assert len(found) >= 40


@pytest.mark.long
async def test_a_container_without_a_shell_fails_in_words(
    open_engine: Open, code: jobs.Code, store: podman.Podman, data_dir: Path
) -> None:
    engine = await open_engine()
    await asyncio.to_thread(
        images.put, store.command, store.env, images.Image(layer=images.EMPTY, config={"Env": []}), "localhost/none:1"
    )
    told = await jobs.run(engine, boxed(jobs.make(code.source(trust=jobs.TRUSTED), "true"), image="localhost/none:1"))
    assert told.result == "failed"
    assert "has no `sh`" in told.reason
    assert await left(store, data_dir) == []


@pytest.mark.long
async def test_the_operators_image_has_to_be_named(open_engine: Open, code: jobs.Code) -> None:
    engine = await open_engine(sandbox="podman")
    told = await jobs.run(engine, jobs.make(code.source(), "true"))
    assert (told.result, "BUILDHOOK_SANDBOX_IMAGE" in told.reason) == ("errored", True)
    with pytest.raises(errors.EngineError, match="BUILDHOOK_SANDBOX_IMAGE"):
        await engine.test()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives containers a network of ours")
async def test_t55_a_job_in_a_container_reaches_the_listed_hosts_by_the_proxy_and_nothing_else(
    open_engine: Open, code: jobs.Code, store: podman.Podman, data_dir: Path
) -> None:
    engine = await open_engine(network="list", egress=contract.Egress(allow=("listed.invalid",)))
    port = urlsplit(code.server.address()).port
    script = (
        'echo "$https_proxy"; sed 1,2d /proc/net/dev | cut -d: -f1 | tr -d " "\n'
        "for host in evil.example listed.invalid; do\n"
        "printf 'CONNECT %s:443 HTTP/1.1\\r\\n\\r\\n' $host | nc 127.0.0.1 3128 | head -1; done\n"
        f"nc -w 1 127.0.0.1 {port} < /dev/null || echo closed\n"
    )
    told = await jobs.run(engine, boxed(jobs.make(code.source(trust=jobs.TRUSTED), script)))
    assert told.result == "passed", told.log
    lines = told.log.replace("\r", "").splitlines()
    interface, refused, *_ = lines[lines.index("http://127.0.0.1:3128") + 1 :]
    assert (interface, refused[:29]) == ("lo", "HTTP/1.1 403 evil.example:443")
    # The name of the list has no address anywhere, which the proxy tells apart from what it refuses.
    assert any("listed.invalid:443 cannot be resolved" in line for line in lines), lines
    assert "closed" in lines
    assert any("buildhook: network: evil.example:443 is not in the list" in line for line in lines)
    assert await left(store, data_dir) == []


@pytest.mark.long
@pytest.mark.skipif(os.geteuid() != 0, reason="only root's containers have a network")
async def test_t55_a_container_with_a_network_reaches_the_outside_and_nothing_of_this_host(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *("unshare", "--net", sys.executable, "-m", "tests.engines.outside_boxed", str(tmp_path / "world")),
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    said, _ = await process.communicate()
    found = json.loads(said.splitlines()[-1])
    assert found["trusted"] == ["passed", "reached 192.0.2.2", "reached 198.51.100.7", "nameserver 10.0.2.3"]
    assert found["untrusted"] == ["passed"]


@pytest.mark.long
async def test_the_attempts_of_an_operator_are_made_beside_a_service_with_its_images(
    data_dir: Path, store: podman.Podman, open_engine: Open, code: jobs.Code
) -> None:
    engine = await open_engine(sandbox="podman", image=stores.TOOLS)
    request = jobs.make(code.source(), "echo ready; until test -e ~/go; do sleep 0.1; done")
    await engine.start(request)
    await jobs.until(
        engine.events(request.job_id), lambda one: isinstance(one, contract.Output) and b"ready" in one.data
    )
    settings = {"BUILDHOOK_SANDBOX": "podman", "BUILDHOOK_SANDBOX_IMAGE": stores.TOOLS}
    # Where a service keeps what came of it.
    await (await Store(f"sqlite:///{data_dir / 'buildhook.db'}").open()).close()
    status, out, err = await process.run(
        *("engines", "test", "local", "--json"), environment={**process.environment(data_dir), **settings}
    )
    assert (status, err) == (0, ""), (out, err)
    assert {one["held"] for one in json.loads(out)} == {True}
    # The job that ran went on.
    await asyncio.to_thread((engine._disk.job(request.job_id).box / "home/go").touch)
    assert (await jobs.follow(engine, request.job_id)).result == "passed"
    assert [one.name for one in data_dir.iterdir() if one.name.startswith(".engines-test")] == []
