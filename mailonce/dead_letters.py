"""``mailonce dead-letters``: records that could not become e-mails, shown, counted, sent back, put aside."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailonce.options import EXIT_FOUND, Json, OnlyMonth, Who, load, login, month_of, now_ms, parse_time
from mailonce.shown import bars, console, follow, print_json, say, table, to_json, utc
from schemas.runtime.errors import BadRecord, UsageError

if TYPE_CHECKING:
    from processor.ops.dead_letters import Entry, Wanted
    from schemas.runtime.settings import Settings

__all__ = ["app"]

app = typer.Typer(name="dead-letters", no_args_is_help=True, help="Records that could not become e-mails.")

Reason = Annotated[str | None, typer.Option(help="Only this reason.")]
OnlyUser = Annotated[str | None, typer.Option("--user", help="Only this user id.")]
Since = Annotated[str | None, typer.Option(metavar="T", help="Only those that died since, UTC unless said.")]
State = Annotated[str | None, typer.Option(metavar="open|requeued|discarded", help="Only those in this state.")]
Places = Annotated[list[str] | None, typer.Argument(metavar="P:N…", help="Places in the dead-letter topic.")]
Most = Annotated[int | None, typer.Option("--max", min=1, help="So many at the most.")]
Corrections = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Correct email, template or a field of data; repeatable."),
]
Reasoned = Annotated[str, typer.Option("--why", help="Why: kept with the record.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would happen, change nothing.")]

_COLUMNS = ("place", "key", "reason", "state", "at", "tries", "detail", "source", "value")
REFUSED_SHOWN_MAX = 20


def _wanted(month: str | None, reason: str | None, user: str | None, since: str | None, state: str | None) -> Wanted:
    from processor.ops.dead_letters import Wanted

    at_ms = parse_time(since, "--since") if since else None
    return Wanted(month_of(month) if month else None, reason, user, at_ms, state)


@app.command("list", epilog="Example: `mailonce dead-letters list --month 2026-11 --reason missing-data`")
def list_(
    month: OnlyMonth = None,
    reason: Reason = None,
    user: OnlyUser = None,
    since: Since = None,
    state: State = None,
    count: Annotated[int, typer.Option(help="How many at the most.")] = 100,
    as_json: Json = False,
) -> None:
    """Dead letters with their reasons, and what was done about them."""
    from processor.ops.dead_letters import list_entries

    entries = list(list_entries(load(), _wanted(month, reason, user, since, state)))
    if as_json:
        return print_json([entry.to_dict() for entry in entries[:count]])
    lines = table("place", "key", "reason", "state", "since (UTC)", "detail")
    for entry in entries[:count]:
        key, letter = str(entry.to_dict()["key"]), entry.letter
        lines.add_row(entry.place, key, letter.reason, entry.state, utc(letter.at_ms), letter.detail)
    console().print(lines)
    for why, many in Counter(entry.letter.reason for entry in entries).most_common():
        say(f"{many:>7,}  {why}")
    if len(entries) > count:
        console().print(f"{len(entries):,} in all; --count shows more")
    return None


@app.command("histogram", epilog="Example: `mailonce dead-letters histogram --month 2026-11`")
def histogram(month: OnlyMonth = None, since: Since = None, as_json: Json = False) -> None:
    """How many there are of each reason, and in which state."""
    from processor.ops.dead_letters import list_entries

    counts: dict[str, Counter[str]] = {}
    for entry in list_entries(load(), _wanted(month, None, None, since, None)):
        counts.setdefault(entry.letter.reason, Counter())[entry.state] += 1
    ordered = sorted(counts.items(), key=lambda item: -item[1].total())
    if as_json:
        return print_json(dict(ordered))
    lines = table("reason", "letters", "open", "requeued", "discarded", "", right=range(1, 5))
    most = max((states.total() for _, states in ordered), default=1)
    for reason, states in ordered:
        bar = "█" * max(1, round(states.total() / most * 30))
        many = (states.total(), states["open"], states["requeued"], states["discarded"])
        lines.add_row(reason, *(f"{number:,}" for number in many), bar)
    return console().print(lines)


@app.command("show", epilog="Example: `mailonce dead-letters show 3:17`")
def show(
    place: Annotated[str, typer.Argument(metavar="P:N", help="Partition and offset in the dead-letter topic.")],
    as_json: Json = False,
) -> None:
    """One dead letter: why, the record's original bytes and headers, and the whole story of its mail."""
    from processor.ops.dead_letters import get_entries

    settings = load()
    (entry,) = get_entries(settings, [place])
    about = entry.to_dict(whole=True) | {"story": _story(settings, entry.record.key)}
    if as_json:
        return print_json(about)
    for name, value in about.items():
        shown = value if isinstance(value, str) else to_json(value)
        say(f"[bold]{name}[/]:", shown, soft_wrap=True)
    return None


def _story(settings: Settings, raw: bytes | None) -> dict[str, Any] | None:
    """What else is known of the key, if it is one."""
    from mailonce.show import story_of
    from schemas.identity import Key

    try:
        key = Key.from_bytes(raw)
    except BadRecord:
        return None
    story = story_of(settings, key).to_dict()
    return {name: story[name] for name in ("outcome", "jobs", "intents", "outcomes", "events", "claim")}


