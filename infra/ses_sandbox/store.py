"""What an SES account holds besides messages: templates, suppressed addresses, configuration sets, identities."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec

from infra.ses_sandbox.model import SandboxSettings, SesError
from schemas.addresses import bare_address
from schemas.template import has_blocks, render_plain

__all__ = ["Store"]

_VALUE = re.compile(r"(?<!\{)\{\{(?!\s*(?:[{#/^!>&]|else\b))([^{}]+)\}\}(?!\})")


class _Kept(msgspec.Struct, kw_only=True):
    settings: SandboxSettings = msgspec.field(default_factory=SandboxSettings)
    templates: dict[str, dict[str, str]] = {}
    suppressed: dict[str, str] = {}
    configuration_sets: dict[str, list[dict[str, Any]]] = {}


class Store:
    """Kept in one JSON file, written whole at every change (they are few)."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / "account.json"
        self.kept = msgspec.json.decode(self._path.read_bytes(), type=_Kept) if self._path.exists() else _Kept()

    @property
    def settings(self) -> SandboxSettings:
        return self.kept.settings

    def save(self) -> None:
        partial = self._path.with_suffix(".part")
        partial.write_bytes(msgspec.json.encode(self.kept))
        partial.replace(self._path)

    def template(self, name: str) -> dict[str, str]:
        if name not in self.kept.templates:
            raise SesError(404, "NotFoundException", f"Template {name} does not exist.")
        return self.kept.templates[name]

    def render(self, name: str, data: dict[str, Any]) -> tuple[str, str, str]:
        """(subject, HTML, text); raises ``KeyError`` naming a variable that the data lacks."""
        content = self.template(name)
        return tuple(_render(content.get(part) or "", data) for part in ("Subject", "Html", "Text"))  # type: ignore[return-value]

    def is_verified(self, address: str) -> bool:
        bare = bare_address(address).lower()
        verified = {name.lower() for name in self.settings.verified}
        return bare in verified or bare.rpartition("@")[2] in verified


def _render(part: str, data: dict[str, Any]) -> str:
    if not has_blocks(part):
        return render_plain(part, data)
    import pybars

    # SES does not escape values, Handlebars does unless there are three braces.
    return str(pybars.Compiler().compile(_VALUE.sub(r"{{{\1}}}", part))(data))
