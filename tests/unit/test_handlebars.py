"""Templates: what is broken or ambiguous is named with its line, and none can hang who fills it in."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.templates.handlebars import NotFilledIn, TemplateRefused, check, render
from schemas.templates.handlebars.engine import _compiled, _read_once
from schemas.templates.handlebars.tags import SIZE_MAX, TAGS_MAX
from schemas.templates.handlebars.tree import DEPTH_MAX


@pytest.mark.parametrize(
    ("template", "line", "says"),
    [
        ("a\n{{#if x}}\nb", 2, "{{#if x}} is not closed: add {{/if}}"),
        ("{{#if x}}\n{{else if y}}\nb", 1, "{{#if x}} is not closed"),
        ("{{#each l}}\n{{/if}}", 2, "{{/if}} does not close {{#each l}} of line 1"),
        ("a\r\nb\r\n{{/if}}", 3, "closes nothing"),
        ("{{! one\ntwo }}{{!-- three\n --}}\n{{name", 4, "is no whole tag"),
        ("{{a}}\n{{items.0}}", 2, "write it as [0]"),
        ("\n{{items.0.n}}", 2, "write it as [0]"),
        ("{{list.length}}", 1, "put the number into the data"),
        ("{{#if x}}\n{{^}}\n{{/if}}", 2, "write {{else}}"),
        ("{{'x'}}", 1, "write the text without braces"),
        ("\n\n{{upper name}}", 3, "calls the helper upper"),
        ("C:\\{{name}}", 1, "a backslash before {{"),
        ("{{na\u200bme}}", 1, "an invisible character (U+200B)"),
        ("a\n\0", 2, "a NUL character"),
        ("{ {{~name}}", 1, "{ stands right before a tag: remove the ~"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(template: str, line: int, says: str) -> None:
    """Whoever wrote it finds it, and reads what to write instead."""
    with pytest.raises(TemplateRefused) as why:
        check(template)
    assert why.value.line == line
    assert says in why.value.told


def test_what_the_data_lacks() -> None:
    """Without blocks it is a failure that names it, null as well; within a template of blocks it is empty."""
    for template, data in (
        ("{{a}} {{b.c}}", {"a": 1, "b": {}}),
        ("{{{b.c}}}", {"b": {"c": None}}),
        ("{{b.c}}", {"b": 1}),
    ):
        with pytest.raises(KeyError, match=r"b\.c"):
            render(template, data)
    assert render("{{b.c}}{{#if b}}x{{/if}}", {"b": {"c": None}}) == "x"
    assert render("{{a}}{{! b }}", {"a": ""}) == ""


def test_values_are_printed_as_they_are() -> None:
    """SES escapes nothing; a value is never taken for a template; two and three braces are alike."""
    data = {"a": "<b>\"&'`=", "t": "{{a}}\\"}
    assert render("{{a}}|{{{a}}}|{{t}}{{a}}", data) == "|".join([data["a"]] * 2) + "|" + data["t"] + data["a"]


DEEP: Any = []
for _ in range(5_000):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    ("template", "data"),
    [
        ("{{#each l}}{{#each ../l}}{{#each ../../l}}x{{/each}}{{/each}}{{/each}}", {"l": [1] * 300}),
        ("{{#l}}{{#@root.l}}{{#@root.l}}x{{/@root.l}}{{/@root.l}}{{/l}}", {"l": [1] * 300}),
        ("{{#each o}}{{#each @root.o}}{{#each @root.o}}x{{/each}}{{/each}}{{/each}}", {"o": dict.fromkeys(map(str, range(300)))}),
        ("{{x}}" * 9_000, {"x": "x" * 200_000}),
        ("{{l}}" * 9_000, {"l": ["x" * 1_000] * 100}),
        ("{{#each l}}" + "x" * 100_000 + "{{/each}}", {"l": [1] * 5_000}),
        ("{{x}}", {"x": DEEP}),
    ],
    ids=["lists", "sections", "objects", "long values", "long lists", "long text", "deep data"],
)  # fmt: skip
def test_nothing_grows_without_end(template: str, data: dict[str, Any]) -> None:
    """Loops in loops, long values many times, nested data: each ends by a limit, not by the machine's."""
    with pytest.raises(NotFilledIn):
        render(template, data)


def test_partials_cannot_multiply() -> None:
    """Each uses the one before twice: thirty lines would be a thousand million uses."""
    lines = ['{{#*inline "p0"}}x{{/inline}}']
    lines += [f'{{{{#*inline "p{n}"}}}}{{{{> p{n - 1}}}}}{{{{> p{n - 1}}}}}{{{{/inline}}}}' for n in range(1, 30)]
    with pytest.raises(TemplateRefused, match="make it too large"):
        check("\n".join([*lines, "{{> p29}}"]))
    with pytest.raises(TemplateRefused, match="none may use itself"):
        check('{{#*inline "p"}}{{> p}}{{/inline}}{{> p}}')


