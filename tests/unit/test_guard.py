"""The guard before a month: what is compared, what is asked, what is refused, and what a re-run is never asked."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import producer.guard
import producer.staging.compare
from mailonce.guard import AtTheDesk, Filling, compared_lines
from processor import trial
from producer.guard import Comparison, Limits, months_at_hand, questions
from producer.order import Order
from producer.pipeline import Pipeline
from producer.plan import OnDuplicate
from producer.published import write_held
from producer.rejects import Rejects
from producer.sources import Asked, open_source
from producer.staging.compare import Beside, Looks, OtherIds, Shared, id_form
from producer.staging.diff import Diff
from producer.staging.staged import Staged
from schemas.codec import encode
from schemas.control import Figures
from schemas.records import Job
from schemas.runtime.errors import Unconfirmed, UsageError
from schemas.runtime.settings import Settings
from schemas.templates.template import Needs
from tests.support.plans import planned

MONTH = "2026-11"
NOW = Limits(months_at_hand({MONTH}))


def compared(**about: Any) -> Comparison:
    usual = {"month": MONTH, "rows": 100, "new": 100, "changed": 0, "unchanged": 0, "gone": 0, "jobs": 100}
    return Comparison(**usual | about)


def asked(found: Comparison, limits: Limits = NOW) -> list[str]:
    return [one.about for one in questions(found, limits)]


# ---- what is asked ----


@pytest.mark.parametrize(
    ("month", "about"), [("2026-10", ["month"]), (MONTH, []), ("2026-12", []), ("2027-01", ["month"])]
)
def test_this_month_and_the_next_are_at_hand(month: str, about: list[str]) -> None:
    """Any other is a question; for a schedule that computes it, it is none."""
    assert asked(compared(month=month)) == about
    assert asked(compared(month=month), Limits(())) == []


def test_two_clocks_at_the_turn_of_the_month() -> None:
    """UTC and the machine's zone may say two months: both are this one."""
    assert months_at_hand({"2026-12", "2026-11"}) == {"2026-11", "2026-12", "2027-01"}


def test_a_drop_against_last_months_figures() -> None:
    """More than --max-drop is asked; what --limit leaves out on purpose is no drop; without figures nobody knows."""
    last = Figures(jobs=125)
    assert asked(compared(last=last)) == []
    (question,) = questions(compared(jobs=99, last=last), NOW)
    assert question.about == "drop"
    assert "99 mails, 2026-10 has 125: 21 % fewer, --max-drop is 20" in question.text
    assert asked(compared(jobs=99, last=last), Limits(NOW.months, 30)) == []
    assert asked(compared(jobs=9, left_out=91, last=last)) == []
    assert asked(compared(jobs=7, last=Figures(jobs=10)), Limits(NOW.months, 30)) == [], "30 of 30 is not more"
    assert asked(compared(jobs=9)) == []
    assert asked(compared(jobs=9, last=Figures(jobs=0))) == []


def test_a_run_that_publishes_nothing_is_asked_nothing() -> None:
    """An idempotent re-run needs no --yes, whatever its month and however small; a source without rows is asked of."""
    nothing = {"new": 0, "unchanged": 100, "last": Figures(jobs=1000), "month": "2024-01"}
    assert asked(compared(**nothing)) == []
    assert asked(compared(**nothing | {"changed": 1})) == ["month", "drop"]
    assert asked(compared(**nothing | {"rows": 0, "unchanged": 0})) == ["empty"]


def test_cancelling_many_who_are_gone_is_asked() -> None:
    """Half a source must not cancel the other half."""
    found = compared(new=0, unchanged=79, gone=21)
    assert asked(found) == []
    assert asked(found, Limits(NOW.months, cancels_gone=True)) == ["gone"]
    assert asked(compared(new=0, unchanged=80, gone=20), Limits(NOW.months, cancels_gone=True)) == []


# ---- what is compared ----


