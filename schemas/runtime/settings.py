"""Every setting: its name, default, unit and meaning. Environment variables first, then a ``.env`` file."""

from __future__ import annotations

import os
import socket
from typing import Literal
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from schemas.addresses import address_problem, bare_address, name_problem
from schemas.runtime.backoff import RetryTable
from schemas.runtime.errors import UsageError
from schemas.runtime.mail_options import MailOptions
from schemas.topics import Topics

__all__ = ["KAFKA_PREFIX", "PREFIX", "Settings", "load_settings"]

PREFIX = "MAILONCE_"
KAFKA_PREFIX = "MAILONCE_KAFKA_"
_OWN = {"MAILONCE_KAFKA_BOOTSTRAP_SERVERS", "MAILONCE_KAFKA_AUTH"}


class Settings(MailOptions, BaseSettings):
    """mailonce's settings. Kafka's own options pass through as ``MAILONCE_KAFKA_`` plus the option's name."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_file=".env", extra="ignore", frozen=True)

    kafka_bootstrap_servers: str = Field("127.0.0.1:9092", description="Kafka brokers, host:port[,host:port…]")
    kafka_auth: Literal["options", "msk-iam"] = Field(
        "options", description="how to log in to Kafka: as MAILONCE_KAFKA_* says, or to MSK with IAM (mailonce[msk])"
    )
    redis_url: SecretStr = Field(
        SecretStr("redis://127.0.0.1:6379/0"), description="Redis or Valkey; rediss:// for TLS"
    )
    schema_registry_url: SecretStr = Field(
        SecretStr(""),
        description="Confluent-compatible registry: the producer marks jobs with their schema (mailonce[registry])",
    )
    from_address: str = Field(
        "", description="sender, verified in SES: an address, or `Name <address>`; needed by `process`"
    )
    reply_to_address: str = Field("", description="Reply-To address; empty: none")
    topic_prefix: str = Field("email-", pattern=r"^[A-Za-z0-9._-]{1,100}$", description="prefix of the topics")
    group_id: str = Field("mailonce", min_length=1, description="consumer group of the processors")
    group_protocol: Literal["classic", "consumer"] = Field(
        "classic", description="rebalance protocol: classic (cooperative-sticky) or consumer (KIP-848)"
    )
    session_timeout_s: float = Field(
        10.0,
        ge=1,
        le=300,
        description="after this silence a processor's partitions move on (classic protocol), seconds",
    )
    patience_s: float = Field(
        30.0,
        gt=0,
        description="how long a processor waits for a Kafka that does not answer before it ends with exit code 7; "
        "shorter than 20, a dead processor's open transaction may do that too, seconds",
    )
    stop_s: float = Field(
        10.0,
        gt=0,
        le=3600,
        description="how long a processor's graceful stop may take, calls to SES in flight excepted, before it leaves "
        "the rest to the next and ends with exit code 7, seconds",
    )
    partitions: int = Field(12, ge=1, le=1000, description="partitions of topics that `topics create` makes")
    replication_factor: int = Field(
        0, ge=0, le=10, description="copies of each partition; 0: three, or as many as there are brokers"
    )
    instance: str = Field("", description="this processor's name; empty: host, process id and a random part")
    attempt_lifetime_s: float = Field(
        330.0, gt=0, description="after this time a call can no longer reach SES and its key may be taken over, seconds"
    )
    signature_age_s: float = Field(
        300.0, gt=0, description="age at which SES refuses a signature (5 minutes; less only for a stand-in), seconds"
    )
    configuration_set: str = Field("", description="SES configuration set (it publishes the events); empty: none")
    events_queue_url: str = Field("", repr=False, description="SQS queue that receives SES's events; empty: none")
    unsubscribe_url: str = Field(
        "",
        repr=False,
        description="https URL for List-Unsubscribe, {user_id} and {month} are filled in, {token} and columns as well; "
        "empty: no such headers",
    )
    on_uncertain: Literal["hold", "resend-after-evidence-window"] = Field(
        "hold", description="what happens to a mail of which nobody knows whether SES took it"
    )
    evidence_window_s: float = Field(
        21_600.0,
        gt=0,
        description="with resend-after-evidence-window: how long an event of a doubtful mail is awaited, seconds",
    )
    calls_at_once: int = Field(32, ge=1, le=1000, description="calls to SES at once, a processor")
    ses_connect_timeout_s: float = Field(5.0, gt=0, description="connecting to SES, seconds")
    ses_read_timeout_s: float = Field(
        30.0, gt=0, description="waiting for SES's answer; a shorter wait only makes more doubt, seconds"
    )
    ses_transport: Literal["auto", "boto3", "lean"] = Field(
        "auto",
        description="how SES is called: `lean` writes boto3's bytes for a fraction of the CPU; `auto` does where it "
        "can show that they are the same, and says so at the start",
    )
    render: Literal["ses", "local"] = Field(
        "ses", description="who fills templates in: SES from those it keeps, or the processor from a folder, by Jinja2"
    )
    templates_folder: str = Field(
        "templates", description="with render=local: the folder, one sub-folder a template, as for `templates push`"
    )
    rate_headroom: float = Field(0.95, gt=0, le=1, description="share of the account's MaxSendRate that mailonce uses")
    rate_reserve: float = Field(0.0, ge=0, description="mails a second kept for the account's other mail")
    quota_reserve: int = Field(0, ge=0, description="mails in 24 hours kept for the account's other mail")
    quota_window_s: float = Field(
        86_400.0,
        gt=0,
        description="the quota's rolling window: 24 hours with SES, shorter only with a stand-in; seconds",
    )
    month_days_max: float = Field(
        3.0, gt=0, description="the producer warns when a month's mails would take longer than this, days"
    )
    rate_max: float = Field(0.0, ge=0, description="own ceiling for mails a second, all processors; 0: none")
    account_refresh_s: float = Field(
        60.0, gt=0, description="how often GetAccount is asked for rate and quota, seconds"
    )
    retention_months: int = Field(
        13, ge=2, le=60, description="a month stays open this long, then `produce` closes it for good, months"
    )
    retry: RetryTable = Field(RetryTable(), description="back-off per class of refusal, as JSON")
    breaker_consecutive: int = Field(
        100, ge=0, description="halt after so many jobs in a row were dead-lettered or uncertain; 0: never"
    )
    breaker_share: float = Field(
        0.25, ge=0, le=1, description="halt when this share of the last 1,000 was dead-lettered or uncertain; 0: never"
    )
    canary: int = Field(
        0,
        ge=0,
        description="so many mails of a month go first, the rest waits until SES's events say that they were "
        "delivered; 0: all go at once",
    )
    canary_share: float = Field(
        0.9, gt=0, le=1, description="share of the canary's mails that must be delivered before the month goes on"
    )
    canary_wait_s: float = Field(
        1800.0, gt=0, description="how long that is waited for; then the month is paused (`mailonce resume`), seconds"
    )
    requeue_max: int = Field(
        3, ge=1, description="a dead letter that was requeued so often is not requeued again: something else is wrong"
    )
    traces: Literal["off", "otlp"] = Field(
        "off", description="otlp: OpenTelemetry spans, to where OTEL_EXPORTER_OTLP_ENDPOINT says; needs mailonce[otel]"
    )
    dashboard_host: str = Field(
        "127.0.0.1",
        description="address of the web pages; any but loopback needs a token or a proxy's header",
    )
    dashboard_port: int = Field(8600, ge=0, le=65_535, description="port of the web pages; 0: the system chooses")
    dashboard_token: SecretStr = Field(
        SecretStr(""), description="password of the web pages; without one nothing can be changed from a page"
    )
    dashboard_user_header: str = Field(
        "", description="header in which a reverse proxy names the user it has let in, for example X-Forwarded-User"
    )
    dashboard_name: str = Field(
        "dashboard", pattern=r"^[A-Za-z0-9._-]{1,60}$", description="name of a dashboard's table; each instance its own"
    )
    dashboard_store: Literal["memory", "rocksdb"] = Field(
        "memory", description="where the table lives; rocksdb needs mailonce[rocksdb] and is right for large months"
    )
    dashboard_dir: str = Field(".mailonce/dashboard", description="folder of the table with rocksdb")
    metrics_host: str = Field("127.0.0.1", description="address of /metrics, /healthz and /readyz")
    metrics_port: int | None = Field(
        None,
        ge=0,
        le=65_535,
        description="port of /metrics, /healthz and /readyz; when it is taken, the next free one; empty: not served",
    )
    log_format: Literal["auto", "console", "json"] = Field("auto", description="auto: console on a terminal, else JSON")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="least level that is logged")

    kafka_options: dict[str, str] = Field(
        default_factory=dict, exclude=True, repr=False, description="other librdkafka options, from MAILONCE_KAFKA_*"
    )

    @field_validator("from_address", "reply_to_address")
    @classmethod
    def _an_address(cls, value: str) -> str:
        bare = bare_address(value) if "<" in value else value
        if bare and (problem := address_problem(bare)):
            raise ValueError(f"not an address SES could use: {problem}")
        if problem := name_problem(value):
            raise ValueError(problem)
        return value

    @field_validator("metrics_port", mode="before")
    @classmethod
    def _no_port(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("redis_url")
    @classmethod
    def _a_redis_url(cls, value: SecretStr) -> SecretStr:
        text = value.get_secret_value()
        if not text.startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("must begin with redis://, rediss:// or unix://")
        if not _has_a_place(text):
            raise ValueError("no host and port can be made out: percent-encode what of :/?#[]@ is in the password")
        return value

    @field_validator("schema_registry_url")
    @classmethod
    def _a_registry_url(cls, value: SecretStr) -> SecretStr:
        if (text := value.get_secret_value()) and not text.startswith(("http://", "https://")):
            raise ValueError("must begin with http:// or https://")
        return value

    @field_validator("unsubscribe_url")
    @classmethod
    def _https(cls, value: str) -> str:
        if value and not value.startswith("https://"):
            raise ValueError("must begin with https:// (RFC 8058 asks for it)")
        return value

    @model_validator(mode="after")
    def _times_fit(self) -> Settings:
        if self.attempt_lifetime_s < self.signature_age_s + 2:
            raise ValueError(
                f"attempt_lifetime_s ({self.attempt_lifetime_s:g}) must exceed signature_age_s "
                f"({self.signature_age_s:g}) by 2 s or more: until then SES may still accept the call"
            )
        if self.evidence_window_s < self.attempt_lifetime_s:
            raise ValueError(
                f"evidence_window_s ({self.evidence_window_s:g}) must not be shorter than attempt_lifetime_s "
                f"({self.attempt_lifetime_s:g}): until then SES may still accept the call"
            )
        return self

    @property
    def topics(self) -> Topics:
        return Topics(self.topic_prefix, self.retention_months)

    @property
    def start_window_s(self) -> float:
        """How long after its claim a call may still be signed: the lifetime, less a signature's age and a margin."""
        spare = self.attempt_lifetime_s - self.signature_age_s
        return spare - min(10.0, spare / 2)

    def instance_name(self) -> str:
        return self.instance or f"{socket.gethostname()}-{os.getpid()}-{os.urandom(3).hex()}"


