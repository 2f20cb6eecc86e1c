"""A consumer group's coordinator: members, generations, cooperative-sticky assignment, committed offsets.

Cooperative: members keep working while the group rebalances. A partition that is to move is first taken from its
holder (`assignment` lacks it), and given on only in the generation after that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tests.simulation.loop import Owner
from tests.simulation.net import Net

__all__ = ["Group", "Member", "NoMember"]


class NoMember(Exception):
    """The coordinator does not know this member in this generation."""


@dataclass
class Member:
    """As the coordinator knows it."""

    name: str
    owner: Owner | None
    owned: frozenset[int] = frozenset()
    """What it said it held when it joined last."""
    joined: bool = True
    assignment: frozenset[int] = frozenset()


@dataclass
class Group:
    name: str
    partitions: Callable[[], int]
    net: Net
    session_s: float = 3.0
    poll_interval_s: float = 6.0
    generation: int = 0
    members: dict[str, Member] = field(default_factory=dict)
    offsets: dict[int, tuple[int, str]] = field(default_factory=dict)
    preparing: bool = False
    _held: dict[int, dict[int, tuple[int, str]]] = field(default_factory=dict)
    _count: int = 0

    # ---- members ----

    def join(self, owner: Owner | None) -> str:
        self._count += 1
        name = f"m{self._count}"
        self.members[name] = Member(name, owner)
        self.rebalance(f"{owner.name if owner else name} joins")
        self.members[name].joined = True
        self._complete()
        return name

    def rejoin(self, name: str, owned: frozenset[int]) -> None:
        member = self.members[name]
        member.owned, member.joined = owned, True
        self._complete()

    def leave(self, name: str, why: str = "leaves") -> None:
        if name in self.members:
            member = self.members.pop(name)
            self.rebalance(f"{member.owner.name if member.owner else name} {why}")
            self._complete()

    def rebalance(self, why: str) -> None:
        """Every member must join again, which it notices at its next poll."""
        if self.preparing:
            return
        self.preparing = True
        self.net.history.note(self.name, "rebalance", why)
        for member in self.members.values():
            member.joined = False
        self.net.later(self.poll_interval_s, self._give_up_on_the_absent, self.generation)

    def _give_up_on_the_absent(self, generation: int) -> None:
        if self.preparing and self.generation == generation:
            for name in [m.name for m in self.members.values() if not m.joined]:
                self.net.history.note(self.name, "member did not join", name)
                del self.members[name]
            self._complete()

    def silent(self, owner: Owner) -> None:
        """The process stopped: unless it goes on within the session time-out, it is out."""
        self.net.later(self.session_s, self._expire, owner)

    def _expire(self, owner: Owner) -> None:
        if owner.running:
            return
        for name in [m.name for m in self.members.values() if m.owner is owner]:
            self.leave(name, "is silent for too long")

    def _complete(self) -> None:
        """Once all have joined: who gets what, in a new generation."""
        if not self.preparing or not all(member.joined for member in self.members.values()):
            return
        self.preparing = False
        self.generation += 1
        shares = share_out([m.owned for m in self.members.values()], self.partitions())
        for member, share in zip(self.members.values(), shares, strict=True):
            member.assignment = share

    def check(self, member: str, generation: int) -> None:
        if member not in self.members or generation != self.generation:
            raise NoMember(f"Unknown member {member} of generation {generation}; the group is in {self.generation}")

    # ---- offsets ----

    def hold(self, transaction: int, offsets: dict[int, tuple[int, str]]) -> None:
        self._held.setdefault(transaction, {}).update(offsets)

    def release(self, transaction: int, offsets: dict[int, tuple[int, str]]) -> None:
        self._held.pop(transaction, None)
        self.offsets.update(offsets)

    def forget_offsets(self) -> None:
        """What Kafka does to a group that had no member for a week."""
        if not self.members and not self._held:
            self.net.history.note(self.name, "offsets removed")
            self.offsets.clear()

    def unstable(self, partitions: frozenset[int]) -> bool:
        """Whether an open transaction holds an offset of one of these."""
        return any(partitions & held.keys() for held in self._held.values())


def share_out(owned: list[frozenset[int]], partitions: int) -> list[frozenset[int]]:
    """Sticky and even: each member keeps what it holds up to its share; free partitions go to who has least.

    A partition that a member must give up is free only in the next generation; one that two hold (one of them does not
    know that it lost it) stays with the later to join.
    """
    if not owned:
        return []
    shares: list[set[int]] = [set() for _ in owned]
    claimed: dict[int, int] = {}
    for index, held in enumerate(owned):
        for partition in held:
            if partition < partitions:
                claimed[partition] = index
    low, extra = divmod(partitions, len(owned))
    for index in range(len(owned)):
        mine = sorted(partition for partition, holder in claimed.items() if holder == index)
        room = low + (1 if extra > 0 and len(mine) > low else 0)
        extra -= room > low
        shares[index] = set(mine[:room])
    for partition in range(partitions):
        if partition not in claimed:
            min(shares, key=len).add(partition)
    return [frozenset(share) for share in shares]
