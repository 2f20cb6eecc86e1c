"""What a template needs of a mail's data: judged on its tree, with the data that the mail has."""

from __future__ import annotations

import json
from typing import Any

import pytest

from processor.core.shapes import distinct_shapes
from processor.shell.templates import check_needs
from schemas.records import Job
from schemas.runtime.errors import BadRecord
from schemas.templates.data import AS_IT_IS, Form, opened, template_values
from schemas.templates.escaping import kept_form
from schemas.templates.handlebars import render
from schemas.templates.template import Needs
from tests.support.world import MONTH

ITEMS = [{"n": "<1>"}, {"n": "2"}]


def job(**data: Any) -> Job:
    return Job(v=1, user_id="u1", month=MONTH, email="a@b.de", template="t", data=data)


def lacking(content: dict[str, str], **data: Any) -> list[str]:
    """By the template as it is written and as it is kept: both say the same."""
    kept, problems = kept_form(content)
    assert not problems
    told = [[f"{one} {one.where}" for one in Needs.of(form).judge(data).lacking] for form in (content, kept)]
    assert [one.split(":")[:2] for one in told[0]] == [one.split(":")[:2] for one in told[1]]
    return told[0]


@pytest.mark.parametrize(
    ("html", "data", "says"),
    [
        ("{{a}}\n {{user.city}}", {"user": {"zip": 1}}, ["a body.html:1:1", "user.city body.html:2:2"]),
        ("{{a}}", {"a": None}, ["a body.html:1:1"]),
        ("{{user.city}}", {"user": "Ulm"}, ["user.city body.html:1:1"]),
        ("{{user.city}}", {"user": '{"city": "Ulm"}'}, []),
        ("{{#if plan}}{{plan}}{{x}}{{else}}{{y}}{{/if}}", {"plan": "P", "x": ""}, []),
        ("{{#if plan}}{{plan}}{{else}}{{y}}{{/if}}", {"plan": ""}, ["y body.html:1:29"]),
        ("{{#each items}}{{n}}{{m}}{{#each sub}}{{/each}}{{/each}}", {"items": ITEMS}, ["m body.html:1:21"]),
        ("{{#each items}}{{n}}{{/each}}", {"items": json.dumps(ITEMS)}, []),
        ("{{#each items}}{{n}}{{/each}}", {"items": "a, b"}, ["items as a list or an object body.html:1:1"]),
        ("{{#each items}}{{n}}{{else}}-{{/each}}", {"items": ""}, []),
        ("{{#each items}}{{/each}}{{#with user}}{{city}}{{/with}}", {}, ["items body.html:1:1", "user body.html:1:25"]),
        ("{{#user}}{{city}}{{/user}}{{^user}}{{x}}{{/user}}", {"user": {"city": "Ulm"}}, []),
        ("{{#user}}{{city}}{{/user}}", {"user": True, "city": "Ulm"}, []),
        ("{{#user}}{{city}}{{/user}}", {"user": "yes", "city": "Ulm"}, ["city body.html:1:10"]),
        ("{{#user}}{{city}}{{else}}{{x}}{{/user}}", {"user": False}, ["x body.html:1:26"]),
        ("{{lookup m k}}", {"k": 1}, ["m body.html:1:1"]),
        ("{{lookup m k}}{{log x}}{{! note }}", {"m": {}}, []),
        ('{{#*inline "p"}}{{x}}{{y}}{{/inline}}{{> p}}{{> p user}}{{> p x=1 y="b"}}', {"x": 1, "y": 2, "user": {"x": 1}}, ["y body.html:1:22"]),
        ("{{#each m as |v k|}}{{v}}{{k}}{{@../index}}{{/each}}{{@root.z}}", {"m": {"b": 1}}, ["@../index body.html:1:31", "@root.z body.html:1:53"]),
    ],
)  # fmt: skip
def test_what_is_missing_is_named_with_its_place(html: str, data: dict[str, Any], says: list[str]) -> None:
    """Whole paths, in the branches that the mail takes: what is not reached is not needed."""
    assert lacking({"Html": html}, **data) == says


def test_what_the_ledger_says_of_it() -> None:
    """One sentence, with each path once and every place."""
    needs = Needs.of({"Subject": "{{a}}", "Html": "{{b.c}} {{a}}{{#if x}}{{/if}}"})
    with pytest.raises(BadRecord) as bad:
        check_needs(job(b={}), needs)
    assert bad.value.code == "missing-data"
    assert bad.value.detail.endswith(
        "template 't' needs a, b.c, which the job lacks (body.html:1:9, subject.txt:1:1, body.html:1:1)"
    )


