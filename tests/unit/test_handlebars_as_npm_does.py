"""Filling templates in, held to npm's Handlebars: what it printed once is on record; where node is, it is asked again."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.support.handlebars_npm import cases, installed, npm_answers, ours, random_cases

CASES = cases()
SEEDS, A_SEED = (11, 12, 13), 700


@pytest.mark.parametrize(("template", "data", "npm", "expected"), CASES, ids=[one[0] for one in CASES])
def test_a_template_is_filled_in_as_npm_does_or_refused(
    template: str, data: dict[str, Any], npm: dict[str, str], expected: str
) -> None:
    """Every construct that SES documents, and those that engines read differently."""
    found = ours(template, data)
    if expected == "same":
        assert found == npm
    else:
        assert list(found) == [expected]


@pytest.fixture(scope="module")
def npm_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("handlebars")
    if why := installed(folder):
        pytest.skip(why)
    return folder


def test_the_record_is_what_npm_says(npm_folder: Path) -> None:
    """Nobody writes npm's answers by hand."""
    asked = npm_answers(npm_folder, [(template, data) for template, data, _, _ in CASES])
    assert asked == [npm for _, _, npm, _ in CASES]


@pytest.mark.parametrize("seed", [SEEDS[0], *(pytest.param(seed, marks=pytest.mark.long) for seed in SEEDS[1:])])
def test_templates_made_at_random_are_filled_in_as_npm_does_or_refused(npm_folder: Path, seed: int) -> None:
    """Whitespace, chains, scopes and partials in combinations that nobody thought of."""
    wanted = random_cases(seed, A_SEED)
    kinds: Counter[str] = Counter()
    for (template, data), npm in zip(wanted, npm_answers(npm_folder, wanted), strict=True):
        found = ours(template, data)
        (kind,) = found
        kinds[kind] += 1
        assert kind in {"refused", "missing"} or found == npm, (template, data)
    assert kinds["out"] > A_SEED / 4, kinds
