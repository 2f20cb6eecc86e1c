"""No secret in anything that is printed: the settings' list, what is said of a wrong setting, and of a client refused."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import mailonce
from mailonce import commands
from schemas.kafka.clients import admin_config, last_trouble, producer_config
from schemas.runtime.described import describe_settings
from schemas.runtime.errors import UsageError
from schemas.runtime.secrets import HIDDEN, shown_option, shown_url, told_by_librdkafka, without
from schemas.runtime.settings import Settings, load_settings
from schemas.runtime.tracing import tracer

WORD = "hunter2"

PLACES = {
    "MAILONCE_DASHBOARD_TOKEN": ["{}", "://{}", "https://{}/{}"],
    "MAILONCE_REDIS_URL": ["{}", "redis://:{}@cache:6379/0", "redis://{}@cache", "rediss://me:{}@cache:6380/0",
                           "redis://cache/0?password={}", "unix://:{}@/run/redis.sock", "http://{}"],
    "MAILONCE_SCHEMA_REGISTRY_URL": ["{}", "https://key:{}@registry/x", "https://{}@registry", "https://r/?apiKey={}",
                                     "https://a:{}@r1,https://b:{}@r2"],
    "MAILONCE_UNSUBSCRIBE_URL": ["{}", "https://example.net/{{user_id}}?token={}", "https://{}@example.net/",
                                 "https://example.net/?{}", "https://example.net/u#{}"],
    "MAILONCE_UNSUBSCRIBE_SECRET": ["{}"],
    "MAILONCE_EVENTS_QUEUE_URL": ["http://key:{}@sqs:9324/1/events", "https://sqs/1/e?X-Amz-Signature={}"],
    "MAILONCE_KAFKA_SASL_PASSWORD": ["{}"],
    "MAILONCE_KAFKA_SASL_PASWORD": ["{}"],
    "MAILONCE_KAFKA_SASL_JAAS_CONFIG": ['org.apache.Login required username="me" password="{}";'],
    "MAILONCE_KAFKA_SASL_OAUTHBEARER_CONFIG": ["principal=me secret={}", "{}"],
    "MAILONCE_KAFKA_SASL_OAUTHBEARER_CLIENT_SECRET": ["{}"],
    "MAILONCE_KAFKA_SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL": ["https://me:{}@login/token?key={}", "{}"],
    "MAILONCE_KAFKA_SASL_OAUTHBEARER_ASSERTION_PRIVATE_KEY_PASSPHRASE": ["{}"],
    "MAILONCE_KAFKA_SASL_KERBEROS_KINIT_CMD": ["echo {} | kinit me"],
    "MAILONCE_KAFKA_SSL_KEY_PASSWORD": ["{}"],
    "MAILONCE_KAFKA_SSL_KEY_PEM": ["-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----"],
    "MAILONCE_KAFKA_SSL_KEYSTORE_PASSWORD": ["{}"],
}  # fmt: skip
"""Every setting that can hold a secret, and the forms in which people write it there."""

IN_PLACE = [(name, form) for name, forms in PLACES.items() for form in forms]
SEPARATORS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=4) | st.sampled_from(
    ["@", "/", ":", "?", "#", "&", "=", "%40", "[", "]", " ", "\n", "\t", "{", "}", "[/bold]", "://", '"', "'"]
)
# The word at the beginning, in the middle and at the end: whichever part leaks is seen.
SECRETS = st.lists(SEPARATORS, max_size=3).map(lambda between: WORD + "".join(f"{text}{WORD}" for text in between))


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def said(name: str, value: str, capsys: pytest.CaptureFixture[str]) -> str:
    """All that `settings`, `settings --json` and the error path print with this variable set."""
    parts = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(name, value)
        for arguments in (["settings"], ["settings", "--json"]):
            patch.setattr("sys.argv", ["mailonce", *arguments])
            patch.setenv("COLUMNS", "500")
            try:
                mailonce.main()
            except SystemExit as left:
                assert left.code in (None, 0, 2)
            parts += capsys.readouterr()
    return "\n".join(parts)


def filled(form: str, secret: str) -> str:
    return form.replace("{}", secret).replace("{{", "{").replace("}}", "}")


@pytest.mark.no_cover  # other tests cover what it reaches
@given(place=st.sampled_from(IN_PLACE), secret=SECRETS)
@hypothesis_settings(max_examples=100)
def test_no_description_or_refusal_holds_a_secret(place: tuple[str, str], secret: str) -> None:
    """Whatever secret stands in whatever setting: it is told neither whole nor in part."""
    name, form = place
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(name, filled(form, secret))
        try:
            settings = load_settings()
            text = f"{list(describe_settings(settings))}{settings!r}"
        except UsageError as error:
            text = str(error)
    assert name in text
    assert WORD not in text


@pytest.mark.parametrize(("name", "form"), IN_PLACE)
def test_no_output_shows_any_of_them(name: str, form: str, capsys: pytest.CaptureFixture[str]) -> None:
    """By the commands themselves: a table, JSON, or one sentence on standard error."""
    text = said(name, filled(form, WORD), capsys)
    assert WORD not in text
    assert "Traceback" not in text
    assert name in text


def test_every_secret_setting_is_tried() -> None:
    """A new setting that holds a secret, or a URL that may, must be put to the test above."""
    secret = {
        f"MAILONCE_{name.upper()}"
        for name, field in Settings.model_fields.items()
        if "SecretStr" in str(field.annotation) or name.endswith("_url")
    }
    assert secret <= set(PLACES)


def test_what_is_no_secret_is_still_told() -> None:
    """Hiding everything would be no help: places, names and numbers stay."""
    assert shown_url("redis://me:x@cache:6379/0") == "redis://(hidden)@cache:6379/0"
    assert shown_url("redis://127.0.0.1:6379/0") == "redis://127.0.0.1:6379/0"
    assert shown_url("rediss://[::1]:6379/0?db=1") == "rediss://[::1]:6379/0?db=(hidden)"
    assert (
        shown_url("https://example.net/u/{user_id}?m={month}&t=x")
        == "https://example.net/u/{user_id}?m={month}&t=(hidden)"
    )
    assert shown_url("https://example.net/?") == "https://example.net/?"
    assert shown_url("") == shown_option("sasl.password", "") == ""
    for name, value in (
        ("sasl.username", "me"),
        ("security.protocol", "SASL_SSL"),
        ("ssl.ca.location", "/etc/ssl/kafka.pem"),
        ("socket.timeout.ms", "1000"),
        ("enable.ssl.certificate.verification", "false"),
    ):
        assert shown_option(name, value) == value
    assert shown_option("sasl.password", "1234") == HIDDEN


def test_an_empty_secret_shows_as_empty() -> None:
    """`://` for a token that is not set looked like a token."""
    shown = {name: (now, default) for name, now, default, _ in describe_settings(load_settings())}
    assert shown["MAILONCE_DASHBOARD_TOKEN"] == shown["MAILONCE_SCHEMA_REGISTRY_URL"] == ("", "")


@pytest.mark.parametrize(
    ("name", "value", "hint"),
    [
        ("REDIS_URL", f"redis://:{WORD}/{WORD}@cache:6379/0", "percent-encode"),
        ("SCHEMA_REGISTRY_URL", WORD, "https://"),
        ("RETRY", f'{{"throttled": {WORD}', "JSON"),
        ("RETRY", f'{{"throttled": {{"interval_s": "{WORD}"}}}}', "THROTTLED"),
    ],
)
def test_a_wrong_setting_is_named_and_not_quoted(
    name: str, value: str, hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One sentence that helps, without what stood there."""
    monkeypatch.setenv(f"MAILONCE_{name}", value)
    with pytest.raises(UsageError) as caught:
        load_settings()
    assert hint in str(caught.value)
    assert name in str(caught.value).upper()
    assert WORD not in str(caught.value)
    assert caught.value.__cause__ is None