@app.command("export", epilog="Example: `mailonce dead-letters export --month 2026-11 > dead.csv`")
def export(
    form: Annotated[str, typer.Option("--format", metavar="csv|jsonl")] = "csv",
    month: OnlyMonth = None,
    reason: Reason = None,
    user: OnlyUser = None,
    since: Since = None,
    state: State = None,
) -> None:
    """All of them with their original values, to standard output. It holds addresses."""
    import csv

    from processor.ops.dead_letters import list_entries

    settings, wanted = load(), _wanted(month, reason, user, since, state)
    if form not in {"csv", "jsonl"}:
        raise UsageError(f"--format is csv or jsonl, not {form!r}")
    writer = csv.DictWriter(sys.stdout, _COLUMNS, extrasaction="ignore")
    if form == "csv":
        writer.writeheader()
    for entry in list_entries(settings, wanted):
        about = entry.to_dict(whole=True)
        if form == "jsonl":
            print_json(about)
            continue
        source = entry.letter.source
        own = {"at": utc(entry.letter.at_ms), "source": f"{source.topic} {source.partition}:{source.offset}"}
        writer.writerow(about | own)


@app.command(
    "requeue",
    epilog='Example: `mailonce dead-letters requeue 3:17 --set email=anna@example.com --why "corrected by phone"`',
)
def requeue(
    places: Places = None,
    month: OnlyMonth = None,
    reason: Reason = None,
    user: OnlyUser = None,
    since: Since = None,
    count_max: Most = None,
    corrections: Corrections = None,
    why: Reasoned = "",
    who: Who = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Send letters back to the jobs topic, each with its mark in one transaction.

    Refused by name: what was sent meanwhile, is in doubt, would die again, or came back too often. Exit code 1 when a
    letter that you named was refused.
    """
    from processor.core.requeue import Refused
    from processor.ops.requeue import look
    from processor.ops.requeue import requeue as send_back
    from schemas.records import Requeue

    settings, named = load(), places or []
    wanted, changes, decider = _open_ones(month, reason, user, since), _changes(corrections or []), login(who)
    entries = _chosen(settings, named, wanted)[:count_max]
    if "email" in changes and len(entries) > 1:
        raise UsageError(f"--set email=… is for one letter; {len(entries)} were chosen")
    if changes and not why:
        raise UsageError("a correction needs --why: it is kept with the record")
    asked = Requeue(times=0, place="", who=decider, why=why, at_ms=now_ms(), changes=changes)
    decided = look(settings, entries, asked)
    refused = {one.entry.place: one.follows.why for one in decided if isinstance(one.follows, Refused)}
    back = [one.entry.place for one in decided if one.entry.place not in refused]
    if not dry_run:
        _with_bar("requeueing", send_back(settings, decided, asked), len(back))
    _show_requeued(back, refused, dry_run=dry_run, as_json=as_json)
    if refused and (named or not back):
        raise typer.Exit(EXIT_FOUND)


def _changes(texts: Sequence[str]) -> dict[str, str]:
    """``NAME=VALUE`` each; raises `UsageError`."""
    changes = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(f"--set: {text!r} is not NAME=VALUE, for example email=anna@example.com")
        if name in {"user_id", "month", "v"}:
            raise UsageError(f"--set: {name} is the mail's identity; publish another job instead")
        changes[name] = value
    return changes


def _show_requeued(back: list[str], refused: dict[str, str], *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        return print_json({"requeued": back, "refused": refused, "dry_run": dry_run})
    say(f"{len(back):,} letters {'would go' if dry_run else 'went'} back to the jobs topic")
    for place, why in list(refused.items())[:REFUSED_SHOWN_MAX]:
        say(f"  refused {place}: {why}", markup=False, soft_wrap=True)
    if len(refused) > REFUSED_SHOWN_MAX:
        console().print(f"  … and {len(refused) - REFUSED_SHOWN_MAX:,} more")
    return None


@app.command("discard", epilog='Example: `mailonce dead-letters discard 3:17 --why "has left"`')
def discard(
    places: Places = None,
    month: OnlyMonth = None,
    reason: Reason = None,
    user: OnlyUser = None,
    since: Since = None,
    why: Reasoned = "",
    who: Who = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Mark letters as done with: they are not deleted, and not requeued any more."""
    from processor.ops.dead_letters import OPEN
    from processor.ops.requeue import discard as mark

    settings, wanted, decider = load(), _open_ones(month, reason, user, since), login(who)
    entries = [entry for entry in _chosen(settings, places or [], wanted) if entry.state == OPEN]
    if not dry_run:
        _with_bar("marking", mark(settings, entries, decider, why, now_ms()), len(entries))
    if as_json:
        return print_json({"discarded": [entry.place for entry in entries], "dry_run": dry_run})
    verb = "would be" if dry_run else "are"
    return say(f"{len(entries):,} letters {verb} marked as discarded; they stay where they are")


def _open_ones(month: str | None, reason: str | None, user: str | None, since: str | None) -> Wanted | None:
    """Nothing where letters are not chosen by what they are."""
    return _wanted(month, reason, user, since, "open") if any((month, reason, user, since)) else None


def _chosen(settings: Settings, places: Sequence[str], wanted: Wanted | None) -> list[Entry]:
    from processor.ops.dead_letters import get_entries, list_entries

    if bool(places) == (wanted is not None):
        raise UsageError("name letters by their places, or choose them with --reason, --month or --user")
    if wanted is not None:
        return list(list_entries(settings, wanted))
    return get_entries(settings, dict.fromkeys(places))


def _with_bar(what: str, steps: Iterator[int], total: int) -> None:
    if not total:
        return
    with bars() as shown:
        tell = follow(shown)
        tell(what, 0, total)
        for done in steps:
            tell(what, done, total)
