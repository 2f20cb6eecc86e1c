"""Templates: what they need, values escaped for HTML, and filling in without SES."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from processor.adapters.local_templates import LocalTemplates
from processor.adapters.templates import stored_form
from processor.core.mail import template_content
from processor.core.shapes import distinct_shapes
from processor.shell.templates import check_needs
from schemas.codec import template_data
from schemas.limits import TEMPLATE_DATA_BYTES_MAX
from schemas.records import Job
from schemas.runtime.errors import BadRecord, Halted, UsageError
from schemas.templates.data import Form, with_twin
from schemas.templates.escaping import escape_html_part, kept_form
from schemas.templates.handlebars import TemplateRefused, render
from schemas.templates.handlebars.tags import SIZE_MAX
from schemas.templates.template import Needs
from tests.support.world import MONTH

SHIPPED = Path("infra/demo/templates")


def folder_of(folder: Path, **parts: str) -> Path:
    (folder / "t").mkdir()
    for name, text in {"subject.txt": "Hi {{name}}\n", "body.txt": "{{name}}, {{kwh}} kWh", **parts}.items():
        (folder / "t" / name.replace("_", ".")).write_text(text)
    return folder


def job(who: str, template: str = "t", **data: Any) -> Job:
    return Job(v=1, user_id=who, month=MONTH, email="a@b.de", template=template, data=data, published_at_ms=0)


def mail(**data: Any) -> Job:
    return job("u1", **data)


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("<p>{{name}} {{ user.city }}</p>", "<p>{{_html.name}} {{ _html.user.city }}</p>"),
        ("{{{name}}}{{! note}}", "{{{name}}}{{! note}}"),
        ("{{#if plan}}{{plan}}{{else}}-{{/if}}", "{{#if plan}}{{_html.plan}}{{else}}-{{/if}}"),
        ("{{#each items}}{{label}}{{#if x}}{{x}}{{/if}}{{/each}}{{a}}",
         "{{#each _html.items}}{{label}}{{#if x}}{{x}}{{/if}}{{/each}}{{_html.a}}"),
        ("{{#each a}}{{#each b}}{{c}}{{/each}}{{/each}}", "{{#each _html.a}}{{#each b}}{{c}}{{/each}}{{/each}}"),
        ("{{~#each items~}}{{~label~}}{{~/each~}}{{~a~}}{{~{b}~}}{{this.c}}",
         "{{~#each _html.items~}}{{~label~}}{{~/each~}}{{~_html.a~}}{{~{b}~}}{{_html.c}}"),
        ("{{#each items}}{{../owner}}{{@root.x}}{{else}}{{none}}{{/each}}{{./x}}{{&raw}}",
         "{{#each _html.items}}{{../_html.owner}}{{@root._html.x}}{{else}}{{_html.none}}{{/each}}{{_html.x}}{{&raw}}"),
        ("{{lookup a b}}{{#with (lookup @root.a this.b) as |it|}}{{it.c}}{{it}}{{/with}}",
         "{{lookup _html.a _html.b}}{{#with (lookup @root._html.a _html.b) as |it|}}{{it.c}}{{it}}{{/with}}"),
        ("{{#user}}{{city}}{{else}}{{none}}{{/user}}",
         "{{#with _html}}{{#user}}{{city}}{{else}}{{none}}{{/user}}{{/with}}"),
        ("a\n {{#items}}\n{{n}}\n{{/items}}\nb",
         "a\n {{#with _html}}\n{{#items}}\n{{n}}\n{{/items}}\n{{/with}}\nb"),
        ("{{~#a~}}{{{b}}}{{~/a~}}", "{{~#with _json}}{{~#a~}}{{{b}}}{{~/a~}}{{/with~}}"),
        ("{{#each l}}{{#@root.vip}}{{n}}{{/@root.vip}}{{^../none}}{{n}}{{/../none}}{{/each}}",
         "{{#each _html.l}}{{#@root._html.vip}}{{n}}{{/@root._html.vip}}{{^../none}}{{n}}{{/../none}}{{/each}}"),
        ('{{#*inline "p"}}{{x}}{{/inline}}{{> p}}{{> p this}}{{#each l}}{{> p}}{{> p ../o x=@key y=1}}{{/each}}',
         '{{#*inline "p"}}{{x}}{{/inline}}{{> p _html}}{{> p _html}}{{#each _html.l}}{{> p}}{{> p ../_html.o x=@key y=1}}{{/each}}'),
        ('{{#*inline "p"}}{{{x}}}{{#each l}}{{/each}}{{/inline}}{{> p}}', '{{#*inline "p"}}{{{x}}}{{#each l}}{{/each}}{{/inline}}{{> p _json}}'),
        ("{{#if items}}{{#each items}}{{{n}}}{{/each}}{{/if}}{{^items}}{{/items}}{{{u.c}}}",
         "{{#if _html.items}}{{#each _json.items}}{{{n}}}{{/each}}{{/if}}{{^_html.items}}{{/_html.items}}{{{_json.u.c}}}"),
        ("{{#each l}}{{../../x}}{{@../key}}{{/each}}{{@key}}", "{{#each _html.l}}{{../../x}}{{@../key}}{{/each}}{{@key}}"),
        ("{{#each this}}{{@key}}{{@index}}{{.}}{{/each}}{{#with this as |me|}}{{me.x}}{{/with}}",
         "{{#each _html}}{{@key}}{{@index}}{{.}}{{/each}}{{#with _html as |me|}}{{me.x}}{{/with}}"),
    ],
)  # fmt: skip
def test_html_takes_escaped_values(written: str, kept: str) -> None:
    """Where a value is printed, and where a block makes it the scope; once is enough."""
    assert escape_html_part(written) == kept
    assert escape_html_part(kept) == kept


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("{{lookup a 'x\"&y'}}", "{{lookup _html.a 'x&quot;&amp;y'}}"),
        ("{{[a&b].c}}{{#each m}}{{[a&b]}}{{/each}}", "{{_html.[a&amp;b].c}}{{#each _html.m}}{{[a&amp;b]}}{{/each}}"),
        ('{{#*inline "p"}}{{x}}{{/inline}}{{> p x="<b>"}}', '{{#*inline "p"}}{{x}}{{/inline}}{{> p _html x="&lt;b&gt;"}}'),
    ],
)  # fmt: skip
def test_names_and_texts_are_escaped_as_the_values_are(written: str, kept: str) -> None:
    """What is looked up among escaped values is itself escaped: a key is found, and none is printed as it is."""
    assert escape_html_part(written) == kept


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("{{#each items}}\n {{{a}}}{{b}}{{/each}}", "2:9: {{b}} and {{{a}}} of line 2 want the same values once as they are"),
        ("{{#each l}}{{{a}}}{{/each}}{{#each _html.l}}{{{a}}}{{/each}}", "1:45: {{{a}}} and {{#each _html.l}} of line 1 want"),
        ("{{#user}}{{../x}}{{/user}}", "1:10: {{../x}} climbs out of {{#user}}, and data alone decides to where"),
        ("{{#user}}{{else}}{{../x}}{{/user}}", "1:18: {{../x}} climbs out of {{#user}}"),
        ("{{#each a}}{{#with @root.b}}{{../x}}{{/with}}{{/each}}", "1:29: {{../x}} climbs out of {{#with @root.b}}"),
        ("{{#_html.x}}{{y}}{{/_html.x}}", "1:1: {{#_html.x}} may stay in the data itself"),
        ('{{#*inline "p"}}{{@key}}{{/inline}}{{#each l}}{{> p}}{{/each}}', "1:17: {{@key}} may be any loop's key"),
        ("{{#each l}}{{#x}}{{@../key}}{{/x}}{{/each}}", "1:18: {{@../key}} climbs to a key through a block that may be no loop"),
        ('{{#*inline "p"}}{{x}}{{/inline}}{{#each l}}{{{a}}}{{> p}}{{/each}}', "{{{a}}} and {{x}} of line 1 want"),
    ],
)  # fmt: skip
def test_html_that_could_show_a_value_as_it_is_is_refused(written: str, says: str) -> None:
    """With the place: who wrote it can say the same in a way that is proved."""
    with pytest.raises(TemplateRefused) as why:
        escape_html_part(written)
    assert says in f"{why.value.line}:{why.value.column}: {why.value.told}"


def test_subject_and_text_go_into_json_texts_and_are_not_escaped() -> None:
    """What is plain stays as it is written; a part that would grow beyond SES's limit is refused."""
    written = {
        "Subject": "{{name}} {{user.city}}",
        "Text": '{{#*inline "p"}}{{x}}{{/inline}}{{> p}}{{#user}}{{c}}{{else}}-{{/user}}{{#if user}}{{user}}{{/if}}',
    }
    kept, problems = kept_form(written)
    assert not problems
    assert kept == {
        "Subject": "{{name}} {{_json.user.city}}",
        "Text": '{{#*inline "p"}}{{x}}{{/inline}}{{> p}}'
        "{{#_json.user}}{{c}}{{else}}-{{/_json.user}}{{#if _json.user}}{{user}}{{/if}}",
    }
    _, problems = kept_form({"Html": "x" * (SIZE_MAX - 5) + "{{a}}"})
    assert [(why.part, why.what) for why in problems] == [("Html", f"the template has more than {SIZE_MAX} characters")]


