"""Server-sent events: a frame's bytes, and a loop that sends what is new when somebody says so, or every five seconds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import orjson
import redis.asyncio as redis
import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from redis.exceptions import RedisError

from common.api import PROBLEM, problem
from common.errors import DomainError

LOOK_EVERY = 5.0  # seconds without a wake-up
COMMENT_EVERY = 15.0  # a line that keeps proxies from closing a quiet connection
AT_MOST_EVERY = 0.5  # many wake-ups in a row are one
LONGEST = (
    300.0  # then the client comes back, and who it is (a session that ended, a revoked token) is asked anew
)
log = structlog.get_logger("training.stream")


class Frame(NamedTuple):
    """One event."""

    event: str
    data: Any
    id: str | None = None

    def encode(self) -> bytes:
        """As it goes over the wire. JSON has no line breaks of its own, so one data line is enough."""
        head = f"id: {self.id}\n" if self.id is not None else ""
        body = orjson.dumps(self.data, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
        return f"{head}event: {self.event}\ndata: {body}\n\n".encode()


class News(NamedTuple):
    """What a look has found; `ended`: nothing will come any more."""

    frames: list[Frame]
    ended: bool


Look = Callable[[], Awaitable[News]]


async def stream(channels: Sequence[str], look: Look) -> AsyncIterator[bytes]:
    """Look once, then whenever a channel says that there is news, or LOOK_EVERY seconds have passed, until the end or for LONGEST."""
    yield b"retry: 3000\n\n"
    began = spoke = time.monotonic()
    async with _Listener(channels) as listener:
        while True:
            try:
                news = await look()
            except DomainError:  # The person was removed, or the thing: there is nothing further to tell.
                return
            for frame in news.frames:
                yield frame.encode()
                spoke = time.monotonic()
            if news.ended or time.monotonic() - began > LONGEST:
                return
            await asyncio.sleep(AT_MOST_EVERY)
            await listener.wait(LOOK_EVERY)
            if time.monotonic() - spoke > COMMENT_EVERY:
                spoke = time.monotonic()
                yield b": still here\n\n"


class _Listener:
    """Waits for a word on one of its channels. Without Valkey it only lets the time pass."""

    def __init__(self, channels: Sequence[str]) -> None:
        self.channels = channels
        self.client = redis.Redis.from_url(settings.PRECEPTOR_REDIS_URL, socket_connect_timeout=1)
        self.pubsub = self.client.pubsub(ignore_subscribe_messages=True)
        self.is_connected = False

    async def __aenter__(self) -> _Listener:
        with suppress(RedisError, OSError):
            await self.pubsub.subscribe(*self.channels)
            self.is_connected = True
        return self

    async def __aexit__(self, *_: object) -> None:
        with suppress(RedisError, OSError):
            await self.pubsub.aclose()  # type: ignore[no-untyped-call]  # redis-py left it bare
            await self.client.aclose()

    async def wait(self, seconds: float) -> None:
        """Return at the first word, or after `seconds`."""
        if not self.is_connected:
            await asyncio.sleep(seconds)
            return
        try:
            end = time.monotonic() + seconds
            while (left := end - time.monotonic()) > 0:
                if await self.pubsub.get_message(timeout=left) is not None:
                    break
            # What piled up meanwhile is told by the same look.
            while await self.pubsub.get_message(timeout=0) is not None:
                pass
        except (RedisError, OSError) as error:
            log.warning("channel_lost", channels=self.channels, error=type(error).__name__)
            self.is_connected = False


def answer(body: AsyncIterator[bytes]) -> StreamingHttpResponse:
    """The response; nothing between us and the browser may store or gather it."""
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingHttpResponse(body, content_type="text/event-stream", headers=headers)


def refuse(error: DomainError) -> HttpResponse:
    """Our error shape, which DRF's handler would make elsewhere."""
    body = problem(error.http_status, error.error_code, error.detail, errors=error.errors, extra=error.extra)
    return JsonResponse(body, status=error.http_status, content_type=PROBLEM)


def only_get(request: HttpRequest) -> HttpResponse | None:
    """405 for everything but GET."""
    if request.method == "GET":
        return None
    response = refuse(DomainError("Only GET is possible here.", code="method_not_allowed", status=405))
    response["Allow"] = "GET"
    return response
