"""The one call of SES v1 that v2 has no like of: GetSendStatistics, in the Query protocol."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import parse_qs

from infra.ses_sandbox.model import SandboxSettings

__all__ = ["query"]


def query(body: bytes, settings: SandboxSettings) -> tuple[int, str]:
    """The answer's status and XML."""
    action = parse_qs(body.decode("utf-8", "replace")).get("Action", [""])[0]
    if action != "GetSendStatistics":
        told = "The sandbox does not emulate this call of SES v1."
        return 400, f"<ErrorResponse><Error><Code>InvalidAction</Code><Message>{told}</Message></Error></ErrorResponse>"
    points = ""
    if settings.delivery_attempts:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        points = (
            f"<member><Timestamp>{now}</Timestamp><DeliveryAttempts>{settings.delivery_attempts}</DeliveryAttempts>"
            f"<Bounces>{settings.bounces}</Bounces><Complaints>{settings.complaints}</Complaints>"
            "<Rejects>0</Rejects></member>"
        )
    return 200, (
        '<GetSendStatisticsResponse xmlns="http://ses.amazonaws.com/doc/2010-12-01/"><GetSendStatisticsResult>'
        f"<SendDataPoints>{points}</SendDataPoints></GetSendStatisticsResult></GetSendStatisticsResponse>"
    )