def test_one_set_of_data_serves_all_parts() -> None:
    """Subject and text show what HTML must not."""
    data = {"name": '<b>"A" & B</b>', "user": {"city": "<Ulm>"}, "items": ["<", 1, None], "n": 5}
    whole = with_twin(data)
    html = render(escape_html_part("{{name}} {{user.city}} {{n}}"), whole)
    assert html == "&lt;b&gt;&quot;A&quot; &amp; B&lt;/b&gt; &lt;Ulm&gt; 5"
    assert render("{{name}}", whole) == data["name"]
    assert whole["_html"]["items"] == ["&lt;", 1, None]


def test_what_a_stored_template_needs() -> None:
    """Names are the data's own, whether escaped or not; a subject is one line."""
    needs = Needs.of({"Subject": "Hi {{name}}", "Html": "{{_html.name}} {{#each _html.items}}{{x}}{{/each}}"})
    assert (needs.names, needs.in_subject, needs.twin) == ({"name", "items"}, {"name"}, True)
    assert Needs.of({"Subject": "Hi", "Text": "{{name}}"}) == Needs(frozenset({"name"}))
    check_needs(mail(name="A B", items=[]), needs)
    for data, code in (({"name": "A"}, "missing-data"), ({"name": "A\r\nBcc: x@y.z", "items": []}, "bad-subject")):
        with pytest.raises(BadRecord) as bad:
            check_needs(mail(**data), needs)
        assert bad.value.code == code


