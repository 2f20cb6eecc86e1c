"""What an SES account holds besides messages: templates, suppressed addresses, configuration sets, identities."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from infra.ses_sandbox.model import SandboxSettings, SesError
from schemas.addresses import bare_address
from schemas.templates.handlebars import render

__all__ = ["Store"]


class _Kept(msgspec.Struct, kw_only=True):
    settings: SandboxSettings = msgspec.field(default_factory=SandboxSettings)
    templates: dict[str, dict[str, str]] = {}
    suppressed: dict[str, str] = {}
    configuration_sets: dict[str, list[dict[str, Any]]] = {}
    tenants: list[str] = []
    contact_lists: dict[str, list[str]] = {}
    """with their topics"""


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
        """(subject, HTML, text); raises as `schemas.templates.handlebars.render` does."""
        content = self.template(name)
        subject, html, text = (render(content.get(part) or "", data) for part in ("Subject", "Html", "Text"))
        return subject, html, text

    def is_verified(self, address: str) -> bool:
        bare = bare_address(address).lower()
        verified = {name.lower() for name in self.settings.verified}
        return bare in verified or bare.rpartition("@")[2] in verified