def test_size_and_depth_have_limits() -> None:
    """SES's own for the size; as deep as allowed is filled in, also by partials and in chains."""
    check("x" * SIZE_MAX)
    with pytest.raises(TemplateRefused, match=f"more than {SIZE_MAX} characters"):
        check("x" * (SIZE_MAX + 1))
    with pytest.raises(TemplateRefused, match=f"more than {TAGS_MAX} tags"):
        check("{{a}}" * (TAGS_MAX + 1))
    for opening, closing in (("{{#if a}}", "{{/if}}"), ("{{#with a}}", "{{/with}}"), ("{{#a}}", "{{/a}}")):
        assert render(opening * DEPTH_MAX + "x" + closing * DEPTH_MAX, {"a": True}) == "x"[: opening != "{{#with a}}"]
        with pytest.raises(TemplateRefused, match=f"within {DEPTH_MAX} blocks"):
            check(opening * (DEPTH_MAX + 1) + closing * (DEPTH_MAX + 1))
    chain = "{{#if b}}" + "{{else if b}}" * (DEPTH_MAX - 1) + "{{else}}x{{/if}}"
    assert render(chain, {}) == "x"
    with pytest.raises(TemplateRefused, match="within"):
        check(chain.replace("{{else}}", "{{else if b}}"))
    with pytest.raises(TemplateRefused):
        check("{{#if a}}" * 40_000)


def test_a_template_is_compiled_once() -> None:
    """The sandbox fills one in for each mail it accepts."""
    for once in (_read_once, _compiled):
        once.cache_clear()
    for n in range(5):
        assert render("{{n}} of five", {"n": n}) == f"{n} of five"
        assert render("{{#if n}}{{n}}{{/if}}", {"n": n}) == (str(n) if n else "")
    assert (_read_once.cache_info().misses, _compiled.cache_info().misses) == (2, 1)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()


@given(SCALARS, SCALARS, st.text(alphabet="ab{ \n\\", max_size=5))
def test_the_short_way_prints_what_the_engine_prints(one: Any, other: Any, text: str) -> None:
    """Plain templates do without the engine; ``./x`` is the same value by the engine."""
    data = {"one": one, "of": {"it": other}}
    short = f"{text} {{{{one}}}} {text} {{{{~of.it}}}}{{{{! note }}}}"
    assert outcome(short, data) == outcome(short.replace("{{one}}", "{{./one}}"), data)


def outcome(template: str, data: dict[str, Any]) -> tuple[str, str]:
    try:
        return "printed", render(template, data)
    except TemplateRefused:
        return "refused", ""
    except KeyError as missing:
        return "missing", missing.args[0].removeprefix("./")


PIECES = [
    *("{{", "}}", "{{{", "}}}", "~", "#", "/", "^", ">", "!", "--", "&", "@", "*", "if", "each", "else", "with", "inline"),
    *('"p"', "a", "b.c", "../a", "this", "lookup", "(", ")", "[0]", "[", "]", "=", "|", "as", " ", "\n", "\\", "'", "0", "."),
    *("²", "٣", '" as |x|"'),
    *("{{#if a}}", "{{/if}}", "{{else}}", "{{#each l}}", "{{/each}}", '{{#*inline "p"}}', "{{/inline}}", "{{> p}}"),
]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=25).map("".join))
def test_what_passes_can_be_filled_in(template: str) -> None:
    """Whatever somebody types: refused with a reason of ours, or filled in. The engine's own complaints are bugs here."""
    try:
        check(template)
    except TemplateRefused as why:
        assert why.line <= template.count("\n") + 1
        return
    try:
        render(template, {"a": "A", "b": {"c": 1}, "l": [{"a": 1}, None], "p": "P"})
    except KeyError:
        pass
    except TemplateRefused as why:
        pytest.fail(f"{template!r}: {why}")


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"), (-0.0, "0"), (1.0, "1"), (1.50, "1.5"), (-2.25, "-2.25"), (1e20, "100000000000000000000"), (1e21, "1e+21"),
        (1.5e21, "1.5e+21"), (1e-6, "0.000001"), (1e-7, "1e-7"), (1.25e-9, "1.25e-9"), (5e-324, "5e-324"),
        (2**53, "9007199254740992"), (2**53 + 1, "9007199254740992"), (10**400, "Infinity"), (-(10**400), "-Infinity"),
        (True, "true"), (False, "false"), ([1.0, [None, True]], "1,,true"), ({}, "[object Object]"),
    ],
    ids=lambda value: str(value)[:25],
)  # fmt: skip
def test_values_look_as_in_javascript(number: Any, text: str) -> None:
    """A price is 1.5 to everybody."""
    assert render("{{n}}", {"n": number}) == text
