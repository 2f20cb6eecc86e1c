"""Names that a template's data holds beside the job's own."""

from __future__ import annotations

__all__ = ["FILES", "HTML_TWIN", "OPENED_TWIN", "TWINS"]

HTML_TWIN = "_html"
"""The variable under which a template's data holds all values escaped for HTML."""
OPENED_TWIN = "_json"
"""The variable under which it holds them as they are, but JSON texts that the template goes into as what they say."""
TWINS = (HTML_TWIN, OPENED_TWIN)
FILES = {"Subject": "subject.txt", "Html": "body.html", "Text": "body.txt"}
"""The file of each part of a template."""
