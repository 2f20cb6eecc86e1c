"""`mailonce sources check`: what a source is, and what to type next, before anything is published."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from typer.testing import CliRunner

from mailonce import app
from mailonce.sources import command_for
from processor import trial as trial_module
from producer.sources import open_source
from producer.staging.look import look
from producer.suspect import KINDS, suspicion
from schemas.runtime.errors import MailonceError, SourceError, UsageError
from tests.support.workbooks import write_xlsx

SUSPICIOUS = {
    "no value": ["NULL", "\\N", "nan", "None", "<NA>", "[object Object]", "undefined", "NaT"],
    "exponent": ["1.23E+15", "1,23E+15", "-1e+20", "1.5e-7"],
    "formula": ['="007"'],
    "spreadsheet error": ["#N/A", "#REF!", "#DIV/0!"],
    "wrong encoding": ["MÃ¼ller", "donâ€™t", "Zo\ufffd"],
    "invisible": ["a\u200bb", "a\u00a0b", "\ufeffa", "a\u00adb", "a\x07b"],
    "spaces": [" a", "a ", "\ta", "a\n", "a\u3000", "\u2003a"],
    "HTML": ["Tom &amp; Jerry", "M&uuml;ller", "&#8364;"],
}
FINE = ["", "Zoë", "null and void", "12e45", "A & B", "â", "a\nb", "1.5", "Ärger", "€ 5", "Nan Goldin", "=", "# 5"]


def checked(*words: str) -> tuple[int, dict[str, Any]]:
    done = CliRunner().invoke(app, ["sources", "check", *words, "--json"])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, json.loads(done.stdout)


def test_every_suspicion_has_its_kind() -> None:
    """And what is only like one has none."""
    assert set(SUSPICIOUS) == set(KINDS)
    for kind, values in SUSPICIOUS.items():
        assert [suspicion(value) for value in values] == [kind] * len(values)
    assert [suspicion(value) for value in FINE] == [None] * len(FINE)


@pytest.mark.parametrize("form", ["csv", "jsonl", "ascii.jsonl", "xlsx"])
def test_suspicious_values_are_counted_with_a_first_place(tmp_path: Path, form: str) -> None:
    """Of every kind, in every form; whatever was left out before a value is looked at was fine."""
    path = tmp_path / f"a.{form}"
    values = [(kind, value) for kind, some in SUSPICIOUS.items() for value in some]
    if form == "xlsx":
        # Cells cannot hold them, or mean something else to the writer.
        values = [(kind, value) for kind, value in values if value[0] != "<" and not {"\x07", "\n"} & set(value)]
    everything = [value for _, value in values] + FINE[1:]
    if form == "csv":
        with path.open("w", newline="", encoding="utf-8") as out:
            table = [["user_id", "email", "value"], *([f"u{n}", "a@b.de", one] for n, one in enumerate(everything))]
            csv.writer(out).writerows(table)
    elif form == "xlsx":
        write_xlsx(path, [["user_id", "email", "value"], *([f"u{n}", "a@b.de", v] for n, v in enumerate(everything))])
    else:
        lines = [{"user_id": f"u{n}", "email": "a@b.de", "value": one} for n, one in enumerate(everything)]
        path.write_text("".join(json.dumps(one, ensure_ascii=form == "ascii.jsonl") + "\n" for one in lines), "utf-8")
    source = open_source(str(path))
    found = look(source, "2026-11", "t")
    expected = {kind: sum(1 for one, _ in values if one == kind) for kind in SUSPICIOUS}
    assert {kind: seen.count for (kind, _), seen in found.suspicious.items()} == expected
    assert {column for _, column in found.suspicious} == {"value"}
    first = next(row.line for row in source.rows() if row.values["value"] == "1.23E+15")
    assert found.suspicious["exponent", "value"].place == f"a.{form}:{first}"
    assert found.rejected == {}


def test_a_source_is_described(tmp_path: Path) -> None:
    """Encoding, separator, compression, columns, rows, and the command to run."""
    path = tmp_path / "my users.csv.gz"
    path.write_bytes(gzip.compress("user_id;mail;name\nu1;a@b.de;Zoë\n".encode("cp1252")))
    code, found = checked(str(path), "--map", "email=mail", "--encoding", "cp1252", "--month", "2026-11")
    assert code == 0
    how = {"format": "csv", "compression": "gzip", "encoding": "cp1252", "separator": "semicolon"}
    assert found["files"] == [{"name": path.name, "rows": 1, "columns": ["user_id", "mail", "name"], **how}]
    assert (found["rows"], found["columns"]) == (1, ["user_id", "email", "name"])
    assert (found["suspicious"], found["rejected"], found["template"], found["lacking"]) == ([], [], None, None)
    assert found["command"] == (
        f"mailonce produce --month 2026-11 --source '{path}' --map email=mail --encoding cp1252 --dry-run"
    )
    told = CliRunner().invoke(app, ["sources", "check", str(path), "--map", "email=mail", "--encoding", "cp1252"])
    assert "my users.csv.gz: CSV, cp1252, gzip, separated by semicolon: 1 rows" in told.stdout
    assert "run: mailonce produce --month 20" in told.stdout


def test_rows_of_many_files_and_what_is_wrong_with_them(tmp_path: Path) -> None:
    """Each file's own, what was passed over, what becomes no job; exit code 3."""
    (tmp_path / "a.csv").write_text("user_id,email,name\nu1,a@b.de,NULL\nNULL,c@d.de,x\nNULL,c@d.de,x\n")
    (tmp_path / "b.csv").write_text("user_id,email,plan\nu4,nobody,Plus\nu1,a@b.de,x\n")
    (tmp_path / "_SUCCESS").touch()
    for n in range(12):
        (tmp_path / f"c{n}.csv").write_text(f"user_id,email,name\nc{n},a@b.de,x\n")
    code, found = checked(str(tmp_path))
    assert code == 3
    assert [one["rows"] for one in found["files"]] == [3, 2] + [1] * 12
    assert found["rows"] == 17
    assert {(one["reason"], one["count"], one["first"]) for one in found["rejected"]} == {
        ("bad-user-id", 2, "a.csv:3"),
        ("bad-address", 1, "b.csv:2"),
        ("duplicate-user", 2, "a.csv:2"),
    }
    assert [(one["kind"], one["column"], one["count"], one["first"]) for one in found["suspicious"]] == [
        ("no value", "name", 1, "a.csv:2"),
        ("no value", "user_id", 2, "a.csv:3"),
    ]
    assert [note.partition(":")[0] for note in found["notes"]] == [
        "passed over, as no data",
        "b.csv has other columns than a.csv",
    ]
    told = CliRunner().invoke(app, ["sources", "check", str(tmp_path)]).stdout
    assert "… and 4 files more, 17 rows in all" in told
    assert "suspicious: 1 × no value in name, first a.csv:2 'NULL'" in told
    assert "rejected: 1 × bad-address, first b.csv:2" in told
    assert "passed over, as no data" in told


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "templates" / "monthly-usage"
    place.mkdir(parents=True)
    (place / "subject.txt").write_text("Your month, {{name}}")
    (place / "body.txt").write_text("{{kwh}} kWh")
    return place.parent


