"""The result of a value that may be a coroutine, in a worker as well as where an event loop runs already."""

from __future__ import annotations

import asyncio
import inspect
from concurrent.futures import ThreadPoolExecutor
from typing import Any


def result_of(value: Any) -> Any:
    """What an awaitable gives when it is run to its end; a value of any other type is returned as it is."""
    if not inspect.isawaitable(value):
        return value
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(_wait(value))
    with ThreadPoolExecutor(1) as thread:  # a loop cannot be entered twice
        return thread.submit(asyncio.run, _wait(value)).result()


async def _wait(value: Any) -> Any:
    return await value
