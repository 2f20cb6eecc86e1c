"""What of a setting may be shown: never a password, a token or a key, wherever somebody put it.

Whatever does not look exactly like something harmless is hidden as a whole. A password that was not percent-encoded
makes a URL that every parser takes apart differently: half of it shown as a host's name would be half a password.
"""

from __future__ import annotations

import re

__all__ = ["HIDDEN", "shown_option", "shown_url", "told_by_librdkafka", "without"]

HIDDEN = "(hidden)"

_URL = re.compile(
    r"(?P<scheme>rediss?|unix|https?)://"
    r"(?P<user>[^@/?#\s]*@)?"
    r"(?P<host>(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])?(?::\d{1,5})?)"
    r"(?P<path>/[A-Za-z0-9._~/{}%+-]*)?"
    r"(?P<query>\?[^@#\s]*)?"
)
_PLACEHOLDER = re.compile(r"\{[a-z_]+\}")
_NAME = re.compile(r"[A-Za-z][A-Za-z_]{0,31}")

_SECRET_OPTION = re.compile(
    r"passw|passphrase|secret|\.pem$|\.key$|private|token|credential|oauthbearer\.config|jaas|cmd$"
)
_PLAIN_OPTION = re.compile(
    r"security\.protocol|sasl\.mechanisms?|sasl\.username|sasl\.kerberos\.(service\.name|principal)|client\.(id|rack)|acks"
    r"|debug|(group|isolation|compression|auto|partition|queuing|broker\.address)\..*"
    r"|.*\.(location|algorithm|type|protocol|strategy)"
)
_QUOTED = re.compile(
    r"(beginning at: ).*"
    r"|(Invalid value )\".*?\"(?= for configuration property \"(?!security\.protocol|sasl\.mechanism))",
    re.DOTALL,
)
_PLAIN_VALUE = re.compile(r"true|false|-?\d+(\.\d+)?")


def shown_url(text: str) -> str:
    """A URL with its place, without what logs in: user, password and the values of its query."""
    if not text:
        return ""
    parts = _URL.fullmatch(text)
    if parts is None:
        return HIDDEN
    user = f"{HIDDEN}@" if parts["user"] else ""
    return f"{parts['scheme']}://{user}{parts['host']}{parts['path'] or ''}{_shown_query(parts['query'] or '')}"


def _shown_query(query: str) -> str:
    """Names stay, and what is only a place to be filled in."""
    if len(query) < 2:
        return query
    shown = []
    for pair in query[1:].split("&"):
        name, equals, value = pair.partition("=")
        if not equals or not _NAME.fullmatch(name):
            shown.append(HIDDEN)
        else:
            shown.append(f"{name}={value if _PLACEHOLDER.fullmatch(value) else HIDDEN}")
    return "?" + "&".join(shown)


def shown_option(name: str, value: str) -> str:
    """An option of librdkafka's: shown only when its name is known to be harmless, or it is a number.

    A misspelt ``sasl.pasword`` is what somebody looks at the settings for.
    """
    if not value:
        return ""
    if name.endswith(".url"):
        return shown_url(value)
    if _SECRET_OPTION.search(name):
        return HIDDEN
    return value if _PLAIN_OPTION.fullmatch(name) or _PLAIN_VALUE.fullmatch(value) else HIDDEN


def told_by_librdkafka(text: str) -> str:
    """librdkafka's sentence about an option, without the value that it quotes."""
    return _QUOTED.sub(lambda found: f"{found[1] or found[2]}{HIDDEN}", text)


def without(text: str, url: str) -> str:
    """Somebody else's sentence about a URL, without what logs in there."""
    parts = _URL.fullmatch(url)
    if parts is None:
        return HIDDEN
    pieces = re.split(r"[:@?&=]", f"{parts['user'] or ''}{parts['query'] or ''}")
    for piece in sorted(filter(None, pieces), key=len, reverse=True):
        text = text.replace(piece, HIDDEN)
    return text