def test_variables_that_are_missing(tmp_path: Path, folder: Path) -> None:
    """By the template's own folder; what its data lacks, and in which row first."""
    path = tmp_path / "users.csv"
    path.write_text("user_id,email,name\nu1,a@b.de,Zoe\nu2,a@b.de,\n")
    code, found = checked(str(path), "--templates", str(folder))
    assert (code, found["template"]) == (3, "monthly-usage")
    assert [one["first"] for one in found["lacking"]] == ["users.csv:2", "users.csv:3"]
    assert "needs kwh" in found["lacking"][0]["detail"]
    told = CliRunner().invoke(app, ["sources", "check", str(path), "--templates", str(folder)]).stdout
    assert "template monthly-usage cannot be filled in: users.csv:2: data: template 'monthly-usage' needs kwh" in told
    path.write_text("user_id,email,name,kwh\nu1,a@b.de,Zoe,1\n")
    code, found = checked(str(path), "--templates", str(folder), "--template", "monthly-usage")
    assert (code, found["lacking"]) == (0, [])
    told = CliRunner().invoke(app, ["sources", "check", str(path), "--templates", str(folder)]).stdout
    assert "can be filled in with every shape" in told


class Ses:
    """SES, as far as templates are asked for."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def get_email_template(self, **_asked: str) -> Any:
        if isinstance(self._answer, Exception):
            raise self._answer
        return {"TemplateContent": self._answer}


def refused(code: str) -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": "no"}},
        "GetEmailTemplate",
    )


def test_a_template_that_ses_keeps(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it needs; one that is not there, and no answer, are said; local ones are those of the processors."""
    path = tmp_path / "users.csv"
    path.write_text("user_id,email,name\nu1,a@b.de,Zoe\n")
    kept = {"Subject": "Your month", "Text": "{{name}}"}
    monkeypatch.setattr(trial_module, "ses_client", lambda *_: Ses(kept))
    assert checked(str(path), "--template", "mine")[0] == 0
    monkeypatch.setattr(trial_module, "ses_client", lambda *_: Ses({**kept, "Html": "<b>{{kwh}}</b>"}))
    code, found = checked(str(path), "--template", "mine")
    assert (code, found["lacking"][0]["first"]) == (3, "users.csv:2")
    assert found["command"].endswith("--template mine --dry-run")
    for answer, kind, says in (
        (refused("NotFoundException"), UsageError, "SES has no template 'mine'"),
        (refused("AccessDeniedException"), MailonceError, "could not be asked"),
        (EndpointConnectionError(endpoint_url="x"), MailonceError, "could not be asked"),
    ):
        monkeypatch.setattr(trial_module, "ses_client", lambda *_, answer=answer: Ses(answer))
        with pytest.raises(kind, match=says):
            CliRunner().invoke(app, ["sources", "check", str(path), "--template", "mine"], catch_exceptions=False)
    monkeypatch.setenv("MAILONCE_RENDER", "local")
    monkeypatch.setenv("MAILONCE_TEMPLATES_FOLDER", str(folder))
    assert checked(str(path), "--template", "monthly-usage")[0] == 3


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    """The one sentence, as for every command."""
    path = tmp_path / "users.csv"
    path.write_bytes(b"%PDF-1.7")
    with pytest.raises(SourceError, match="is a PDF document"):
        CliRunner().invoke(app, ["sources", "check", str(path)], catch_exceptions=False)


def test_a_password_is_not_repeated() -> None:
    """The command to run is meant for a terminal, and ends in logs."""
    told = command_for("postgresql://me:secret@h/d?query=q.sql", "2026-11", None, None, None)
    assert told == "mailonce produce --month 2026-11 --source 'postgresql://me:***@h/d?query=q.sql' --dry-run"


def test_notes_are_said_by_every_command(tmp_path: Path) -> None:
    """A file that was passed over, another's columns: on standard error, beside the answer."""
    (tmp_path / "a.csv").write_text("user_id,email\nu1,a@b.de\n")
    (tmp_path / "b.csv").write_text("user_id,email,name\nu2,a@b.de,x\n")
    words = ["produce", "--month", "2026-11", "--source", str(tmp_path), "--sample", "1"]
    done = CliRunner().invoke(app, words)
    assert "b.csv has other columns than a.csv: it has name besides" in done.stderr
    assert json.loads(done.stdout)["user_id"] == "u1"