def load_settings(**overrides: object) -> Settings:
    """The settings of this process; raises `UsageError` that names each wrong variable.

    Args:
        overrides: values of command-line options; ``None`` means not given.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings(kafka_options=_kafka_options(), **given)  # type: ignore[arg-type]
    except SettingsError as error:
        # Its cause quotes what it could not read.
        raise UsageError(f"wrong settings: {error}: it must be JSON") from None
    except ValidationError as error:
        lines = [
            f"{PREFIX}{'_'.join(str(part) for part in item['loc']).upper() or 'settings'}: {item['msg']}"
            for item in error.errors()
        ]
        raise UsageError("wrong settings:\n  " + "\n  ".join(lines)) from None


def _kafka_options() -> dict[str, str]:
    """librdkafka options by their own names: ``MAILONCE_KAFKA_SASL_MECHANISM`` is ``sasl.mechanism``."""
    merged = {**dotenv_values(".env"), **os.environ}
    return {
        name.removeprefix(KAFKA_PREFIX).lower().replace("_", "."): value
        for name, value in merged.items()
        if name.startswith(KAFKA_PREFIX) and name not in _OWN and value is not None
    }


def _has_a_place(url: str) -> bool:
    """Whether the client will find a port in this URL, or none: of an odd password it would take a half for one."""
    try:
        urlsplit(url).port  # noqa: B018 - reading it is the check
    except ValueError:
        return False
    return True
