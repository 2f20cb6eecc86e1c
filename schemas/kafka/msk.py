"""Amazon MSK's tokens: signed with the process's AWS credentials, good for 15 minutes, renewed by librdkafka itself."""

from __future__ import annotations

from collections.abc import Callable

from schemas.runtime.errors import UsageError

__all__ = ["msk_options"]

Token = Callable[[str], tuple[str, float]]


def msk_options(region: str) -> dict[str, object]:
    """confluent-kafka's options for MSK with IAM. Raises `UsageError` without the extra or a region."""
    if not region:
        raise UsageError("MAILONCE_KAFKA_AUTH=msk-iam needs AWS_REGION")
    return {"security.protocol": "SASL_SSL", "sasl.mechanism": "OAUTHBEARER", "oauth_cb": _token_of(region)}


def _token_of(region: str) -> Token:
    try:
        from aws_msk_iam_sasl_signer import MSKAuthTokenProvider
    except ImportError:
        raise UsageError("MAILONCE_KAFKA_AUTH=msk-iam needs the extra mailonce[msk]") from None

    def token(_config: str) -> tuple[str, float]:
        value, expires_ms = MSKAuthTokenProvider.generate_auth_token(region)
        return value, expires_ms / 1000

    return token
