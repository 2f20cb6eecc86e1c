"""The dedup set's checkpoint in Redis: up to where ledger and attempts are in the set.

- ``{mailonce:PREFIX}:checkpoint``: a hash beside the marker: the places, how often they have moved, who moves them, and
  when the seals expire.
- ``{mailonce:PREFIX}:seal:NN``: keys that expire in a hundred years, each at a millisecond of its own. A server's file
  and a replica keep the milliseconds; whoever copies keys by their values or by what is left of their time does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from processor.adapters.redis.bucket import RedisSet
from processor.core.checkpoint import NOTHING, Checkpoint
from processor.core.states import Claim, parse_claim
from processor.core.window import News
from schemas.runtime.logs import Event, get_log

__all__ = ["SEALS", "CheckpointScripts", "Following"]

log = get_log()

SEALS = 64
WHOLE = "every rebuild of the dedup set reads all of ledger and attempts: use Redis 7 or later, or Valkey"


class Following(NamedTuple):
    """The checkpoint as whoever follows finds it."""

    moves: int
    """how often it has moved"""
    checkpoint: Checkpoint


class CheckpointScripts(RedisSet):
    """The part of the set that is about the checkpoint."""

    _said = False
    """whether it was said that this server keeps no checkpoint"""

    @property
    def checkpoint_key(self) -> str:
        return f"{self._base}:checkpoint"

    def _checkpoint_keys(self) -> list[str]:
        seals = [f"{self._base}:seal:{number:02d}" for number in range(SEALS)]
        return [self.marker, self.lock, self.checkpoint_key, *seals]

    async def checkpoint(self, token: str) -> Checkpoint:
        """Where a rebuild under this lock may begin; `NOTHING` where the set may be no prefix of what was written.

        Raises `RebuildLost`.
        """
        arguments: list[str | int | float | bytes] = [token, self._seen().to_argument()]
        places, tells = await self._run("checkpoint", self._checkpoint_keys(), arguments)
        if not tells and not self._said:
            log.warning(Event.NO_CHECKPOINT, why="PEXPIRETIME is unknown or forbidden", follows=WHOLE)
            self._said = True
        return _parsed(places) or NOTHING

    async def follows(self, who: str, lineage: str, ttl_s: float) -> Following | None:
        """The checkpoint, for the one who follows for the next `ttl_s`. Raises `NotWhole` under another lineage."""
        keys = [self.marker, self.checkpoint_key]
        told = await self._run("follows", keys, [who, int(ttl_s * 1000), self._under(lineage)])
        found = _parsed(told[1]) if told else None
        return Following(int(told[0]), found) if found else None

    async def follow(
        self,
        read: Sequence[News],
        moves: int,
        lineage: str,
        checkpoint: Checkpoint | None = None,
        expire: bool = False,
    ) -> tuple[int, list[Claim]]:
        """Applies what was read, then moves the checkpoint, if there is one; all in one step.

        Args:
            read: keys and what was read of them.
            moves: how often it had moved when the reading began.
            lineage: under which everything since the last checkpoint was applied.
            checkpoint: up to where everything is in the set after this step.
            expire: whether the keys' claims become uncertain that are past their lifetime.

        Returns how often it has moved now, -1 when another has moved it (then nothing is changed), and each key's
        claim. Raises `NotWhole`.
        """
        keys = [self.marker, self.checkpoint_key, *(self._bucket(one.key) for one in read)]
        items = []
        for one in read:
            claim = parse_claim(one.claim)
            place = (str(max(claim.partition, 0)), str(max(claim.offset, 0)))
            items.append([one.key.user_id, one.claim, one.attempt, *place, list(one.withdrawn)])
        packed = msgspec.msgpack.encode(items)
        text = checkpoint.to_text() if checkpoint else ""
        lifetime_ms = self._lifetime_ms if expire else 0
        told = await self._run("follow", keys, [moves, text, packed, lifetime_ms, self._under(lineage)])
        return int(told[0]), [parse_claim(value) for value in (told[1] if len(told) > 1 else [])]

    def _under(self, lineage: str) -> str:
        under = self._seen()
        return str((under if under.lineage == lineage else under._replace(lineage=lineage, granted=0)).to_argument())


def _parsed(text: Any) -> Checkpoint | None:
    """``None`` for what this version does not understand: then the set is rebuilt whole."""
    try:
        return Checkpoint.of_text(str(text)) if text else None
    except msgspec.DecodeError:
        return None
