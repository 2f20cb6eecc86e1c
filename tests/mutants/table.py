"""Every mutant of the source."""

from __future__ import annotations

from tests.mutants import of_answers, of_commands, of_the_core, of_the_edges, of_the_intake, of_the_set, of_the_sources
from tests.mutants.mutant import MUTANTS

__all__ = ["MUTANTS", "TOLD_IN"]

TOLD_IN = (of_answers, of_commands, of_the_core, of_the_edges, of_the_intake, of_the_set, of_the_sources)
"""Each adds its own to `MUTANTS` when it is imported."""
