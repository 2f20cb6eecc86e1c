"""Handlebars, as far as it is the same everywhere: what a template may say, and filling it in.

SES, npm's Handlebars and the engine used here agree on a part of the language only. `check` accepts that part and
names everything else with its line and what to write instead; `render` fills in what `check` accepts exactly as npm's
Handlebars with escaping off, since SES escapes nothing. ``tests/contracts/handlebars.json`` holds it to that.
The escaping of HTML is no business of this package (`schemas.templates.template`).
"""

from schemas.templates.handlebars.engine import check, render, tree_of
from schemas.templates.handlebars.problems import NotFilledIn, TemplateRefused

__all__ = ["NotFilledIn", "TemplateRefused", "check", "render", "tree_of"]
