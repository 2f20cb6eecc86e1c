"""Characters that nobody sees, and that make another user of an id."""

from __future__ import annotations

import re
import unicodedata

__all__ = ["invisible"]

# Soft hyphen, no-break space, zero-width space and its like, marks of direction, byte order mark; control characters.
# Joiners (U+200C, U+200D) are part of how some scripts are written.
_INVISIBLE = re.compile("[\x00-\x1f\x7f-\x9f\u00a0\u00ad\u200b\u200e\u200f\u2028\u2029\u202a-\u202f\u2060\ufeff]")


def invisible(text: str) -> str | None:
    """The first such character of a text by its code and name, as in "an invisible character (U+00A0 …)"."""
    if text.isascii() and text.isprintable():
        return None
    found = _INVISIBLE.search(text)
    if found is None:
        return None
    return f"an invisible character (U+{ord(found[0]):04X} {unicodedata.name(found[0], 'a control character')})"
