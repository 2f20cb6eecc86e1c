"""Rows to jobs and rejects. Pure: no files, no topics, no clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from producer.rows import Row, Source
from producer.suspect import suspect_id
from schemas.addresses import address_problem
from schemas.codec import template_data
from schemas.identity import Key
from schemas.invisible import invisible
from schemas.limits import TEMPLATE_DATA_BYTES_MAX
from schemas.records import JOB_VERSION, Job, Provenance
from schemas.runtime.errors import UsageError

__all__ = ["OnDuplicate", "Reject", "Users", "find_users", "job_of", "jobs_of", "plan", "plan_of", "verdict"]

_LATER_COUNTS = " counts, by --on-duplicate last"


class OnDuplicate(StrEnum):
    """What a user who stands in the source more than once means."""

    ERROR = "error"
    """All of the user's rows are rejected: nobody knows which one is right."""
    LAST = "last"
    """The last row counts; the earlier ones are reported."""


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that becomes no job."""

    line: int
    reason: str
    detail: str
    raw: tuple[str, ...]
    file: str = ""

    @property
    def replaced(self) -> bool:
        """Whether nothing is wrong with it: a later row of its user counts."""
        return self.detail.endswith(_LATER_COUNTS)


@dataclass(frozen=True, slots=True)
class Users:
    """What the first pass over the source found."""

    rows: int
    last_line: dict[str, int]
    """Only for users who stand there more than once."""


def find_users(user_ids: Iterable[tuple[int, str]]) -> Users:
    """Counts rows and finds users who stand in the source more than once; `user_ids` as a source gives them."""
    seen: set[str] = set()
    last_line: dict[str, int] = {}
    count = 0
    for line, user_id in user_ids:
        count += 1
        if user_id in seen:
            last_line[user_id] = line
        elif user_id:
            seen.add(user_id)
    return Users(count, last_line)


def plan(
    rows: Iterable[Row],
    users: Users,
    *,
    month: str,
    template: str,
    on_duplicate: OnDuplicate,
    source: str,
    snapshot: str,
    now_ms: Callable[[], int],
) -> Iterator[Job | Reject]:
    """Each row as a job, said to be published at `now_ms`, or a reject, in order."""
    for row in rows:
        last = None if row.problem else users.last_line.get(row.values["user_id"])
        yield verdict(
            row,
            last,
            month=month,
            template=template,
            on_duplicate=on_duplicate,
            source=source,
            snapshot=snapshot,
            now_ms=now_ms(),
        )


def verdict(
    row: Row,
    last: int | None,
    *,
    month: str,
    template: str,
    on_duplicate: OnDuplicate,
    source: str,
    snapshot: str,
    now_ms: int,
) -> Job | Reject:
    """A row as a job or a reject. `last` is the place of its user's last row, if there are several."""
    problem = _row_problem(row, last, on_duplicate, month)
    if problem is not None:
        return Reject(row.line, *problem, row.raw, row.file)
    data = dict(row.values)
    job = Job(
        v=JOB_VERSION,
        user_id=data.pop("user_id"),
        month=month,
        email=data.pop("email").strip(),
        template=template,
        data=data,
        published_at_ms=now_ms,
        provenance=Provenance(row.file or source, snapshot, row.line),
    )
    if len(template_data(job).encode()) > TEMPLATE_DATA_BYTES_MAX:
        return Reject(
            row.line, "data-too-large", f"more than {TEMPLATE_DATA_BYTES_MAX} bytes of data", row.raw, row.file
        )
    return job


def plan_of(
    source: Source,
    month: str,
    template: str,
    users: Users | None = None,
    on_duplicate: OnDuplicate = OnDuplicate.LAST,
    now_ms: Callable[[], int] = lambda: 0,
) -> Iterator[Job | Reject]:
    """A source's plan; without `users` that of one look: a user who stands there twice is two entries."""
    return plan(
        source.rows(),
        users or Users(0, {}),
        month=month,
        template=template,
        on_duplicate=on_duplicate,
        source=source.name,
        snapshot=source.snapshot,
        now_ms=now_ms,
    )


def jobs_of(source: Source, month: str, template: str) -> Iterator[Job]:
    """The jobs of the rows that are not rejected, as they would be published."""
    return (entry for entry in plan_of(source, month, template) if isinstance(entry, Job))


def job_of(source: Source, user: str, month: str, template: str) -> Job:
    """A user's job. Raises `UsageError` when the source has none, with the reason if his row is rejected."""
    last: Job | Reject | None = None
    for entry in plan_of(source, month, template):
        of_user = entry.user_id if isinstance(entry, Job) else (user if user in entry.raw else "")
        last = entry if of_user == user else last
    if last is None:
        raise UsageError(f"{source.name} has no row of {user}")
    if isinstance(last, Reject):
        raise UsageError(f"{source.name}:{last.line}: {last.reason}: {last.detail}")
    return last


def _row_problem(row: Row, last: int | None, on_duplicate: OnDuplicate, month: str) -> tuple[str, str] | None:
    """(reason, detail) of a row that becomes no job."""
    if row.problem:
        return "unreadable-row", row.problem
    user_id, email = row.values["user_id"], row.values["email"].strip()
    if not user_id.strip():
        return "missing-user-id", "user_id is empty"
    if why := _id_problem(user_id, month):
        return "bad-user-id", why
    if not email:
        return "missing-email", "email is empty"
    if why := address_problem(email):
        return "bad-address", f"email: {invisible(email) or why}"
    if last is not None:
        if on_duplicate is OnDuplicate.ERROR:
            return "duplicate-user", f"the user stands in the source more than once (last in line {last})"
        if row.place != last:
            return "duplicate-user", f"line {last}{_LATER_COUNTS}"
    return None


def _id_problem(user_id: str, month: str) -> str | None:
    """Why this is no id. What differs by what nobody sees would be another user, mailed a second time."""
    if what := invisible(user_id):
        return f"user_id {user_id!r} holds {what}"
    if user_id != user_id.strip():
        return f"user_id {user_id!r} has spaces around it"
    if why := suspect_id(user_id):
        return why
    try:
        Key(user_id, month)
    except ValueError as error:
        return str(error)
    return None
