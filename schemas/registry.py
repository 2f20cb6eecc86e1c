"""A Confluent-compatible schema registry, for those who want one: the jobs' JSON Schema, and values marked with its id.

A marked value is a zero byte, the schema's id in four bytes, and the JSON: Confluent's wire format, as its JSON
serializers write it. Whoever reads jobs here takes both, marked and plain.
"""

from __future__ import annotations

from importlib.resources import files
from urllib.parse import unquote, urlsplit, urlunsplit

from schemas.runtime.errors import MailonceError, UsageError
from schemas.runtime.secrets import without
from schemas.runtime.settings import Settings

__all__ = ["mark_of", "register_job_schema"]


def mark_of(settings: Settings) -> bytes:
    """What goes before each job: nothing without a registry. Raises `MailonceError` when it does not answer."""
    if not settings.schema_registry_url.get_secret_value():
        return b""
    return b"\0" + register_job_schema(settings).to_bytes(4, "big")


def register_job_schema(settings: Settings) -> int:
    """The id of the job's schema under the subject ``TOPIC-value``; the same each time, registered if it is new.

    Raises `UsageError` for a schema that the registry's rules refuse, and `MailonceError` when it does not answer.
    """
    try:
        from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
        from confluent_kafka.schema_registry.error import SchemaRegistryError
    except ImportError:
        raise UsageError("MAILONCE_SCHEMA_REGISTRY_URL needs the extra mailonce[registry]") from None
    parts = urlsplit(settings.schema_registry_url.get_secret_value())
    config: dict[str, object] = {
        "url": urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])),
        "timeout": 10,
        "max.retries": 2,
    }
    if parts.username:
        config["basic.auth.user.info"] = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    text = files("schemas").joinpath("json/job.schema.json").read_text(encoding="utf-8")
    subject = f"{settings.topics.jobs}-value"
    try:
        with SchemaRegistryClient(config) as client:
            return int(client.register_schema(subject, Schema(text, "JSON")))
    except SchemaRegistryError as error:
        why = without(str(error), settings.schema_registry_url.get_secret_value())
        raise UsageError(f"the schema registry refuses subject {subject}: {why}") from None
    except Exception as error:  # noqa: BLE001 - its HTTP library's own errors
        why = without(str(error), settings.schema_registry_url.get_secret_value())
        raise MailonceError(f"the schema registry at {parts.hostname} does not answer: {why}") from None
