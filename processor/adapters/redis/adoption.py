"""Another installation's set, taken over on purpose."""

from __future__ import annotations

from collections.abc import Sequence

from processor.adapters.redis.bucket import escaped
from processor.adapters.redis.checkpoint import CheckpointScripts
from processor.adapters.redis.client import asking
from processor.adapters.redis.scope import NO_ID
from processor.core.states import Claim
from schemas.identity import Key
from schemas.runtime.errors import ADOPTING

__all__ = ["AdoptionScripts"]


class AdoptionScripts(CheckpointScripts):
    """The part of the set that is about whose it is."""

    async def bar(self, token: str) -> tuple[str, bool]:
        """From now on nobody is granted anything, until `own` and a rebuild.

        Returns whose set it was, if anybody's, and whether it was whole until now under the newest lineage.
        Raises `RebuildLost` where the lock is not the token's.
        """
        told: list[str | int | float | bytes] = [token, ADOPTING, self._seen().to_argument()]
        whose, whole = await self._run("bar", [self.marker, self.lock, self.checkpoint_key], told)
        return str(whose).removeprefix(NO_ID), bool(whole)

    async def forget_places(self) -> None:
        """Places up to which records count no more: they speak of another topic."""
        async for name in self._client.scan_iter(match=f"{escaped(self._base)}:places:*", count=1000):
            await asking(self._client.unlink(name))

    async def adopt(self, changes: Sequence[tuple[Key, Claim, Claim]], token: str, ttl_s: float) -> None:
        """Entries as they were read become what follows, those excepted that SES's word has changed meanwhile.

        Keeps the lock as well. Raises `RebuildLost`, having changed nothing, where it is not the token's.
        """
        values = [(key.user_id, before.to_text(), after.to_text()) for key, before, after in changes]
        keys = [self.lock, *(self._bucket(key) for key, _, _ in changes)]
        await self._run("adopt", keys, [token, int(ttl_s * 1000), *(text for three in values for text in three)])

    async def own(self, token: str, installation: str) -> None:
        """It is this installation's, to be rebuilt. Ends the lock; raises `RebuildLost` when it is not the token's."""
        await self._run("own", [self.marker, self.lock], [token, installation])
