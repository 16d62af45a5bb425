"""A real browser on a real server, with a record of everything that must never happen in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from config.prepare import chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Dialog, Page

    from accounts.models import User

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WATCH_POLICY = """
addEventListener("securitypolicyviolation", (event) =>
  console.error(`policy violation: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
"""

skip_browser = pytest.mark.skipif(
    os.environ.get("PRECEPTOR_SKIP_BROWSER") == "1", reason="PRECEPTOR_SKIP_BROWSER=1"
)


class Visit:
    """One person's browser window. `wrongs` is what happened in it that must not; a test ends with it empty."""

    def __init__(self, context: BrowserContext, address: str) -> None:
        self.context = context
        self.address = address
        self.wrongs: list[str] = []
        context.add_init_script(WATCH_POLICY)
        self.page: Page = self._tab()

    def _tab(self) -> Page:
        page = self.context.new_page()
        page.on("dialog", self._dialog)
        page.on("pageerror", lambda error: self.wrongs.append(f"error: {error}"))
        page.on("console", lambda line: self._console(line.type, line.text))
        page.on("popup", lambda popup: self.wrongs.append(f"popup: {popup.url}"))
        page.on("request", lambda request: self._request(request.url))
        return page

    def leave_and_come_back(self, path: str) -> None:
        """Close the tab, and later open a page of the application in another one."""
        self.page.close()
        self.page = self._tab()
        self.open(path)

    def _dialog(self, dialog: Dialog) -> None:
        self.wrongs.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _console(self, kind: str, text: str) -> None:
        # A request that fails by design (offline, refused) is logged by the browser itself.
        if kind == "error" and "Failed to load resource" not in text:
            self.wrongs.append(f"console: {text}")

    def _request(self, url: str) -> None:
        if not url.startswith((self.address, "data:", "blob:")):
            self.wrongs.append(f"request: {url}")

    def sign_in(self, user: User) -> None:
        """Come in as `user` the way people do: by a link and a button."""
        from accounts.services import make_sign_in_link

        _, secret = make_sign_in_link(user=user)
        self.page.goto(f"{self.address}/sign-in#{secret}")
        self.page.get_by_role("button", name="Sign in").click()
        self.page.wait_for_url(f"{self.address}/")

    def open(self, path: str) -> None:
        """Go to a page of the application."""
        self.page.goto(self.address + path)

    def press(self, keys: str) -> None:
        """Press keys, written with spaces between."""
        for key in keys.split():
            self.page.keyboard.press(key)


class Visitors:
    """Opens windows on one server; each has cookies and storage of its own."""

    def __init__(self, browser: Browser, address: str) -> None:
        self.browser = browser
        self.address = address

    def visit(self, *, language: str = "en-GB", width: int = 1280, height: int = 800) -> Visit:
        """A fresh window, nobody signed in."""
        context = self.browser.new_context(
            locale=language, viewport={"width": width, "height": height}, reduced_motion="reduce"
        )
        context.set_default_timeout(15_000)
        return Visit(context, self.address)


@contextmanager
def visitors(address: str) -> Iterator[Visitors]:
    """Chromium, until the block ends."""
    from django.db import connections
    from playwright.sync_api import sync_playwright

    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        # Playwright keeps an event loop in this thread, so Django takes every query here for one of async code, and
        # gives it a connection of its own.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        try:
            yield Visitors(browser, address)
        finally:
            browser.close()
            connections.close_all()
