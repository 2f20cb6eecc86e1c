"""What a tag may not say: each construct is refused at its line, in words that its author can act on."""

from __future__ import annotations

import pytest

from schemas.templates.handlebars import NotFilledIn, TemplateRefused, check, render

PARTIAL = '{{#*inline "p"}}{{x}}{{/inline}}\n'


@pytest.mark.parametrize(
    ("template", "line", "says"),
    [
        ("\n{{a=b}}", 2, "is not understood at 'a=b'"),
        ("{{)}}", 1, "is not understood at ')'"),
        ("{{lookup l )}}", 1, "is not understood at ')'"),
        ("{{lookup (lookup a b=1) c}}", 1, "is not understood at 'b=1)'"),
        ("{{lookup (lookup a}}", 1, "is not complete"),
        ("a\n\n{{lookup l 1234567890123}}", 3, "holds 1234567890123: at most 12 digits and 4 decimals"),
        ("{{lookup l 1.23456}}", 1, "holds 1.23456: at most 12 digits and 4 decimals"),
        ("{{lookup (lookup a b c) d}}", 1, "gives lookup more than two values"),
        ("{{lookup (lookup (lookup a b) c) d}}", 1, "has a call within a call: use {{#with}}"),
        ('{{lookup o " as |x|"}}', 1, "block parameters to some engines: put the text into the data"),
        ("a\n{{l.[²]}}", 2, "has the name ², a number to some engines: use a name with letters"),
        ("{{lookup l ٣}}", 1, "has the name ٣, a number to some engines: use a name with letters"),
    ],
)
def test_values(template: str, line: int, says: str) -> None:
    """A value is a path, a text, a short number or one lookup; the place is named, not what stands behind it."""
    assert_refused(template, line, says)


@pytest.mark.parametrize(
    ("template", "line", "says"),
    [
        ("a\n{{#each l as |x| y}}\n{{/each}}", 2, "says something after its block parameters"),
        ("{{#each l as |a b c|}}{{/each}}", 1, "has block parameters |a b c|: name one or two"),
        ("{{#each l as ||}}{{/each}}", 1, "has block parameters ||: name one or two"),
        ("\n{{#if a x=1}}{{/if}}", 2, "names a value: only includeZero=true is known"),
        ("{{#log a}}{{/log}}", 1, "uses the reserved name log: for a field write ./log"),
        ("{{#[odd name]}}{{/[odd name]}}", 1, "is not the same everywhere: write {{#with …}} or {{#each …}}"),
        ("{{#user as |u|}}{{/user}}", 1, "is not the same everywhere: write {{#with …}} or {{#each …}}"),
    ],
)
def test_blocks(template: str, line: int, says: str) -> None:
    """A block takes one value, and names what SES names."""
    assert_refused(template, line, says)


@pytest.mark.parametrize(
    ("template", "line", "says"),
    [
        (PARTIAL + "{{> p x=1 y}}", 2, "gives a value after a named one: put named values last"),
        (PARTIAL + "{{> p a b}}", 2, "is given more than a path and named values"),
        (PARTIAL + '{{> p "text"}}', 2, "is given more than a path and named values"),
        ('\n{{#*inline "p" x}}{{/inline}}', 2, "says more than a name"),
        ('{{#*inline "p"}}\n{{else}}{{/inline}}', 2, "stands in a partial, outside of a block"),
        ('{{#*inline "p"}}\n{{#each l}}{{../../a}}{{/each}}{{/inline}}', 2, "climbs out of its partial: use @root, or give it a value"),
    ],
)  # fmt: skip
def test_partials(template: str, line: int, says: str) -> None:
    """A partial has a name alone, one branch, and is given a path and named values."""
    assert_refused(template, line, says)


def assert_refused(template: str, line: int, says: str) -> None:
    with pytest.raises(TemplateRefused) as why:
        check(template)
    assert why.value.line == line
    assert why.value.told.endswith(f" {says}")


def test_what_the_engine_cannot_do_is_no_crash() -> None:
    """An index longer than Python's numbers, a value that is no JSON: the mail is not filled in, and it is said why."""
    for template, data in (("{{items.[" + "9" * 5_000 + "]}}", {"items": [1]}), ("{{f}}", {"f": print})):
        check(template)
        with pytest.raises(NotFilledIn, match="the engine cannot fill it in: "):
            render(template, data)