def test_escaped_values_count_against_the_limit() -> None:
    """The data itself may be just within it."""
    fits = mail(name="x" * (TEMPLATE_DATA_BYTES_MAX // 2))
    assert "_html" not in template_content(fits)["Template"]["TemplateData"]
    with pytest.raises(ValueError, match="escaped more than 262144 bytes"):
        template_content(fits, Form(html=True))
    small = mail(name="<")
    content = template_content(small, Form(html=True))
    assert (
        content["Template"]["TemplateData"]
        == template_data(small, Form(html=True))
        == '{"_html":{"name":"&lt;"},"name":"<"}'
    )


async def test_local_templates_fill_in_and_escape(tmp_path: Path) -> None:
    """The folder of `templates push`, plain variables: HTML escaped, text and subject as they are."""
    folder = folder_of(tmp_path, body_html="<p>{{name}}: {{user.on}} {{ name | safe }}</p>")
    local = LocalTemplates(folder)
    letter = mail(name="<A> & Söhne", kwh="5", user={"on": True})
    await local.check(letter)
    simple = local.content(letter)["Simple"]
    assert simple["Subject"] == {"Data": "Hi <A> & Söhne", "Charset": "UTF-8"}
    assert simple["Body"]["Text"]["Data"] == "<A> & Söhne, 5 kWh"
    assert simple["Body"]["Html"]["Data"] == "<p>&lt;A&gt; &amp; Söhne: true <A> & Söhne</p>"
    assert local.names == ["t"]


async def test_local_templates_go_into_json_texts_too(tmp_path: Path) -> None:
    """Which names they are says the template; one that it only prints stays the text that it is."""
    body = "{{user.city}} {{note}} {% for one in items | sort(attribute='n') %}{{one.n}}{% endfor %} {{l[0]}}"
    data = {"user": '{"city": "Ulm"}', "note": "[1]", "items": '[{"n": 2}, {"n": 1}]', "l": ["x"]}
    found = LocalTemplates(folder_of(tmp_path, body_txt=body)).render(mail(name="A", **data))
    assert found["Text"] == "Ulm [1] 12 x"


@pytest.mark.parametrize(
    ("data", "code", "says"),
    [
        ({"name": "A"}, "missing-data", "t/body.txt: 'kwh' is undefined"),
        ({"name": None, "kwh": 1}, "missing-data", "'name' is undefined"),
        ({"name": "A\nBcc: x@y.z", "kwh": 1}, "bad-subject", "line break"),
        ({"name": "A", "kwh": 1, "n": "none"}, "rendering-failed", "t/body.html: LookupError"),
        ({"name": "{{kwh}}{% if %}", "kwh": 1}, "", ""),
    ],
)
async def test_what_cannot_be_filled_in_is_refused_before_the_call(
    tmp_path: Path, data: dict[str, Any], code: str, says: str
) -> None:
    """Each with its reason; data is never taken for a template."""
    local = LocalTemplates(folder_of(tmp_path, body_html="{{ 'x'.encode(n | default('utf-8')) }}"))
    if not code:
        await local.check(mail(**data))
        assert local.render(mail(**data))["Subject"] == "Hi {{kwh}}{% if %}"
        return
    with pytest.raises(BadRecord) as bad:
        await local.check(mail(**data))
    assert bad.value.code == code
    assert says in bad.value.detail


async def test_templates_cannot_reach_the_process(tmp_path: Path) -> None:
    """A template is content, also when somebody else wrote it."""
    local = LocalTemplates(folder_of(tmp_path, body_html="{{ ''.__class__.__mro__[1].__subclasses__() }}"))
    with pytest.raises(BadRecord, match="unsafe|undefined"):
        await local.check(mail(name="A", kwh=1))
    (tmp_path / "t" / "body.html").write_text("{% include '../../../../../../etc/passwd' %}")
    with pytest.raises(BadRecord, match="TemplateNotFound"):
        await LocalTemplates(tmp_path).check(mail(name="A", kwh=1))


async def test_folders_that_cannot_be_read(tmp_path: Path) -> None:
    """File and line; a template that is not there halts, as one that SES lacks does."""
    folder = folder_of(tmp_path, body_html="fine\n{{#if x}}Handlebars{{/if}}")
    with pytest.raises(UsageError, match=r"t/body.html:2: "):
        LocalTemplates(folder)
    with pytest.raises(UsageError, match="no such folder"):
        LocalTemplates(tmp_path / "none")
    with pytest.raises(Halted, match="has no template 'other'"):
        await LocalTemplates(SHIPPED).check(job("u1", template="other"))


def test_every_file_that_ses_would_not_fill_in_is_named(tmp_path: Path) -> None:
    """With the line as its editor shows it, although blank lines around it are not kept; the shipped ones pass."""
    folder = folder_of(
        tmp_path, subject_txt="\n\nHi {{#if name}}{{name}}", body_html="<p>\n{{items.0.n}}", body_txt="{{~name~}}"
    )
    with pytest.raises(UsageError) as why:
        stored_form(folder)
    assert str(why.value).splitlines() == [
        f"{folder}/t/subject.txt:3:4: {{{{#if name}}}} is not closed: add {{{{/if}}}}",
        f"{folder}/t/body.html:2:1: {{{{items.0.n}}}} has the index 0 in a path: write it as [0]",
    ]
    assert stored_form(SHIPPED)


async def test_the_shipped_templates_serve_both_ways() -> None:
    """The same text, but for what HTML must not show."""
    data = {
        name: f"<{name}>"
        for name in ("name", "device", "usage_kwh", "active_days", "plan", "cost_eur", "change_percent")
    }
    here = LocalTemplates(SHIPPED).render(job("u1", template="monthly-usage", **data))
    for part, file in (("Subject", "subject.txt"), ("Text", "body.txt"), ("Html", "body.html")):
        text = (SHIPPED / "monthly-usage" / file).read_text().strip()
        kept = escape_html_part(text) if part == "Html" else text
        assert here[part] == render(kept, with_twin(data))


def test_one_job_of_each_shape() -> None:
    """Empty, number, text, lines, and what is nested; the first of each."""
    values: list[Any] = [
        "Anna",
        "Bert",
        "",
        "5",
        "7,5",
        "a\nb",
        None,
        True,
        False,
        1,
        0,
        ["x"],
        ["y", "z"],
        {"a": "x"},
        {"a": "y"},
    ]
    jobs = [job(f"u{n}", x=value) for n, value in enumerate(values)]
    assert [one.data["x"] for one in distinct_shapes(jobs)] == [
        "Anna", "", "5", "a\nb", None, True, False, 1, 0, ["x"], {"a": "x"}
    ]  # fmt: skip
