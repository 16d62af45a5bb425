"""Simulated labelers who act through the public REST API alone, as a script of a labeling company would."""

from __future__ import annotations

import hashlib
import random
from typing import Any

from benchmarks.rest import LABELER_SCOPES, Client
from labeling.demo.answers import good_answer
from labeling.demo.preference import rank, taste_of

JSON = dict[str, Any]
NAMES = ("ada", "bo", "cleo", "dev")


class SimulatedPerson:
    """Takes tasks and answers them until there is none."""

    def __init__(self, client: Client, project: str, name: str, *, seed: int) -> None:
        self.client, self.project, self.name, self.seed = client, project, name, seed
        self.answers = 0

    def work(self, *, at_most: int) -> int:
        """Answer up to `at_most` tasks; how many it were."""
        held = self.client.post(f"projects/{self.project}/tasks/next/")["assignment"]
        done = 0
        while held is not None and done < at_most:
            path = f"assignments/{held['id']}/submit/"
            body = self._answer(held) | ({"next": {}} if done + 1 < at_most else {})
            given = self.client.post(path, body, key=f"{self.name}-{held['id']}")
            held = (given["next"] or {}).get("assignment")
            done += 1
        self.answers += done
        return done

    def _answer(self, task: JSON) -> JSON:
        prompt = task["prompt"]["messages"][-1]["content"]
        lot = int.from_bytes(hashlib.sha256(f"{self.seed}:{self.name}:{prompt}".encode()).digest()[:6])
        if task["kind"] == "demonstration":
            return {"text": good_answer(prompt, lot)}
        shown = sorted(task["candidates"], key=lambda one: str(one["text"]))
        tiers = rank(prompt, [one["text"] for one in shown], taste_of(self.name), random.Random(lot))
        return {"tiers": [[shown[place]["id"] for place in tier] for tier in tiers]}


def invite_all(
    admin: Client, address: str, project: str, *, seed: int, heldout: tuple[str, ...] = ()
) -> list[SimulatedPerson]:
    """Invite the simulated labelers, marked as such, and let each sign in by link; those of `heldout` teach nothing."""
    people = []
    for name in NAMES + heldout:
        body = {
            "username": f"simulated-{name}",
            "display_name": f"{name.title()} (simulated)",
            "role": "labeler",
            "pool": "heldout" if name in heldout else "train",
            "is_synthetic": True,
        }
        link = admin.post(f"projects/{project}/members/", body)["sign_in_link"]
        people.append(
            SimulatedPerson(Client.sign_in(address, link, scopes=LABELER_SCOPES), project, name, seed=seed)
        )
    return people
