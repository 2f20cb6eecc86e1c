"""Templates that cannot fail silently: filled in by SES with escaped values, or by the processor, or checked before."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from schemas.identity import Key
from schemas.records import Outcome
from tests.support.world import MONTH, World, job

NASTY = '<b>"Anna" & Co</b>'
PLAIN = {"subject.txt": "Hello {{name}}", "body.html": "<p>{{name}}: {{usage}}</p>", "body.txt": "{{name}}: {{usage}}"}


@pytest.fixture
def folder(world: World) -> Path:
    return write(world.folder / "templates", **PLAIN)


def write(folder: Path, **parts: str) -> Path:
    (folder / "monthly-usage").mkdir(parents=True, exist_ok=True)
    for name, text in parts.items():
        (folder / "monthly-usage" / name).write_text(text)
    return folder


@pytest.fixture(params=["ses", "local"])
def way(request: pytest.FixtureRequest, world: World, folder: Path) -> dict[str, str]:
    """The same folder, both ways."""
    env = {"MAILONCE_RENDER": str(request.param), "MAILONCE_TEMPLATES_FOLDER": str(folder)}
    world.run("templates", "push", str(folder), **env)
    return env


def test_html_values_are_escaped_and_what_is_missing_is_a_dead_letter(world: World, way: dict[str, str]) -> None:
    """G2: subject and text hold the value as it is; nobody's mail is lost without a word."""
    world.publish(
        [
            job("nasty", name=NASTY),
            job("lacks", usage=None),
            job("head", name="x\r\nBcc: everybody@example.net"),
            job("template", name="{{usage}} {% raw %}"),
        ]
    )
    world.drain(**way)
    sent = {key.user_id: mail for key, (mail,) in world.sandbox.by_key().items()}
    assert set(sent) == {"nasty", "template"}
    assert sent["nasty"].subject == f"Hello {NASTY}"
    assert sent["nasty"].text == f"{NASTY}: 42"
    escaped = sent["nasty"].html.replace("&#34;", "&quot;")
    assert escaped == "<p>&lt;b&gt;&quot;Anna&quot; &amp; Co&lt;/b&gt;: 42</p>"
    assert sent["template"].text == "{{usage}} {% raw %}: 42"
    reasons = {Key.from_bytes(record.key).user_id: letter.reason for record, letter in world.dead_letters()}
    assert reasons == {"lacks": "missing-data", "head": "bad-subject"}
    audit = world.audit()
    audit.check()
    assert (audit.count(Outcome.SENT), audit.count(Outcome.DEAD)) == (2, 2)


def test_what_is_previewed_is_what_is_sent(world: World, way: dict[str, str]) -> None:
    """Both ways: the page a person looks at is the mail."""
    path = world.folder / "users.csv"
    path.write_text(f'user_id,email,name,usage\nu1,a@b.de,"{NASTY.replace(chr(34), chr(34) * 2)}",7\n')
    seen = json.loads(world.run("preview", "u1", MONTH, "--source", str(path), "--json", **way).stdout)
    world.run("produce", "--month", MONTH, "--source", str(path))
    world.drain(**way)
    (mail,) = world.sandbox.accepted()
    assert (seen["subject"], seen["text"].strip(), seen["html"].strip()) == (mail.subject, mail.text, mail.html)


def test_nested_values_are_gone_into_and_escaped_wherever_they_are_reached(world: World, folder: Path) -> None:
    """From a CSV's JSON texts to the mail: sections, loops, what stands around them; and a header of the template's own."""
    html = (
        "{{#items}}{{n}}{{/items}}"
        + "{{#each items}}[{{n}} {{../owner}} {{@root.owner}} {{lookup @root.user 'city'}}]{{else}}none{{/each}}"
        + "{{user.city}}|{{~owner~}}|{{./owner}}{{#user}}{{city}}{{/user}}"
    )
    write(folder, **{"body.html": html, "body.txt": "{{#each items}}{{n}}{{/each}}", "subject.txt": "{{user.city}}"})
    (folder / "monthly-usage" / "mail.toml").write_text('[mail_headers]\nX-Owner = "{user_id}"\n')
    path = world.folder / "users.csv"
    items, user = (text.replace('"', '""') for text in ('[{"n": "<1>"}, {"n": 2}]', '{"city": "<U>"}'))
    path.write_text(f'user_id,email,owner,items,user\nu1,a@b.de,<o>,"{items}","{user}"\nu2,c@d.de,o,"a, b","{user}"\n')
    env = {"MAILONCE_TEMPLATES_FOLDER": str(folder)}
    refused = world.run("templates", "push", str(folder), "--check", str(path), ok=(3,), **env)
    assert "needs items as a list or an object" in " ".join(refused.stdout.split())
    world.run("templates", "push", str(folder), **env)
    world.run("produce", "--month", MONTH, "--source", str(path))
    world.drain(**env)
    (mail,) = world.sandbox.accepted()
    one = "{} &lt;o&gt; &lt;o&gt; &lt;U&gt;"
    loops = f"[{one.format('&lt;1&gt;')}][{one.format(2)}]"
    assert mail.html == f"&lt;1&gt;2{loops}&lt;U&gt;|&lt;o&gt;|&lt;o&gt;&lt;U&gt;"
    assert (mail.subject, mail.text, mail.headers) == ("<U>", "<1>2", {"X-Owner": "u1"})
    assert [letter.reason for _, letter in world.dead_letters()] == ["missing-data"]