def source_of(folder: Path, rows: list[str], name: str = "a.csv", columns: str = "user_id,email,a") -> Any:
    (folder / name).write_text("\n".join([columns, *rows]) + "\n")
    return open_source(str(folder / name))


def beside(folder: Path, rows: list[str], published: list[Job | str] = [], template: str = "t") -> tuple[Diff, Beside]:  # noqa: B006 - read only
    """Rows beside what is published: jobs, or the ids of cancelled ones."""
    source = source_of(folder, rows)
    held = [(f"{one}:{MONTH}".encode(), None) if isinstance(one, str) else _record(one) for one in published]
    with (folder / "held").open("wb") as out:
        for _ in write_held(held, MONTH, out):
            pass
    diff = Diff(source, MONTH, template, folder / "held" if held else None)
    return diff, Beside(diff)


def _record(job: Job) -> tuple[bytes, bytes | None]:
    return f"{job.user_id}:{MONTH}".encode(), encode(job)


def jobs_of(folder: Path, rows: list[str]) -> list[Job]:
    return planned(source_of(folder, rows, "held.csv"))[0]


def test_who_is_gone_and_who_is_still_there(tmp_path: Path) -> None:
    """Published, not cancelled, and without a row, whatever --where leaves out; a later record counts."""
    held: list[Job | str] = [*jobs_of(tmp_path, [f"u{n},u{n}@b.de,1" for n in range(5)]), "u4", "u9"]
    diff, found = beside(tmp_path, ["u0,u0@b.de,1", "u1,u1@b.de,2", "u7,u7@b.de,1"], held)
    assert (found.live, found.gone, list(found.gone_ids())) == (4, 2, ["u2", "u3"])
    assert (sum(map(len, diff.fresh())), diff.unchanged) == (1, 1)
    assert found.moved() == []
    _, found = beside(tmp_path, ["u0,u0@b.de,1"])
    assert (found.live, found.gone, list(found.gone_ids())) == (0, 0, [])


def test_one_address_under_several_users(tmp_path: Path) -> None:
    """In whatever case it is written; the same user twice is none."""
    _, found = beside(tmp_path, ["u1,A@b.de,1", "u2, a@b.de,1", "u3,c@d.de,1", "u3,c@d.de,2", "u4,,1", "u5,,1"])
    assert found.shared() == Shared(1, 2, ("a@b.de", "u1", "u2"))
    _, found = beside(tmp_path, ["u1,a@b.de,1"])
    assert found.shared() == Shared(0, 0)


@pytest.mark.parametrize(
    ("user", "form"),
    [
        ("1042", "9"),
        ("u-1042", "a-9"),
        ("U-1042", "A-9"),
        ("u1042", "x"),
        ("de_u1", "a_x"),
        ("ü/é", "a/a"),
        ("A1", "X"),
    ],
)
def test_forms_of_ids(user: str, form: str) -> None:
    """Runs of digits, of letters, of both."""
    assert id_form(user) == form


UUID = "0189aa5e-7f3c-7cc1-8f00-1e2d3c4b5a6"


def test_ids_of_another_form_than_before(tmp_path: Path) -> None:
    """Against the month's own, or against last month's figures; UUIDs in capitals are no UUIDs."""
    rows = [f"u-{n},u{n}@b.de,1" for n in range(30)]
    _, found = beside(tmp_path, [*rows, "U-7,x@b.de,1", "U-8,y@b.de,1"])
    assert found.id_forms() == ["A-9", "a-9"]
    assert found.other_ids(["a-9"]) == OtherIds(2, "U-7")
    assert found.other_ids([]) == OtherIds()
    _, found = beside(tmp_path, [*rows, "99,x@b.de,1"], [*jobs_of(tmp_path, rows)])
    assert found.other_ids(["9"]) == OtherIds(1, "99"), "the month's own forms count"
    _, found = beside(tmp_path, [f"{UUID}{n},u{n}@b.de,1" for n in range(9)] + [f"{UUID.upper()}A,v@b.de,1"])
    assert found.id_forms() == ["A", "a"]
    assert found.other_ids(["a"]).users == 1


