"""The chain over the events: each hash covers an event and the hash before it, so that nothing can be changed unseen.

Events are plain inserts in the transaction of what they record; one sealer adds the chain afterwards. It takes the
events in order of `id`; one whose transaction took long comes a little later in the chain.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC

from django.db import connection, transaction

from accounts.models import Event

LOCK = 0x5EA1  # advisory: one sealer at a time
GENESIS = "0" * 64


@transaction.atomic
def seal_events(*, limit: int = 1000) -> int:
    """Add up to `limit` events to the chain; returns how many. 0 while another sealer is at work."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [LOCK])
        if not cursor.fetchone()[0]:
            return 0
    last = Event.objects.filter(chain_seq__isnull=False).order_by("-chain_seq").first()
    sequence, digest = (last.chain_seq or 0, last.chain_sha256) if last else (0, GENESIS)
    fresh = list(Event.objects.filter(chain_seq__isnull=True).order_by("id")[:limit])
    for event in fresh:
        sequence += 1
        digest = link_of(event, sequence, digest)
        event.chain_seq, event.chain_sha256 = sequence, digest
    if fresh:
        Event.objects.bulk_update(fresh, ["chain_seq", "chain_sha256"], batch_size=500)
    return len(fresh)


def broken_link() -> int | None:
    """The first place in the chain where an event was changed or is missing; None if the chain is whole."""
    expected, digest = 1, GENESIS
    for event in (
        Event.objects.filter(chain_seq__isnull=False).order_by("chain_seq").iterator(chunk_size=2000)
    ):
        if event.chain_seq != expected or event.chain_sha256 != link_of(event, expected, digest):
            return expected
        expected, digest = expected + 1, event.chain_sha256
    return None


def link_of(event: Event, sequence: int, before: str) -> str:
    """SHA-256 (hex) over the canonical JSON of the hash before, the place in the chain and every field."""
    fields = [
        before,
        sequence,
        event.pk,
        event.at.astimezone(UTC).isoformat(),
        event.kind,
        event.subject,
        str(event.project_id) if event.project_id else None,
        event.actor,
        event.data,
    ]
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
