"""Attachments: named by settings, checked before the call, read beside it, written alike by both transports."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.credentials import ReadOnlyCredentials
from botocore.validate import ParamValidator

from processor.adapters.attachments import AttachingSender, Attachments, large, read_all
from processor.adapters.mail_options import Mails, settings_of_templates
from processor.adapters.ses_wire import Wire, take_specimen
from processor.core.answers import Accepted, Answer, Halt, RefusedMessage, classify
from processor.core.mail import template_content
from processor.ports import Forbidden
from processor.trial import request_of, trial
from schemas.attachments import MESSAGE_BYTES_MAX, attachment_problem, encoded_bytes
from schemas.identity import Place
from schemas.records import Job
from schemas.runtime.errors import BadRecord, UsageError
from schemas.runtime.settings import Settings, load_settings
from tests.support.parts import Ses
from tests.support.world import MONTH

PDF = b"%PDF-1.7 \x00\xff\n"


def job(user_id: str = "u1", **data: Any) -> Job:
    return Job(v=1, user_id=user_id, month=MONTH, email="a@b.de", template="t", data=data)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two files, and one beside the folder."""
    (tmp_path / "files/invoices").mkdir(parents=True)
    (tmp_path / "files/terms.pdf").write_bytes(PDF)
    (tmp_path / "files/invoices/7.pdf").write_bytes(PDF + b"7")
    (tmp_path / "secret.txt").write_text("secret")
    return tmp_path / "files"


def settings(folder: Path, *attachments: Any, **values: Any) -> Settings:
    return load_settings(
        from_address="f@example.com",
        attachments_folder=str(folder),
        mail_attachments=list(attachments),
        **values,
    )


async def sent(made: Settings, one: Job, ses: Any = None) -> tuple[Answer, list[Mapping[str, Any]]]:
    ses = ses or Ses()
    request = Mails(made, {}, "").request(one, "a1", Place(0, 0), template_content(one))
    return await AttachingSender(ses).send(request, lambda: ""), ses.asked


async def test_a_mail_takes_its_files_along(folder: Path) -> None:
    """One of all mails and one of this mail alone, by botocore's own names."""
    options = ["terms.pdf", {"file": "invoices/{n}.pdf", "name": "invoice {month}.pdf"}]
    answer, asked = await sent(settings(folder, *options), job(n=7))
    assert answer == Accepted("m1")
    (request,) = asked
    common = {"ContentType": "application/pdf", "ContentDisposition": "ATTACHMENT"}
    assert request["Content"]["Template"]["Attachments"] == [
        {"RawContent": PDF, "FileName": "terms.pdf", **common},
        {"RawContent": PDF + b"7", "FileName": f"invoice {MONTH}.pdf", **common},
    ]


def test_both_transports_write_the_same_bytes(folder: Path) -> None:
    """boto3 writes bytes as base64; so does the lean transport, with the same signature."""
    client = boto3.client("sesv2", "eu-west-1", aws_access_key_id="a", aws_secret_access_key="b")
    made = settings(folder, "terms.pdf", {"file": "terms.pdf", "content_id": "logo", "content_type": "image/png"})
    request = Mails(made, {}, "i1").request(job(), "a1", Place(0, 0), template_content(job()))
    body = request["Content"]["Template"]
    body["Attachments"] = read_all(body["Attachments"])
    shape = client.meta.service_model.operation_model("SendEmail").input_shape
    assert not ParamValidator().validate(request, shape).has_errors()
    specimen = take_specimen(client, request)
    wire = Wire.of(client, ReadOnlyCredentials("a", "b", None))
    date, invocation = specimen.headers["X-Amz-Date"], specimen.headers["amz-sdk-invocation-id"]
    found = wire.request(request, ReadOnlyCredentials("a", "b", None), timestamp=date, invocation=invocation)
    assert found == wire.head(specimen.headers) + specimen.body
    with pytest.raises(TypeError, match="is not for JSON"):
        wire.request({"x": object()}, ReadOnlyCredentials("a", "b", None))