def test_ids_in_too_many_forms_say_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Random words are no form."""
    from producer.staging import compare

    monkeypatch.setattr(compare, "_GROUPS_MAX", 3)
    _, found = beside(tmp_path, [f"{chr(97 + n)}b{n},u{n}@b.de,1" for n in range(5)])
    assert found.id_forms() == []
    assert found.other_ids(["9"]) == OtherIds()


# ---- the template ----


class Keeps:
    """SES, as far as `kept_template` asks it."""

    def __init__(self, *, text: str = "", error: Exception | None = None) -> None:
        self.content, self.error = {"Subject": "Hi {{name}}", "Text": text or "{{usage}}"}, error

    def get_email_template(self, **_: str) -> dict[str, Any]:
        if self.error:
            raise self.error
        return {"TemplateContent": self.content}


def refusal(code: str) -> Exception:
    from botocore.exceptions import ClientError

    return ClientError({"Error": {"Code": code, "Message": "no"}}, "GetEmailTemplate")


@pytest.fixture
def ses(monkeypatch: pytest.MonkeyPatch) -> Any:
    def keep(**about: Any) -> Settings:
        kept = Keeps(**about)
        monkeypatch.setattr(trial, "ses_client", lambda *_: kept)
        return Settings(_env_file=None)  # type: ignore[call-arg]

    return keep


def looked_at(
    folder: Path, settings: Settings, rows: list[str], columns: str, held: list[Job] | None = None
) -> Filling:
    """A source's rows shown to the guard as the producer shows them."""
    source = source_of(folder, rows, columns=columns)
    with (folder / "held").open("wb") as out:
        for _ in write_held(map(_record, held or []), MONTH, out):
            pass
    diff = Diff(source, MONTH, "t", folder / "held" if held else None)
    pipeline = Pipeline(
        source, diff, Rejects(source), Order(MONTH, "t", OnDuplicate.ERROR, dry_run=True), lambda *_: None
    )
    filling = Filling(settings, "t")
    pipeline.plan(filling.look)
    if pipeline.certain and (looks := filling.looks()) is not None:
        for row in Beside(diff).specimens(looks):
            job = pipeline.judged(row)
            assert isinstance(job, Job)
            filling.look(job)
    return filling


def test_a_template_that_is_not_there_is_refused_in_any_case(ses: Any) -> None:
    """A usage error, before anything is published."""
    with pytest.raises(UsageError, match="SES has no template 't'"):
        Filling(ses(error=refusal("NotFoundException")), "t").looks()


