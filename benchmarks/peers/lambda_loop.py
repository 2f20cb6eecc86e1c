"""(a) The classic Lambda: a loop over the rows; when it dies it is run again."""

from __future__ import annotations

import csv
import os
from pathlib import Path

from benchmarks.peers.call import send, user_ids

__all__ = ["feed", "work"]


def _users() -> Path:
    return Path(os.environ["PEER_FOLDER"]) / "users.csv"


def feed(users: int) -> None:
    with _users().open("w", newline="") as out:
        csv.writer(out).writerows([user_id] for user_id in user_ids(users))


def work() -> None:
    with _users().open(newline="") as rows:
        for (user_id,) in csv.reader(rows):
            send(user_id)
