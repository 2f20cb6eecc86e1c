"""The one tree of errors. A class says who must act next; its exit code is what the commands leave with."""

from __future__ import annotations

from schemas.limits import shortened

__all__ = [
    "ADOPTING",
    "BadRecord",
    "BrokerUnavailable",
    "Fenced",
    "FloorRefused",
    "Halted",
    "InstallationForeign",
    "Interrupted",
    "MailonceError",
    "NoSuchJob",
    "OutcomesMissing",
    "Overdue",
    "QueueUnavailable",
    "RedisForeign",
    "RedisUnavailable",
    "RedisUntrusted",
    "SesAway",
    "SetupError",
    "SourceError",
    "TopicReplaced",
    "TransactionAborted",
    "TransactionUnknown",
    "Unconfirmed",
    "UsageError",
]


ADOPTING = "adopting"
"""Stands for the installation in a dedup set that is being taken over: nobody is granted anything there."""


class MailonceError(Exception):
    """Something went wrong; the message says what to do about it."""

    exit_code = 1


class UsageError(MailonceError):
    """The caller asked for something that cannot be: fix the command or the setting."""

    exit_code = 2


class SourceError(UsageError):
    """The source as a whole cannot be read: fix the file. (A bad row is a reject, not an error.)"""


class Halted(MailonceError):
    """SES refuses every message for now: nothing was dead-lettered; an operator must act, then start again."""

    exit_code = 4

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class SesAway(MailonceError):
    """SES does not answer a question that a mail depends on: it is asked again, and the mail waits."""

    exit_code = 7


class FloorRefused(MailonceError):
    """The floor must not rise now: mend what the message names, then repeat it. Nothing was closed."""


class NoSuchJob(MailonceError):
    """Nobody published this mail: look at the user id and the month."""


class Fenced(MailonceError):
    """Another processor runs under this instance name: this one leaves; nothing is lost."""

    exit_code = 6


class BrokerUnavailable(MailonceError):
    """Kafka does not answer: wait for it or fix the address."""

    exit_code = 7


class TopicReplaced(MailonceError):
    """The jobs topic was deleted and made anew under this processor: an operator must say that this was meant."""

    exit_code = 7

    def __init__(self, topic: str) -> None:
        super().__init__(
            f"topic {topic} was deleted and made anew: its records are others than those this processor began with. "
            f"Stop every processor of the group; if the new topic is the one you want, run `mailonce dedup adopt` and "
            f"start them again: it is read from its beginning, and what was sent stays barred"
        )


class OutcomesMissing(MailonceError):
    """Jobs were drained and have no outcome: find out why, then replay. What has an outcome is skipped."""

    exit_code = 9


class Unconfirmed(MailonceError):
    """Nothing was published, for something looks wrong and nobody said that it is meant: look, then say ``--yes``."""

    exit_code = 10


class RedisUnavailable(MailonceError):
    """Redis does not answer, or refuses to be trusted: wait for it or fix it. Nobody sends meanwhile."""

    exit_code = 7


class RedisUntrusted(RedisUnavailable):
    """Redis may throw entries away, or does not tell who it is: change its policy or its ACL, then start again."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class InstallationForeign(Halted):
    """Kafka's cluster or topics are not those of this installation: fix the address, or adopt them on purpose."""

    exit_code = 7

    def __init__(self, detail: str) -> None:
        super().__init__("another-installation", detail)


class RedisForeign(RedisUntrusted):
    """Redis holds the dedup set of another installation: fix the address or the prefix, or adopt it on purpose."""

    def __init__(self, found: str, ours: str) -> None:
        detail = (
            f"Redis holds the dedup set of installation {found}, and this is {ours}: two clusters must not share one "
            f"under the same MAILONCE_TOPIC_PREFIX. If it is the right one (a cluster made anew, a Redis that moved), "
            f"`mailonce dedup adopt` takes it over"
        )
        if found == ADOPTING:
            detail = "the dedup set is being adopted: wait for the end of that, or run `mailonce dedup adopt` again"
        super().__init__("another-installation", detail)


class Overdue(MailonceError):
    """A stop took longer than it may, for Kafka, Redis or SES did not answer. What was left is taken up by the next."""

    exit_code = 7


class SetupError(MailonceError):
    """The embedded stack could not be set up or started."""

    exit_code = 8


class QueueUnavailable(MailonceError):
    """SQS does not answer: wait for it or fix the queue's address. Nothing is lost: messages stay in the queue."""

    exit_code = 7


class Interrupted(MailonceError):
    """The user stopped the command."""

    exit_code = 130


class TransactionAborted(MailonceError):
    """A Kafka transaction was aborted: nothing of it is visible; the worker may try again."""


class TransactionUnknown(MailonceError):
    """A Kafka transaction's end is unknown: the worker must discard the producer and re-read what is committed."""


class BadRecord(MailonceError):
    """A record that can never become an e-mail: it is dead-lettered under `code`."""

    def __init__(self, code: str, detail: str) -> None:
        # It may quote the record, which may be of any length.
        detail = shortened(detail)
        super().__init__(detail)
        self.code = code
        self.detail = detail
