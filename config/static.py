"""Built front-end files, compressed beforehand, straight from ASGI; WhiteNoise decides headers and encodings."""

import re
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from whitenoise import WhiteNoise

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
App = Callable[[dict[str, Any], Receive, Send], Awaitable[None]]

# Vite puts eight characters of a content hash before the ending: such a file never changes.
HASHED = re.compile(r"/assets/[^/]+-[A-Za-z0-9_-]{8}\.[a-z0-9]+$")
BLOCK = 256 * 1024


class StaticFiles:
    """ASGI middleware for `/static/`; everything else is the inner application's."""

    def __init__(self, inner: App) -> None:
        self.inner = inner
        dist: Path = settings.FRONTEND_DIST
        found = WhiteNoise(
            None,
            root=str(dist) if dist.is_dir() else None,
            prefix=settings.STATIC_URL,
            max_age=60,
            allow_all_origins=False,
            add_headers_function=_harden,
            immutable_file_test=HASHED.pattern,
        )
        self.files = {url: file for url, file in found.files.items() if "/." not in url}

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Handle one request."""
        found = self.files.get(scope["path"]) if scope["type"] == "http" else None
        if found is None:
            await self.inner(scope, receive, send)
            return
        response = found.get_response(scope["method"], _environ(scope["headers"]))
        headers = [
            (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in response.headers
        ]
        await send({"type": "http.response.start", "status": int(response.status), "headers": headers})
        if response.file is not None:
            with response.file as file:
                while block := await sync_to_async(file.read, thread_sensitive=False)(BLOCK):
                    await send({"type": "http.response.body", "body": block, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def _environ(headers: list[tuple[bytes, bytes]]) -> Mapping[str, str]:
    names = {b"accept-encoding", b"range", b"if-none-match", b"if-modified-since"}
    return {
        f"HTTP_{name.decode().upper().replace('-', '_')}": value.decode("latin-1")
        for name, value in headers
        if name in names
    }


def _harden(headers: Any, path: str, url: str) -> None:
    headers["X-Content-Type-Options"] = "nosniff"
    headers["Cross-Origin-Resource-Policy"] = "same-origin"
