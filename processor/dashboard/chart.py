"""A month's minutes as an SVG's numbers: bars, and the line of what SES allows. Pure."""

from __future__ import annotations

from typing import Any

__all__ = ["HEIGHT", "WIDTH", "bars"]

WIDTH, HEIGHT = 600, 140


def bars(minutes: list[dict[str, Any]], allowed: float | None) -> dict[str, Any]:
    """Where each bar stands, and where the allowed rate's line is when it fits the picture.

    Args:
        minutes: ``at`` and ``mails`` of each.
        allowed: mails a minute.
    """
    most = max((minute["mails"] for minute in minutes), default=0)
    top = max(most, allowed if allowed and allowed <= 3 * most else 0, 1) * 1.08
    step = WIDTH / max(1, len(minutes))
    shown = [
        {
            "x": round(index * step, 2),
            "width": round(max(step - 1.5, 1), 2),
            "height": round(minute["mails"] / top * HEIGHT, 2),
            "y": round(HEIGHT - minute["mails"] / top * HEIGHT, 2),
            "title": f"{minute['at'][11:16]} UTC: {minute['mails']:,} mails",
        }
        for index, minute in enumerate(minutes)
    ]
    line = None if not allowed or allowed > top else round(HEIGHT - allowed / top * HEIGHT, 2)
    return {"bars": shown, "line": line, "allowed": allowed, "most": most, "width": WIDTH, "height": HEIGHT}
