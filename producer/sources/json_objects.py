"""JSON objects one after the other, in a list or not, each over as many lines as it likes: found without being read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from schemas.runtime.errors import SourceError

__all__ = ["ROW_BYTES_MAX", "SPACE", "objects_of"]

ROW_BYTES_MAX = 4_000_000
"""Of an object: SES takes 262,144 bytes of data for a mail"""
SPACE = b" \t\r\n"

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|["\[\]{}]', re.DOTALL)
_DEEPER, _HIGHER = b"{[", b"}]"


def objects_of(more: Callable[[], bytes], head: bytes, line: int, name: str) -> Iterator[tuple[int, bytes]]:
    """Each object of a text, with the line it begins in; `head` is the text's first piece, `more` gives the next.

    Raises `SourceError` for anything else between them, and for a text that ends too soon.
    """
    cut = _Cut(name, line)
    text = head
    while True:
        yield from cut.feed(text)
        if not (text := more()):
            cut.end()
            return


class _Cut:
    """Finds where objects begin and end; keeps what is not whole yet."""

    def __init__(self, name: str, line: int) -> None:
        self._name = name
        self._line = line
        """of the text's beginning"""
        self._text = b""
        self._at = 0
        """up to here it was looked at"""
        self._keep = 0
        """from here on it is needed: an object's beginning, or what follows the last one"""
        self._depth = 0
        self._listed: bool | None = None
        self._done = False
        self._any = False
        """whether there was an object before this place"""

    def feed(self, piece: bytes) -> Iterator[tuple[int, bytes]]:
        self._line += self._text.count(b"\n", 0, self._keep)
        self._text, self._at, self._keep = self._text[self._keep :] + piece, self._at - self._keep, 0
        for token in _TOKEN.finditer(self._text, self._at):
            char = self._text[token.start()]
            if char == ord('"') and token.end() - token.start() == 1:
                break  # a text that goes on in the next piece
            self._at = token.end()
            if self._depth == 0:
                self._between(token.start(), char)
            elif char in _DEEPER:
                self._depth += 1
            elif char in _HIGHER:
                self._depth -= 1
                if self._depth == 0:
                    yield self._line + self._text.count(b"\n", 0, self._keep), self._text[self._keep : self._at]
                    self._keep = self._at
        if len(self._text) - self._keep > ROW_BYTES_MAX:
            raise SourceError(f"{self._name}: line {self._line}: an object of more than {ROW_BYTES_MAX:,} bytes")

    def _between(self, start: int, char: int) -> None:
        """A token outside of every object."""
        gap = self._text[self._keep : start].strip(SPACE)
        if self._listed is None and char == ord("[") and not gap:
            self._listed, self._keep = True, self._at
            return
        ends = char == ord("]") and self._listed
        before = b"," if self._listed and self._any and not ends else b""
        if self._done or gap != before or not (ends or char == ord("{")):
            line = self._line + self._text.count(b"\n", 0, start)
            raise SourceError(f"{self._name}: line {line}: neither a JSON object nor a list of objects")
        self._listed = bool(self._listed)
        if ends:
            self._done, self._keep = True, self._at
        else:
            self._any, self._depth, self._keep = True, 1, start

    def end(self) -> None:
        if self._depth or (self._listed and not self._done) or self._text[self._keep :].strip(SPACE):
            raise SourceError(f"{self._name} ends inside an object or a list: is it cut off?")
