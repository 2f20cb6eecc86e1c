"""The settings as they are told to people: each with its variable, value, default and meaning; secrets hidden."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel, SecretStr

from schemas.runtime.mail_options import MailOptions
from schemas.runtime.secrets import HIDDEN, shown_option, shown_url
from schemas.runtime.settings import KAFKA_PREFIX, PREFIX, Settings

__all__ = ["describe_settings"]


def describe_settings(settings: Settings) -> Iterator[tuple[str, str, str, str]]:
    """Each setting as (variable, value now, default, meaning); secrets hidden."""
    # Those that are inherited would stand first.
    for name, field in sorted(Settings.model_fields.items(), key=lambda one: one[0] in MailOptions.model_fields):
        if name != "kafka_options":
            now, default = (_shown(name, value) for value in (getattr(settings, name), field.default))
            yield f"{PREFIX}{name.upper()}", now, default, field.description or ""
    for option, value in sorted(settings.kafka_options.items()):
        variable = f"{KAFKA_PREFIX}{option.upper().replace('.', '_')}"
        yield variable, shown_option(option, value), "", f"librdkafka's {option}"


def _shown(name: str, value: object) -> str:
    if isinstance(value, BaseModel):
        return value.model_dump_json()
    text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
    if name.endswith("_url"):
        return shown_url(text)
    return HIDDEN if isinstance(value, SecretStr) and text else text