def test_what_is_large_is_written_on_a_thread(folder: Path) -> None:
    """Encoding and signing megabytes would hold up every other mail."""
    (folder / "big.bin").write_bytes(b"x" * 300_000)
    for file, expected in (("terms.pdf", False), ("big.bin", True)):
        named = Attachments(settings(folder, file)).of(job())
        assert large({"Content": {"Simple": {"Attachments": read_all(named)}}}) is expected
    assert not large({})


@pytest.mark.parametrize(
    ("file", "data", "says"),
    [
        ("invoices/{n}.pdf", {"n": "8"}, "there is no such file"),
        ("invoices/{n}.pdf", {}, "which the job lacks"),
        ("{n}/7.pdf", {"n": "../files/invoices"}, "cannot be a part of a file's name"),
        ("{n}/secret.txt", {"n": ".."}, "cannot be a part of a file's name"),
        ("{n}secret.txt", {"n": "/"}, "cannot be a part of a file's name"),
        ("{n}.pdf", {"n": "a\x00b"}, "cannot be a part of a file's name"),
        ("{n}.pdf", {"n": "x" * 300}, "1 to 255 characters"),
        ("{n}", {"n": "evil.exe"}, "SES takes no file whose name ends so"),
        ("{n}", {"n": "invoices"}, "SES takes no file whose name ends so"),
        ("{n}", {"n": "folder.pdf"}, "there is no such file"),
        ("{n}", {"n": "empty.pdf"}, "is empty"),
        ("{n}", {"n": "link.txt"}, "leads out of its folder"),
        ("{n}", {"n": "loop.txt"}, "attachment 'loop.txt'"),
        ("{n}", {"n": "huge.bin"}, "more than a mail may have"),
    ],
)
async def test_one_mails_fault_is_its_dead_letter(folder: Path, file: str, data: dict[str, Any], says: str) -> None:
    """No call is made for it, and a stranger's value reads nothing outside the folder."""
    (folder / "folder.pdf").mkdir()
    (folder / "empty.pdf").touch()
    (folder / "link.txt").symlink_to(folder.parent / "secret.txt")
    (folder / "loop.txt").symlink_to(folder / "loop.txt")
    with (folder / "huge.bin").open("wb") as huge:
        huge.truncate(MESSAGE_BYTES_MAX)
    ses = Ses()
    try:
        answer, _ = await sent(settings(folder, file), job(**data), ses)
    except ValueError as why:
        assert says in str(why)
    else:
        verdict = classify(answer)
        assert isinstance(verdict, RefusedMessage)
        assert verdict.reason == "bad-attachment"
        assert says in verdict.detail
    assert ses.asked == []


async def test_several_may_be_too_large_together(folder: Path) -> None:
    """SES counts a whole message."""
    for name in ("a.bin", "b.bin"):
        with (folder / name).open("wb") as file:
            file.truncate(MESSAGE_BYTES_MAX // 2)
    answer, _ = await sent(settings(folder, "a.bin", "b.bin"), job())
    assert "together more than" in str(answer)


@pytest.mark.parametrize("why", ["away", "forbidden"])
async def test_a_folder_that_cannot_be_read_halts(folder: Path, monkeypatch: pytest.MonkeyPatch, why: str) -> None:
    """A volume that is not mounted any more, or not readable, is no mail's fault: nothing is dead-lettered."""

    def forbid(_path: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    made, ses = settings(folder, "invoices/{n}.pdf"), Ses()
    request = Mails(made, {}, "").request(job(n=7), "a1", Place(0, 0), template_content(job()))
    if why == "away":
        folder.rename(folder.parent / "away")
    else:
        monkeypatch.setattr(Path, "read_bytes", forbid)
    verdict = classify(await AttachingSender(ses).send(request, lambda: ""))
    assert isinstance(verdict, Halt)
    assert verdict.reason == "attachments-unreadable"
    assert ses.asked == []
    if why == "away":
        with pytest.raises(UsageError, match="there is no folder"):
            Attachments(made)


def test_without_its_column_an_optional_one_stays_away(folder: Path) -> None:
    """The others go along."""
    attachments = Attachments(settings(folder, "terms.pdf", {"file": "invoices/{n}.pdf", "optional": True}))
    assert [one.file for one in attachments.of(job())] == ["terms.pdf"]
    assert [one.file for one in attachments.of(job(n=7))] == ["terms.pdf", "invoices/7.pdf"]


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("../secret.txt", "leads out of the folder"),
        ("/etc/passwd", "leads out of the folder"),
        ("setup.EXE", "SES takes no file whose name ends so"),
        ("{a.b}.pdf", "braces hold one name"),
        ({"file": "{n}.pdf", "content_type": "pdf"}, "is no MIME type"),
        ({"file": "{n}.png", "content_id": "a b"}, "an id has at most 78"),
        ({"file": "a.pdf", "disposition": "x"}, "Extra inputs"),
        ({"file": "missing.pdf"}, "there is no such file"),
        ({"name": "a.pdf"}, "Field required"),
    ],
)
def test_what_no_mail_could_have_is_refused_at_the_start(folder: Path, option: Any, says: str) -> None:
    """Not with each of a million mails."""
    with pytest.raises(UsageError, match=re.escape(says)):
        Attachments(settings(folder, option))


