"""Filling templates in, held to npm's Handlebars: what it printed once is on record; where node is, it is asked again."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from schemas.templates.data import Form, template_values
from schemas.templates.escaping import escape_html_part
from schemas.templates.handlebars import TemplateRefused, render, tree_of
from schemas.templates.handlebars.walk import Walk
from schemas.templates.scopes import scopes_of
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


def test_a_template_is_gone_through_as_it_is_filled_in() -> None:
    """What is judged before a call is what the engine prints: the same branches, scopes and values."""
    compared = 0
    for template, data in [(template, data) for template, data, _, _ in CASES] + random_cases(SEEDS[0], A_SEED):
        try:
            tree = tree_of(template)
            printed = render(template, data)
        except TemplateRefused:
            continue
        except KeyError:
            assert Walk(data).go(tree).lacks, template
            continue
        found = "".join(_text(value) for _, value in Walk(data).go(tree).printed)
        assert _solid(found) == _solid(printed), template
        compared += 1
    assert compared > A_SEED / 4


def _text(value: Any) -> str:
    return ours("{{#if 1}}{{x}}{{/if}}", {"x": value})["out"]


def _solid(text: str) -> str:
    """Without whitespace: a partial's indent is the engine's own business."""
    return re.sub(r"\s", "", text)


def test_html_is_escaped_as_npm_does_or_refused(npm_folder: Path) -> None:
    """Every value of the data, names of objects too, in templates made at random; nested values come as JSON texts."""
    wanted = [
        (template, _nasty(data) | {"o": {"b": "<&'", "x<&'y": "z"}})
        for template, data in random_cases(SEEDS[0], A_SEED)
    ]
    wanted = [one for one in wanted if "refused" not in ours(*one)]
    same = 0
    for (template, data), npm in zip(wanted, npm_answers(npm_folder, wanted, escaped=True), strict=True):
        try:
            kept = escape_html_part(template)
        except TemplateRefused:
            continue
        nested = scopes_of(tree_of(template), html=True).nested
        texts = {
            name: json.dumps(value) if name in nested and isinstance(value, list | dict) else value
            for name, value in data.items()
        }
        try:
            out = render(kept, template_values(texts, Form(True, True, True, nested)))
        except KeyError:
            continue
        if "{{{" not in template and "~{" not in template:
            assert "<&'" not in out, (template, kept)
        # A number looked up in a text finds a character, and an escaped text has others.
        if "lookup" not in template:
            assert {"out": out} == npm, (template, kept)
            same += 1
    assert same > A_SEED / 8


def _nasty(value: Any) -> Any:
    match value:
        case str():
            return value and f"{value}<&'"
        case list():
            return [_nasty(one) for one in value]
        case dict():
            return {name: _nasty(one) for name, one in value.items()}
        case _:
            return value
