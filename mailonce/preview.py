"""``mailonce preview``: one mail as it would look, sent to nobody."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mailonce.options import TEMPLATE, Encoding, Json, Maps, MonthArgument, Rows, Template, User, load, open_rows
from mailonce.shown import console, print_json

if TYPE_CHECKING:
    from processor.trial import Preview
    from schemas.records import Job

__all__ = ["app", "write_files"]

app = typer.Typer()


@app.command(epilog="Example: `mailonce preview u-1042 2026-11 --source users.csv --folder /tmp`")
def preview(
    user: User,
    month: MonthArgument,
    source: Rows,
    template: Template = TEMPLATE,
    maps: Maps = None,
    encoding: Encoding = None,
    folder: Annotated[Path | None, typer.Option(help="Write the mail's HTML and text there.")] = None,
    as_json: Json = False,
) -> None:
    """One user's mail as it would look, rendered as his will be, sent to nobody, published nowhere."""
    from dataclasses import replace

    from processor.trial import preview as render
    from producer.plan import job_of
    from producer.sources.shaped import parse_shape
    from schemas.addresses import mask

    settings = load()
    shape = replace(parse_shape(maps, encoding=encoding), conditions=[("user_id", True, user)])
    job = job_of(open_rows(source, month, shape), user, month, template)
    mail, address = render(settings, job), mask(job.email)
    if folder is not None:
        write_files(folder, job, mail)
    if as_json:
        return print_json(
            {"to": address, "subject": mail.subject, "text": mail.text, "html": mail.html, "request": mail.request}
        )
    console().print(f"[bold]to[/] {address}  [bold]subject[/] {mail.subject}", highlight=False)
    for name, value in mail.request.items():
        console().print(f"{name}: {value}", highlight=False, markup=False, soft_wrap=True)
    console().print(mail.text or mail.html, highlight=False, markup=False)
    return None


def write_files(folder: Path, job: Job, mail: Preview) -> None:
    """``USER-MONTH.html`` and ``.txt``; nothing of a user id leads out of the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    name = "".join(char if char.isalnum() or char in "-_" else "-" for char in job.user_id)
    for text, ending in ((mail.html, "html"), (mail.text, "txt")):
        (folder / f"{name}-{job.month}.{ending}").write_text(text, encoding="utf-8")
