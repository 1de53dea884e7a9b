"""`buildhook simulator`, as another process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import aiohttp

from bot.settings import PREFIX, Settings


async def test_what_it_prints_is_what_a_service_needs(tmp_path: Path) -> None:
    """Each line is a setting, and with the client's people could sign in."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot", "simulator", "--folder", str(tmp_path / "github"), "--port", "0", "--json"),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        told = json.loads(await process.stdout.readline())
        settings = told["settings"]
        names = {name.removeprefix(PREFIX).removesuffix("_FILE").lower() for name in settings}
        assert names <= set(Settings.__struct_fields__)
        assert {"app_id", "private_key", "webhook_secret", "client_id", "client_secret"} <= names
        file = tmp_path / "github/service.env"
        assert file.stat().st_mode & 0o777 == 0o600
        assert file.read_text().splitlines() == [f"{name}={value}" for name, value in settings.items()]
        cloned = tmp_path / "hello"
        helper = f"store --file {tmp_path / 'github/git-credentials'}"
        url = f"{told['url']}/octo/hello.git"
        env = {**os.environ, "GIT_TERMINAL_PROMPT": "0"}
        for arguments in (
            ("clone", "-q", "-c", f"credential.helper={helper}", "--", url, str(cloned)),
            ("-C", str(cloned), "push", "-q", "origin", "HEAD:refs/heads/topic"),
        ):
            git = await asyncio.create_subprocess_exec("git", *arguments, env=env)
            assert await git.wait() == 0
        form = {
            "client_id": settings["BUILDHOOK_CLIENT_ID"],
            "client_secret": settings["BUILDHOOK_CLIENT_SECRET"],
            "code": "x",
        }
        headers = {"Accept": "application/json"}
        url = f"{told['url']}/login/oauth/access_token"
        async with aiohttp.ClientSession() as session, session.post(url, data=form, headers=headers) as answer:
            # Ours, so only the code is wrong.
            assert (await answer.json())["error"] == "bad_verification_code"
    finally:
        process.send_signal(signal.SIGTERM)
        await process.communicate()
    assert process.returncode == 0
