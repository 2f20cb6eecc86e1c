"""The mailbox page: what was accepted, searchable, each message as HTML and text. Server-rendered, no build step."""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape
from urllib.parse import urlencode

from infra.ses_sandbox.model import AcceptedMail
from infra.ses_sandbox.record import Record

__all__ = ["list_page", "message_page"]

PAGE = 50

_HEAD = """<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}</title><style>
:root {{ color-scheme: light dark; --line: color-mix(in srgb, CanvasText 16%, Canvas); --soft: color-mix(in srgb, CanvasText 62%, Canvas); }}
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 0 auto; padding: 1rem; max-width: 70rem; }}
h1 {{ font-size: 1.3rem; }} a {{ color: LinkText; }}
.facts {{ display: flex; flex-wrap: wrap; gap: .5rem 2rem; margin: 0 0 1rem; padding: 0; list-style: none; }}
.facts b {{ font-size: 1.4rem; display: block; font-variant-numeric: tabular-nums; }}
form {{ display: flex; gap: .5rem; margin: 0 0 1rem; }} input {{ flex: 1; font: inherit; padding: .4rem .6rem; }}
button {{ font: inherit; padding: .4rem 1rem; }}
table {{ border-collapse: collapse; width: 100%; }} th, td {{ text-align: left; padding: .4rem .6rem; border-bottom: 1px solid var(--line); }}
td.when {{ white-space: nowrap; color: var(--soft); font-variant-numeric: tabular-nums; }}
tr:hover td {{ background: color-mix(in srgb, CanvasText 5%, Canvas); }}
.wide {{ overflow-x: auto; }} pre {{ white-space: pre-wrap; border: 1px solid var(--line); padding: 1rem; }}
iframe {{ width: 100%; height: 24rem; border: 1px solid var(--line); background: white; }}
.bad {{ color: light-dark(#b00020, #ff8a8a); }}
</style></head><body>
"""


def _when(mail: AcceptedMail) -> str:
    return datetime.fromtimestamp(mail.at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def list_page(record: Record, words: str, skip: int) -> str:
    mails, found = record.search(words, skip, PAGE)
    facts = record.summary()
    duplicates = facts["duplicates"]
    rows = "".join(
        f'<tr><td class="when">{_when(mail)}</td><td>{escape(", ".join(mail.to))}</td>'
        f'<td><a href="/message/{mail.n}">{escape(mail.subject or "(no subject)")}</a></td></tr>'
        for mail in mails
    )
    links = [
        f'<a href="/?{urlencode({"q": words, "skip": start})}">{name}</a>'
        for name, start, there in (
            ("← newer", max(0, skip - PAGE), skip > 0),
            ("older →", skip + PAGE, skip + PAGE < found),
        )
        if there
    ]
    return (
        _HEAD.format(title="SES sandbox: mailbox")
        + f"""<h1>SES sandbox: mailbox</h1>
<ul class="facts"><li><b>{facts["accepted"]:,}</b>accepted</li>
<li{' class="bad"' if duplicates else ""}><b>{duplicates:,}</b>duplicates by user and month</li></ul>
<form role="search"><label for="q" hidden>Search</label>
<input id="q" name="q" type="search" placeholder="address or subject" value="{escape(words)}"><button>Search</button></form>
<p>{found:,} messages{f" with “{escape(words)}”" if words else ""}</p>
<div class="wide"><table><thead><tr><th>UTC</th><th>To</th><th>Subject</th></tr></thead><tbody>{rows}</tbody></table></div>
<p>{" · ".join(links)}</p></body></html>"""
    )


def message_page(mail: AcceptedMail) -> str:
    about = {
        "To": ", ".join(mail.to),
        "From": mail.sender,
        "Accepted": f"{_when(mail)} UTC",
        "Message id": mail.message_id,
        "Template": mail.template,
        "Tags": ", ".join(f"{name}={value}" for name, value in mail.tags.items()),
        "Headers": ", ".join(f"{name}: {value}" for name, value in mail.headers.items()),
        "Attachments": ", ".join(f"{one.name} ({one.size:,} bytes)" for one in mail.attachments),
        "Options": ", ".join(f"{name}: {value}" for name, value in mail.options.items()),
        "Not delivered": mail.not_delivered,
    }
    rows = "".join(f"<tr><th>{name}</th><td>{escape(value)}</td></tr>" for name, value in about.items() if value)
    # The message is a stranger's HTML: sandboxed, no scripts, no network.
    html = (
        f'<h2>HTML</h2><iframe sandbox title="The message as HTML" srcdoc="{escape(mail.html)}"></iframe>'
        if mail.html
        else ""
    )
    text = f"<h2>Text</h2><pre>{escape(mail.text)}</pre>" if mail.text else ""
    subject = escape(mail.subject or "(no subject)")
    return (
        _HEAD.format(title=subject)
        + f'<p><a href="/">← mailbox</a></p><h1>{subject}</h1><div class="wide"><table>{rows}</table></div>{html}{text}</body></html>'
    )
