"""The dedup set and the group's pace in Redis or Valkey: one Lua script a change, nobody writes a state by hand."""

from __future__ import annotations

import redis.asyncio

from processor.adapters.redis.adoption import AdoptionScripts
from processor.adapters.redis.claims import ClaimScripts
from processor.adapters.redis.client import CLOSE_S, check_server, connect
from processor.adapters.redis.facts import EvidenceScripts
from processor.adapters.redis.floor import FloorScripts
from processor.adapters.redis.pace import RedisPace
from processor.adapters.redis.scope import NOBODYS_SET, Under
from processor.adapters.redis.whole import RebuildScripts
from schemas.runtime.settings import Settings

__all__ = ["CLOSE_S", "NOBODYS_SET", "RedisDedup", "RedisPace", "Under", "check_server", "connect"]


class RedisDedup(ClaimScripts, EvidenceScripts, FloorScripts, RebuildScripts, AdoptionScripts):
    """The dedup set, whole; see `processor.ports.Dedup` for the laws."""

    @classmethod
    def of(cls, settings: Settings, client: redis.asyncio.Redis) -> RedisDedup:
        return cls(client, settings.topic_prefix, settings.attempt_lifetime_s)
