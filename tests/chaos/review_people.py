"""People who answer over HTTP as the browser does: an outbox that is sent again until the server has acknowledged it,
rows ahead, events with ids of their own. In: a review's link. Out: what each one was given, sent, and heard back."""

import random
import threading
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass

import httpx2

OURS = {"X-Sparklabel": "1", "Sec-Fetch-Site": "same-origin"}
VALUES = ("fresh", "rotten")
AHEAD, PACE, PAUSE = 5, 0.1, 0.3
PATIENCE = httpx2.Timeout(15)
NO_PATIENCE = httpx2.Timeout(15, read=0.001)
"""The request arrives, and whoever sent it does not hear what became of it."""


@dataclass
class Life:
    """Which of the servers runs, by number: leases end with their server."""

    number: int = 0


class Person:
    """Somebody who answers until told to stop.

    Attributes:
        given: Rows, each with the server that gave it.
        sent: All events by id; `heard`: what the server said became of them.
        left: Rows that this person skipped or took back, so that others may have them.
    """

    def __init__(self, name, url, task, seed, life, stop):
        self.name, self.url, self.task, self.chance = name, url, task, random.Random(f"{seed} {name}")
        self.life, self.stop = life, stop
        self.given, self.sent, self.heard, self.left = [], {}, {}, set()
        self.outbox, self.rows, self.mine = [], [], []
        self.thread = threading.Thread(target=self.run, name=name, daemon=True)

    def run(self):
        base, _, token = self.url.partition("?token=")
        with httpx2.Client(base_url=base.rstrip("/"), headers=OURS, timeout=PATIENCE) as self.browser:
            while not self.stop.is_set():
                with suppress(httpx2.HTTPError):
                    self.browser.get("/", params={"token": token})
                    found = self.browser.post("/name", json={"name": self.name, "same": True})
                    if found.status_code == 200:
                        break
                time.sleep(PAUSE)
            while not self.stop.is_set():
                self.work()

    def work(self):
        """One look at the screen."""
        if not self.rows:
            self.ask()
        if self.rows:
            self.act(self.rows.pop(0))
        if self.outbox:
            self.send()
        time.sleep(PACE * 2 * self.chance.random())

    def act(self, row):
        """Answers, or now and then skips, or goes back to an earlier row."""
        if row["before"] is not None:
            return  # a person answered by SQL: that is to stay
        dice = self.chance.random()
        if dice < 0.05:
            self.left.add(row["id"])
            self.add(row["id"], "skip")
            return
        self.add(row["id"], "answer", self.chance.choice(VALUES))
        self.mine.append(row["id"])
        if dice > 0.9:
            earlier = self.chance.choice(self.mine)
            self.add(earlier, "answer", self.chance.choice(VALUES))
        elif dice > 0.85:
            earlier = self.mine.pop(self.chance.randrange(len(self.mine)))
            self.left.add(earlier)
            self.add(earlier, "undo")

    def add(self, row, kind, value=None):
        event = {
            "event_id": uuid.UUID(int=self.chance.getrandbits(128)).hex,
            "id": row,
            "kind": kind,
            "value": value,
        }
        self.sent[event["event_id"]] = event
        self.outbox.append(event)

    def have(self):
        return [row["id"] for row in self.rows]

    def ask(self):
        before = self.life.number
        found = self.post("next", {"have": self.have(), "count": AHEAD}, PATIENCE)
        rows = found.get("rows", [])
        self.rows += rows
        if self.life.number == before:
            self.given += [(before, row["id"]) for row in rows]

    def send(self):
        patience = NO_PATIENCE if self.chance.random() < 0.1 else PATIENCE
        found = self.post("events", {"events": self.outbox[:100], "have": self.have()}, patience)
        for outcome in found.get("outcomes", []):
            self.heard[outcome["event_id"]] = outcome
        self.outbox = [event for event in self.outbox if event["event_id"] not in self.heard]

    def post(self, what, content, patience):
        """The answer; empty, after a pause, if there is none."""
        with suppress(httpx2.HTTPError, ValueError):
            found = self.browser.post(f"/api/{self.task}/{what}", json=content, timeout=patience)
            if found.status_code == 200:
                return found.json()
        time.sleep(PAUSE)
        return {}
