"""uvicorn in this process, at a Unix socket."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.types import ASGIApp


@asynccontextmanager
async def serving(app: ASGIApp, path: str, keep_alive_s: int = 5) -> AsyncIterator[uvicorn.Server]:
    config = uvicorn.Config(
        app, uds=path, lifespan="off", log_level="error", timeout_keep_alive=keep_alive_s, timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    try:
        while not server.started:
            assert not task.done(), f"the server could not start at {path}"
            await asyncio.sleep(0.01)
        yield server
    finally:
        server.should_exit = True
        await task
