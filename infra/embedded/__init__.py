"""Kafka, Valkey, the SES sandbox and SQS on this machine, without Docker: `mailonce stack`."""

from infra.embedded.stack import SERVICES, Stack

__all__ = ["SERVICES", "Stack"]
