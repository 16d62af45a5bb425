"""Live rounds and runs as server-sent events. The database is asked in short steps, never held while waiting."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar
from uuid import UUID

from asgiref.sync import sync_to_async
from django.db import close_old_connections
from django.http import HttpRequest, HttpResponseBase

from accounts.auth import async_user
from accounts.models import User
from common.errors import DomainError
from common.wake import project_channel, round_channel, run_channel
from training.access import round_for, run_for
from training.api import rounds, runs
from training.api.stream import Frame, News, answer, only_get, refuse, stream
from training.models import Run
from training.places import attempt_folder
from training.selectors.runs import metric_rows, runs_visible_to, samples_of
from training.states import ENDED, RunState

T = TypeVar("T")
RUN_ENDED = (RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED)


async def round_events(request: HttpRequest, round_id: UUID) -> HttpResponseBase:
    """`event: round` with the whole round, whenever it changed; closes when the round has ended."""
    if (refused := only_get(request)) is not None:
        return refused
    try:
        user = await async_user(request)
        round_ = await _ask(lambda: round_for(user, round_id))
    except DomainError as error:
        return refuse(error)
    follower = RoundFollower(user, round_id)
    channels = (round_channel(round_id), project_channel(round_.project_id))
    return answer(stream(channels, follower.look))


async def run_events(request: HttpRequest, run_id: UUID) -> HttpResponseBase:
    """`event: run`, `event: metrics` ({rows}; the id is the last step) and `event: samples`; closes when it has ended.

    `Last-Event-ID` says which rows the client has already.
    """
    if (refused := only_get(request)) is not None:
        return refused
    try:
        user = await async_user(request)
        await _ask(lambda: run_for(user, run_id))
    except DomainError as error:
        return refuse(error)
    follower = RunFollower(user, run_id, request.headers.get("Last-Event-ID", ""))
    return answer(stream((run_channel(run_id),), follower.look))


class RoundFollower:
    """Remembers what was sent of a round, and sends it again only when it is another."""

    def __init__(self, user: User, round_id: UUID) -> None:
        self.user, self.round_id = user, round_id
        self.sent: bytes = b""
        self.number = 0

    async def look(self) -> News:
        """The round if it changed."""
        return await _ask(self._look)

    def _look(self) -> News:
        round_for(self.user, self.round_id)  # Whoever was removed from the project sees nothing further.
        frame = Frame("round", rounds.shown(self.user, self.round_id))
        encoded = frame.encode()
        ended = frame.data["state"] in ENDED
        if encoded == self.sent:
            return News([], ended)
        self.sent = encoded
        self.number += 1
        return News([frame._replace(id=str(self.number))], ended)


class RunFollower:
    """Remembers which rows of a run the client has."""

    def __init__(self, user: User, run_id: UUID, last_event_id: str) -> None:
        self.user, self.run_id = user, run_id
        fence, _, step = last_event_id.partition(":")
        known = fence.isdecimal() and step.isdecimal() and len(fence) < 10 and len(step) < 10
        self.fence, self.step = (int(fence), int(step)) if known else (0, -1)
        self.sent: bytes = b""
        self.samples: tuple[int, int] = (0, 0)

    async def look(self) -> News:
        """What is new of the run."""
        return await _ask(self._look)

    def _look(self) -> News:
        run_for(self.user, self.run_id)
        run = runs_visible_to(self.user).get(pk=self.run_id)
        frames = [*self._rows(run), *self._samples(run)]
        body = Frame("run", runs.render(run))
        if (encoded := body.encode()) != self.sent:
            self.sent = encoded
            frames.append(body)
        return News(frames, run.state in RUN_ENDED)

    def _rows(self, run: Run) -> list[Frame]:
        if run.fence != self.fence:
            # Another attempt: it has replaced the rows after its checkpoint, so all are sent again.
            self.fence, self.step = run.fence, -1
        rows = metric_rows(run, after=self.step)
        if not rows:
            return []
        self.step = rows[-1]["step"]
        return [Frame("metrics", {"rows": rows}, id=f"{self.fence}:{self.step}")]

    def _samples(self, run: Run) -> list[Frame]:
        path = attempt_folder(run.pk, run.fence) / "samples.jsonl"
        size = path.stat().st_size if path.is_file() else 0
        if size == 0 or (run.fence, size) == self.samples:
            return []
        self.samples = (run.fence, size)
        return [Frame("samples", samples_of(run))]


async def _ask(question: Callable[[], T]) -> T:
    """Ask the database in a thread, and give its connection back at once: a stream lives for hours."""

    def asked() -> T:
        try:
            return question()
        finally:
            close_old_connections()

    return await sync_to_async(asked)()