def test_more_than_a_mail_should_have(folder: Path) -> None:
    """Everything has a limit."""
    with pytest.raises(UsageError, match="at most 20"):
        settings(folder, *["terms.pdf"] * 21)


def test_a_template_has_files_of_its_own(tmp_path: Path) -> None:
    """They lie beside its `mail.toml`; preview and `--check` read them as a processor will."""
    (tmp_path / "t").mkdir()
    (tmp_path / "t/mail.toml").write_text('mail_attachments = ["terms.pdf", { file = "{n}.png", content_id = "logo" }]')
    (tmp_path / "t/terms.pdf").write_bytes(PDF)
    (tmp_path / "t/7.png").write_bytes(b"png")
    for file in ("subject.txt", "body.txt"):
        (tmp_path / "t" / file).write_text("x")
    every = load_settings(from_address="f@example.com", templates_folder=str(tmp_path))
    own = settings_of_templates(every, tmp_path)
    told = request_of(own["t"], job(n=7))["Attachments"]
    assert [(one["FileName"], one["ContentDisposition"], one["Bytes"]) for one in told] == [
        ("terms.pdf", "ATTACHMENT", len(PDF)),
        ("7.png", "INLINE", 3),
    ]
    assert json.dumps(told), "as JSON, too"
    assert "Attachments" not in request_of(every, job())
    with trial(every.model_copy(update={"render": "local"}), tmp_path) as check:
        check(job(n=7))
        with pytest.raises(BadRecord, match="there is no such file"):
            check(job(n=8))
    elsewhere = settings_of_templates(every.model_copy(update={"attachments_folder": "x"}), tmp_path)
    assert elsewhere["t"].attachments_folder == "x"


def test_sizes_are_counted_as_base64() -> None:
    """57 bytes make a line of 76 characters and its end."""
    assert [encoded_bytes(size) for size in (0, 1, 57, 58)] == [0, 78, 78, 156]
    assert attachment_problem("a.pdf", "application/pdf", "logo@example.com") is None
    assert attachment_problem("a.pdf", "text/" + "x" * 80, "")


class Reads:
    """A sender that only tells."""

    async def send(self, request: Mapping[str, Any], forbidden: Forbidden) -> Answer:
        return Accepted("m2")

    async def account(self) -> str:
        return "account"

    async def template_needs(self, name: str) -> str:
        return name


async def test_everything_else_is_the_senders_own() -> None:
    """Mails without attachments are passed on as they are."""
    sender = AttachingSender(Reads())  # type: ignore[arg-type]
    assert await sender.send({}, lambda: "") == Accepted("m2")
    assert await sender.account() == "account"  # type: ignore[comparison-overlap]
    assert await sender.template_needs("t") == "t"  # type: ignore[comparison-overlap]
