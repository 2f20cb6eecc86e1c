"""Where reading goes on in a partition, given what the group committed and what the log holds now.

A log may be shorter than the group remembers: an unclean election, a lost disk, a restored or recreated topic. A
committed offset is worth something only in the log that it was committed for; in any other, reading starts at the
beginning, and the dedup set bars what was sent.
"""

from __future__ import annotations

import msgspec

from processor.core.offsets import decode_settled

__all__ = ["METADATA_MAX", "Committed", "Log", "Resume", "replaced", "resume", "tagged"]

METADATA_MAX = 4_096
"""Kafka's `offset.metadata.max.bytes`, by default."""
_TAG = "@"
"""Stands between a window's own text and the topic's id; neither holds one."""


class Committed(msgspec.Struct, frozen=True):
    """What the group committed for a partition."""

    offset: int
    """negative: nothing"""
    metadata: str = ""
    epoch: int = -1
    """leader epoch of the farthest record that was read; negative: unknown"""

    @property
    def reach(self) -> int:
        """The end of what it tells of: the offset, and what is settled beyond it."""
        beyond = decode_settled(self.metadata.partition(_TAG)[0], self.offset)
        return max([self.offset, *(offset + 1 for offset in beyond)])


class Log(msgspec.Struct, frozen=True):
    """A partition as it is now."""

    end: int
    """open transactions included; asked for after what was committed"""
    topic_id: str = ""
    """empty where the broker tells none"""
    epoch_before: int = -1
    """leader epoch of the last record before the committed one's `reach`; negative: unknown"""


class Resume(msgspec.Struct, frozen=True):
    """Where reading goes on."""

    offset: int | None
    """``None``: with the first record there is"""
    metadata: str = ""
    """what the window wrote, without the topic's id"""
    void: str = ""
    """why what was committed does not count"""


def tagged(metadata: str, topic_id: str) -> str:
    """A window's metadata with the topic's id, if both fit."""
    text = f"{metadata}{_TAG}{topic_id}"
    return text if topic_id and len(text) <= METADATA_MAX else metadata


def resume(committed: Committed, log: Log) -> Resume:
    """Goes on at the committed offset, or says why not.

    What it tells of was read, so no leader wrote it after the farthest record that was read then: if one
    did, the log was cut and has grown again.
    """
    if committed.offset < 0:
        return Resume(None)
    metadata, _, committed_for = committed.metadata.partition(_TAG)
    if committed_for and log.topic_id and committed_for != log.topic_id:
        return Resume(None, void="the offset was committed for another topic of this name")
    if committed.offset > log.end:
        return Resume(None, void="the log ends before the committed offset")
    if 0 <= committed.epoch < log.epoch_before:
        return Resume(None, void="the log was cut before what was settled, and has grown again")
    return Resume(committed.offset, metadata)


def replaced(began: str, found: str) -> bool:
    """Whether the topic is another one than that which a processor began with. A broker may not tell."""
    return bool(began and found) and began != found