def test_brackets_in_a_setting_are_no_markup(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rich would take them for style, or fail."""
    monkeypatch.setenv("MAILONCE_CONFIGURATION_SET", "[/x][bold]y")
    monkeypatch.setenv("COLUMNS", "300")
    done = CliRunner().invoke(mailonce.app, ["settings"])
    assert done.exit_code == 0
    assert "[/x][bold]y" in done.output


def test_librdkafka_quotes_no_secret(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Two of its sentences hold the value; the command's error and the last trouble hold neither."""
    monkeypatch.setenv("MAILONCE_KAFKA_SECURITY_PROTOCOL", "SASL_PLAINTEXT")
    monkeypatch.setenv("MAILONCE_KAFKA_SASL_MECHANISM", "OAUTHBEARER")
    monkeypatch.setenv("MAILONCE_KAFKA_SASL_OAUTHBEARER_CONFIG", f"{WORD}-is-no-option=1")
    monkeypatch.setenv("MAILONCE_KAFKA_ENABLE_SASL_OAUTHBEARER_UNSECURE_JWT", "true")
    told: list[str] = []
    config = admin_config(load_settings())
    note = config["error_cb"]
    producer = Producer({**producer_config(load_settings()), "error_cb": lambda e: (told.append(e.str()), note(e))})
    while not told:
        producer.poll(0.05)
    assert WORD in told[0], "librdkafka says it otherwise now"
    assert last_trouble()
    assert WORD not in last_trouble()

    def wrong() -> None:
        raise KafkaException(
            KafkaError(KafkaError._INVALID_ARG, f'Invalid value "{WORD}" for configuration property "x.y"')
        )

    monkeypatch.setattr(commands, "app", wrong)
    with pytest.raises(SystemExit):
        mailonce.main()
    said = capsys.readouterr().err
    assert WORD not in said
    assert 'property "x.y"' in said
    assert told_by_librdkafka('No such configuration property: "sasl.pasword"').endswith('"sasl.pasword"')


def test_a_registrys_sentence_is_told_without_the_login() -> None:
    """HTTP libraries quote the URL."""
    url = f"https://key:{WORD}@registry:8081/x?apiKey=abc"
    assert without(f"GET https://registry:8081/x?apiKey=abc: 401 for key:{WORD}", url) == (
        "GET https://registry:8081/x?(hidden)=(hidden): 401 for (hidden):(hidden)"
    )
    assert without("anything", "odd") == HIDDEN


def test_opentelemetrys_warning_hides_the_header(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A key in OTEL_EXPORTER_OTLP_HEADERS that is not name=value is quoted by OpenTelemetry's own warning."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", WORD)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    with caplog.at_level(logging.WARNING):
        assert tracer(load_settings(traces="otlp"), "test") is not None
    assert "Header format invalid" in caplog.text
    assert WORD not in caplog.text


def test_aws_keys_are_never_listed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """They are read by boto3 itself; no command shows them."""
    for name in ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        assert WORD not in said(name, WORD, capsys)