@pytest.mark.parametrize("error", [refusal("AccessDeniedException"), refusal("InternalFailure")])
def test_an_ses_that_does_not_tell_is_said_and_stops_nothing(
    ses: Any, error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    """Many producers run where nobody may ask SES: the processors find out, and no mail goes out wrong."""
    desk = AtTheDesk(ses(error=error), Order(MONTH, "t"), NOW, yes=False, pause=lambda: None)
    assert desk.looks() is None
    desk.decide(compared())
    told = " ".join(capsys.readouterr().err.split())
    assert "whether template 't' is there was not looked up" in told
    assert "none goes out wrong" in told
    assert (desk.to_dict()["template_looked_up"], desk.to_dict()["questions"]) == (False, {})


def test_rows_without_what_the_template_needs_are_a_question(ses: Any, tmp_path: Path) -> None:
    """Named by row; a column that is there in every row is enough for a template without blocks."""
    good = looked_at(tmp_path, ses(), ["u1,a@b.de,A,1", "u2,c@d.de,B,2"], "user_id,email,name,usage")
    assert (good.shapes, good.bad_shapes, list(good.questions())) == (1, 0, [])
    bad = looked_at(tmp_path, ses(), ["u1,a@b.de,A", "u2,c@d.de,B"], "user_id,email,name")
    (question,) = bad.questions()
    assert question.about == "template"
    assert "no row has what template 't' needs" in question.text
    assert "a.csv:2 (u1): data: template 't' needs usage" in question.text


def test_a_line_break_for_the_subject_is_found_among_many(ses: Any, tmp_path: Path) -> None:
    """One mail's name alone would break the head; line breaks elsewhere do no harm."""
    rows = [f'u{n},a{n}@b.de,A,"1\n2"' for n in range(3)] + ['u9,z@b.de,"A\nB",1']
    found = looked_at(tmp_path, ses(), rows, "user_id,email,name,usage")
    (question,) = found.questions()
    assert "(u9): data: name stands in the subject" in question.text
    assert "not every row" in question.text


BLOCKS = "{{#each items}}{{n}}{{/each}}{{#if note}}{{usage}}{{/if}}"


def test_every_shape_is_tried_where_data_decides(ses: Any, tmp_path: Path) -> None:
    """What is empty, a number, JSON and of what form: the one row that cannot be filled in is found among others."""
    item = '"[{""n"": 1}]"'
    rows = [f"u{n},a{n}@b.de,N{n},{n},{item}," for n in range(20)]
    whole = looked_at(tmp_path, ses(text=BLOCKS), rows, "user_id,email,name,usage,items,note")
    assert (whole.bad_shapes, list(whole.questions())) == (0, [])
    rows += ['u90,z@b.de,Z,1,"a, b",', f"u91,y@b.de,Y,1,{item},yes"]
    found = looked_at(tmp_path, ses(text=BLOCKS), rows, "user_id,email,name,usage,items,note")
    (question,) = found.questions()
    assert found.bad_shapes == 1
    assert "(u90)" in question.text


def test_json_without_quotes_is_no_plain_text(ses: Any, tmp_path: Path) -> None:
    """A list of numbers holds no escapes: a text beside it is another shape all the same."""
    rows = ["u1,a@b.de,A,1,[1],", "u2,c@d.de,A,1,none,"]
    found = looked_at(
        tmp_path, ses(text="{{#each items}}{{this}}{{/each}}"), rows, "user_id,email,name,usage,items,note"
    )
    assert (found.shapes, found.bad_shapes) == (2, 1)
    assert "(u2)" in found.bad[0]


def test_json_rows_of_different_members(ses: Any, tmp_path: Path) -> None:
    """Each row has its own; a nested member of the name does not stand for it."""
    path = tmp_path / "a.jsonl"
    rows = [{"user_id": f"u{n}", "email": f"u{n}@b.de", "name": "N", "usage": n} for n in range(9)]
    lacks = {"user_id": "u9", "email": "z@b.de", "name": "N", "more": {"usage": 1}}
    path.write_text("".join(json.dumps(row) + "\n" for row in [*rows, lacks]))
    source = open_source(str(path))
    diff = Diff(source, MONTH, "t", None)
    needs = Needs.of(Keeps().content)
    assert needs.flat
    found = Beside(diff).specimens(Looks(sorted(needs.names), sorted(needs.in_subject), values=False))
    assert {row.values["user_id"] for row in found} >= {"u9"}


def test_what_is_changed_is_shown_too(ses: Any, tmp_path: Path) -> None:
    """A correction that lacks something is found; what stands unchanged in the topic is not looked at again."""
    held = jobs_of(tmp_path, ["u1,a@b.de,1", "u2,c@d.de,1"])
    found = looked_at(tmp_path, ses(), ["u1,a@b.de,1", "u2,c@d.de,2"], "user_id,email,a", held)
    assert (found.shapes, found.bad_shapes) == (1, 1)
    assert "a.csv:3 (u2)" in found.bad[0]
    same = looked_at(tmp_path, ses(), ["u1,a@b.de,1", "u2,c@d.de,1"], "user_id,email,a", held)
    assert (same.asked, same.shapes) == (False, 0)


def test_a_folder_of_templates(tmp_path: Path) -> None:
    """With render=local the processors' folder is looked at: missing there is refused, no folder is unknown."""
    settings = Settings(_env_file=None, render="local", templates_folder=str(tmp_path / "none"))  # type: ignore[call-arg]
    filling = Filling(settings, "t")
    assert filling.looks() is None
    assert "there is no folder" in filling.unknown
    (tmp_path / "in" / "t").mkdir(parents=True)
    (tmp_path / "in/t/subject.txt").write_text("Hi {{ name }}")
    (tmp_path / "in/t/body.txt").write_text("{{ usage }}")
    settings = settings.model_copy(update={"templates_folder": str(tmp_path / "in")})
    with pytest.raises(UsageError, match="has no template 'u'"):
        Filling(settings, "u").looks()
    found = looked_at(tmp_path, settings, ["u1,a@b.de,A"], "user_id,email,name")
    (question,) = found.questions()
    assert "'usage' is undefined" in question.text


# ---- who answers ----


def desk(ses: Any, *, yes: bool = False, dry_run: bool = False, paused: list[str] | None = None) -> AtTheDesk:
    pause = (lambda: paused.append("paused")) if paused is not None else (lambda: None)
    return AtTheDesk(ses(), Order(MONTH, "t", dry_run=dry_run), NOW, yes=yes, pause=pause)


def test_without_a_terminal_a_question_is_a_refusal(ses: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With an exit code of its own, naming everything at once; --yes answers all, and a dry run only tells."""
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    odd = compared(month="2020-01", jobs=1, last=Figures(jobs=100))
    with pytest.raises(Unconfirmed, match=r"2020-01 is neither this month nor the next .*; .*99 % fewer") as refused:
        desk(ses).decide(odd)
    assert refused.value.exit_code == 10
    for one in (desk(ses, yes=True), desk(ses, dry_run=True)):
        one.decide(odd)
        assert list(one.to_dict()["questions"]) == ["month", "drop"]
    desk(ses).decide(compared())


@pytest.mark.parametrize("answer", [True, False])
def test_on_a_terminal_a_person_decides(ses: Any, monkeypatch: pytest.MonkeyPatch, answer: bool) -> None:
    """Each question by itself, once the bars stand still."""
    heard: list[str] = []

    def confirm(text: str, **_: object) -> bool:
        heard.append(text)
        return answer

    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("mailonce.guard.typer.confirm", confirm)
    one = desk(ses, paused=heard)
    if answer:
        one.decide(compared(rows=0, month="2020-01"))
        assert len(heard) == 3
    else:
        with pytest.raises(Unconfirmed):
            one.decide(compared(rows=0, month="2020-01"))
        assert len(heard) == 2
    assert heard[0] == "paused"


# ---- names of columns, lines ----


def test_a_map_of_a_column_that_is_not_there(tmp_path: Path) -> None:
    """Named with the columns there are; of a source without columns nothing is known."""
    (tmp_path / "a.csv").write_text("user_id,email,plan\nu1,a@b.de,P\n")
    open_source(str(tmp_path / "a.csv"), Asked(MONTH, {"plan": "tier"})).check_renames()
    wrong = open_source(str(tmp_path / "a.csv"), Asked(MONTH, {"pla": "tier"}))
    with pytest.raises(UsageError, match="there is no column pla; there are user_id, email, plan"):
        wrong.check_renames()


def test_what_is_told_of_the_comparison() -> None:
    """A line each, only where there is something to tell."""
    facts = compared(gone=3, last=Figures(jobs=80), shared=Shared(1, 2, ("anna@b.de", "u1", "u2"))).to_dict()
    facts |= {"gone_unsent": 2, "gone_cancelled": None, "gone_too_late": None, "gone_kept": None}
    told = list(compared_lines(facts))
    assert told[0] == "3 are published and not in the source, 2 of them unsent (--cancel-gone cancels those)"
    assert told[1] == "100 mails in all, 2026-10 has 80 (+25 %)"
    assert "an***@b.de to u1 and u2" in told[2]
    facts |= {"gone_cancelled": 2, "gone_too_late": 0, "other_ids": 7, "other_id": "U-1"}
    assert list(compared_lines(facts))[1] == "2 of them were cancelled; 0 were too late"
    assert "U-1" in list(compared_lines(facts))[-1]
    facts["gone_kept"] = 1
    assert "none of them was cancelled: 1 rejected rows" in list(compared_lines(facts))[1]
    assert (
        list(compared_lines(compared().to_dict() | dict.fromkeys(("gone_unsent", "gone_cancelled", "gone_kept")))) == []
    )


# ---- each guarding line taken out ----


def _no_questions(patch: pytest.MonkeyPatch, about: str) -> None:
    """The rule that asks about this is gone."""
    asks = producer.guard.questions
    less = lambda *args: [one for one in asks(*args) if one.about != about]  # noqa: E731
    patch.setattr(producer.guard, "questions", less)
    patch.setitem(globals(), "questions", less)


def _set(patch: pytest.MonkeyPatch, owner: Any, name: str, value: Any) -> None:
    patch.setattr(owner, name, value)


TAKEN_OUT: dict[str, tuple[Callable[[pytest.MonkeyPatch], None], Callable[[Any, Path, pytest.MonkeyPatch], None]]] = {
    "month": (
        lambda patch: _no_questions(patch, "month"),
        lambda ses, _, patch: test_without_a_terminal_a_question_is_a_refusal(ses, patch),
    ),
    "drop": (
        lambda patch: _no_questions(patch, "drop"),
        lambda *_: test_a_drop_against_last_months_figures(),
    ),
    "empty": (
        lambda patch: _no_questions(patch, "empty"),
        lambda *_: test_a_run_that_publishes_nothing_is_asked_nothing(),
    ),
    "gone": (
        lambda patch: _no_questions(patch, "gone"),
        lambda *_: test_cancelling_many_who_are_gone_is_asked(),
    ),
    "a re-run is asked": (
        lambda patch: _set(patch, Comparison, "publishes", True),
        lambda *_: test_a_run_that_publishes_nothing_is_asked_nothing(),
    ),
    "lacking data": (
        lambda patch: _set(patch, Filling, "questions", lambda _: iter(())),
        lambda ses, folder, _: test_rows_without_what_the_template_needs_are_a_question(ses, folder),
    ),
    "one specimen for all": (
        lambda patch: _set(patch, producer.staging.compare, "_TEXTS", "TRUE"),
        lambda ses, folder, _: test_every_shape_is_tried_where_data_decides(ses, folder),
    ),
    "a missing template is unknown": (
        lambda patch: _set(patch, Filling, "kept", lambda _: None),
        lambda ses, *_: test_a_template_that_is_not_there_is_refused_in_any_case(ses),
    ),
    "any column": (
        lambda patch: _set(patch, Staged, "check_renames", lambda _: None),
        lambda _, folder, __: test_a_map_of_a_column_that_is_not_there(folder),
    ),
    "nobody is asked": (
        lambda patch: _set(patch, AtTheDesk, "decide", lambda *_: None),
        lambda ses, _, patch: test_without_a_terminal_a_question_is_a_refusal(ses, patch),
    ),
}


@pytest.mark.parametrize("line", TAKEN_OUT)
def test_a_guard_that_is_taken_out_is_missed(
    line: str, ses: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own test goes red."""
    take_out, guarding = TAKEN_OUT[line]
    take_out(monkeypatch)
    with pytest.raises((AssertionError, pytest.fail.Exception, ValueError)):
        guarding(ses, tmp_path, monkeypatch)