def test_a_source_is_tried_before_the_month(world: World, folder: Path) -> None:
    """Every shape of data is filled in; what fails is named with its row, and nothing is pushed."""
    path = world.folder / "users.csv"
    path.write_text("user_id,email,name\nu1,a@b.de,Anna\nu2,c@d.de,Bert\n")
    push = ("templates", "push", str(folder), "--check", str(path))
    world.ses().delete_email_template(TemplateName="monthly-usage")
    refused = world.run(*push, ok=(3,))
    assert "users.csv:2 (u1): data: template 'monthly-usage' needs usage" in " ".join(refused.stdout.split())
    assert "1 shapes of data were filled in, 1 of them could not" in refused.stdout
    assert "TemplatesMetadata" in world.ses().list_email_templates()
    with pytest.raises(world.ses().exceptions.NotFoundException):
        world.ses().get_email_template(TemplateName="monthly-usage")
    path.write_text("user_id,email,name,usage\nu1,a@b.de,Anna,1\nu2,c@d.de,,2\n")
    assert "2 shapes" in world.run(*push).stdout
    held = world.ses().get_email_template(TemplateName="monthly-usage")["TemplateContent"]
    assert held["Html"] == "<p>{{_html.name}}: {{_html.usage}}</p>"
    assert "name the month's with --template" in world.run(*push, "--template", "x", ok=(2,)).stderr


def test_blocks_are_tried_by_ses_itself(world: World, folder: Path) -> None:
    """Under a name of its own that is gone afterwards."""
    write(folder, **{"body.txt": "{{#if usage}}{{usage}}{{/if}}{{name}}"})
    path = world.folder / "users.csv"
    path.write_text("user_id,email,name,usage\nu1,a@b.de,Anna,\nu2,c@d.de,Bert,5\n")
    assert (
        "2 shapes of data were filled in, 0" in world.run("templates", "push", str(folder), "--check", str(path)).stdout
    )
    kept = [one["TemplateName"] for one in world.ses().list_email_templates()["TemplatesMetadata"]]
    assert "mailonce-trial-monthly-usage" not in kept


def test_a_broken_template_is_not_pushed(world: World, folder: Path) -> None:
    """Refused with file and line, and nothing is written, not even the good ones."""
    write(folder, **{"body.txt": "Dear {{name}},\n{{#if usage}}{{usage}}"})
    world.ses().delete_email_template(TemplateName="monthly-usage")
    refused = world.run("templates", "push", str(folder), ok=(2,))
    said = "".join(refused.stderr.split())
    assert "monthly-usage/body.txt:2:1:{{#ifusage}}isnotclosed:add{{/if}}" in said
    with pytest.raises(world.ses().exceptions.NotFoundException):
        world.ses().get_email_template(TemplateName="monthly-usage")


def test_local_templates_are_checked_and_not_pushed(world: World, folder: Path) -> None:
    """With conditions that only filling in can decide; a folder that cannot be read is named by the processor too."""
    env = {"MAILONCE_RENDER": "local", "MAILONCE_TEMPLATES_FOLDER": str(folder)}
    write(folder, **{"body.txt": "{% if usage %}{{usage}}{% else %}{{other}}{% endif %}"})
    path = world.folder / "users.csv"
    path.write_text("user_id,email,name,usage\nu1,a@b.de,Anna,1\nu2,c@d.de,Bert,\n")
    refused = world.run("templates", "push", str(folder), "--check", str(path), ok=(3,), **env)
    assert "users.csv:3 (u2): data: monthly-usage/body.txt: 'other' is undefined" in " ".join(refused.stdout.split())
    assert "not pushed" in world.run("templates", "push", str(folder), **env).stdout
    assert "monthly-usage, filled in by the processors" in world.run("doctor", ok=(0, 1), **env).stdout
    write(folder, **{"body.txt": "{{#if x}}"})
    wrong = world.run("process", "--drain", "--render", "local", "--templates", str(folder), ok=(2,))
    assert "body.txt:1" in wrong.stderr