@pytest.mark.parametrize(
    ("subject", "data"),
    [
        ("{{user.name}}", {"user": {"name": "A\r\nBcc: x@y.z"}}),
        ("{{#if a}}{{a}}{{/if}}", {"a": "A\nB"}),
        ("{{lookup m 'k'}}", {"m": {"k": "A\nB"}}),
        ("{{l}}", {"l": ["A", ["B\nC"]]}),
    ],
)
def test_a_subject_is_one_line_whatever_prints_it(subject: str, data: dict[str, Any]) -> None:
    """No value of somebody's becomes a line of the mail's head."""
    with pytest.raises(BadRecord) as bad:
        check_needs(job(**data), Needs.of({"Subject": subject}))
    assert bad.value.code == "bad-subject"


def test_a_subject_may_print_a_list() -> None:
    """Of texts of one line each."""
    check_needs(job(l=["A", ["B", 1]]), Needs.of({"Subject": "{{l}}"}))


def test_a_mail_that_would_not_end_is_refused_before_the_call() -> None:
    """Loops in loops over one long list."""
    loops = "{{#each l}}{{#each @root.l}}{{#each @root.l}}x{{/each}}{{/each}}{{/each}}"
    with pytest.raises(BadRecord) as bad:
        check_needs(job(l=[1] * 300), Needs.of({"Html": loops}))
    assert bad.value.code == "rendering-failed"


def test_a_part_that_cannot_be_read_tells_by_its_plain_tags() -> None:
    """A template that was put into SES by other means may say what is not read here."""
    needs = Needs.of({"Html": "{{a}}{{#upper b}}{{c}}{{/upper}}{{_html.d.e}}{{else}}{{_html}}{{> p}}{{'x'}}"})
    assert (needs.names, needs.twin, needs.branches) == ({"a", "d"}, True, False)
    assert [str(one) for one in needs.judge({"a": 1}).lacking] == ["d"]
    assert Needs.of({"Text": "{{a}}{{{{raw}}}}{{b}}"}).names == {"a"}


def test_data_is_what_the_template_names() -> None:
    """The job's own stays at the top as it is; what the template goes into is opened beside it, escaped or not."""
    data = {"name": "<A>", "items": json.dumps(ITEMS), "note": "[1]", "user": '{"c": "<U>"}', "a<b": "x"}
    content = {
        "Subject": "{{user.c}}",
        "Text": "{{#each items}}{{n}}{{/each}}",
        "Html": "{{name}}{{note}}{{#items}}{{n}}{{/items}}{{{user.c}}}{{[a]}}",
    }
    kept, problems = kept_form(content)
    assert not problems
    needs = Needs.of(kept)
    assert needs.form == Form(html=True, opened=True, whole=False, nested=frozenset({"items", "user"}))
    made = template_values(data, needs.form)
    assert {name: made[name] for name in data} == data
    assert set(made["_json"]) == {"items", "user"}
    assert made["_html"]["a&lt;b"] == "x"
    shown = {part: render(text, made | {"_html": made["_html"] | {"a": 1}}) for part, text in kept.items()}
    assert shown == {"Subject": "<U>", "Text": "<1>2", "Html": "&lt;A&gt;[1]&lt;1&gt;2<U>1"}
    assert template_values(data, AS_IT_IS) is data
    whole = Form(opened=True, whole=True, nested=frozenset({"user"}))
    assert template_values(data, whole)["_json"] == data | {"user": {"c": "<U>"}}


def test_only_whole_json_is_opened() -> None:
    """A text stays a text: whatever its neighbours are, and however odd it is."""
    for text in (
        "",
        "x",
        "[",
        '{"a": 1} x',
        "1",
        '"a"',
        "[" * 200 + "]" * 200,
        '["\ud800"]',
        "[" * 90_000 + "]" * 90_000,
    ):
        assert opened(text) is text
    assert opened('[1, {"a": [2]}]') == [1, {"a": [2]}]
    assert opened({"a": "[1]"}) == {"a": "[1]"}


def test_json_texts_have_shapes_of_their_own() -> None:
    """A template is tried with each."""
    texts = ["[]", "[ ]", '[{"n": 1}]', '[{"n": 2}]', '[{"m": 1}]', "{}", "plain"]
    jobs = [job(x=text) for text in texts]
    assert [one.data["x"] for one in distinct_shapes(jobs)] == ["[]", '[{"n": 1}]', '[{"m": 1}]', "{}", "plain"]
