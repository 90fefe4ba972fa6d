"""A job's results as server-sent events, for readers that come and go."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator

from starlette.concurrency import run_in_threadpool

from carvid.service.jobs import ENDED, Job

HEARTBEAT_SECONDS = 15.0
_LOOK_SECONDS = 0.1
_MOST_BYTES = 1 << 20


async def job_events(
    job: Job, first: int, heartbeat_seconds: float = HEARTBEAT_SECONDS
) -> AsyncIterator[bytes]:
    """An event `frame` for each result from `first` on, counted from 0, then one named after the state it ended in.

    A frame's id is its place among the results, counted from 1, so that a reader's last id is the next `first`.
    """
    told = time.monotonic()
    while True:
        # The state first: once it has ended there come no more results.
        ended = job.state in ENDED
        lines = await run_in_threadpool(job.results, first, _MOST_BYTES)
        for line in lines:
            first += 1
            yield f"id: {first}\nevent: frame\ndata: {line}\n\n".encode()
        if lines:
            told = time.monotonic()
            continue
        if ended:
            yield f"event: {job.state}\ndata: {json.dumps(job.to_json())}\n\n".encode()
            return
        if time.monotonic() - told >= heartbeat_seconds:
            yield b": still here\n\n"
            told = time.monotonic()
        await asyncio.sleep(_LOOK_SECONDS)
