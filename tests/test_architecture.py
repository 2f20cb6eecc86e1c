"""Layers, generated documents and the shape of the repository, held by machine."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from docs.shape import OURS, Piece, pieces_of, working_tree

ROOT = Path(__file__).parents[1]
LINES_MAX = {"file": 300, "function": 40, "class": 150}
FIELDS_MAX = 12


def test_the_layers_hold() -> None:
    """The arrows of docs/architecture.md point one way."""
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports")], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


LARGER = {
    "docs/generate.py:asyncapi": "one document, as it is written",
    "processor/dashboard/openapi.py:document": "one document, as it is written",
    "infra/ses_sandbox/events.py:event_of": "one event, as SES writes it",
    "schemas/topics.py:specs": "the table of topics",
    "mailonce/produce.py:produce": "a command's options, one a line",
    "producer/month.py:publish_month": "the order of its steps is what it promises: read from top to bottom",
    "producer/publish.py:Publisher": "the counts of one run, that must balance together",
    "schemas/runtime/settings.py:Settings": "the table of settings, one field each",
    "schemas/records.py:Delivery": "a record: its fields are the contract",
    "schemas/control.py:Heartbeat": "a record: its fields are the contract",
    "processor/telemetry/meter.py:Meter": "the table of metrics, one field each",
    "processor/dashboard/web.py:Pages": "one short method a page",
    "schemas/templates/handlebars/tree.py:_Builder": "recursive descent: one method a construct, over one reading place",
    "infra/ses_sandbox/model.py:SandboxSettings": "the table of what the stand-in can be told",
    "infra/ses_sandbox/model.py:AcceptedMail": "a record: all that SES would know of a mail",
    "infra/ses_sandbox/server.py:Sandbox": "one short method a call of the stand-in",
    "processor/adapters/ses.py:BotoSender": "one short method a call of SES, over one client",
    "processor/adapters/ses_lean.py:LeanSender": "one connection's life, and who is asked where it cannot be",
    "infra/embedded/stack.py:Stack": "one method a server, over one table of what runs",
}
"""What may be larger than the bounds, and why."""


def test_everything_is_small() -> None:
    """What nobody can hold in their head is where the holes are: bounds for files, functions, classes and fields."""
    pieces = [piece for path, text in working_tree(*OURS, "docs") for piece in pieces_of(path, text)]
    large = {
        piece.where: f"{piece.lines} lines, {piece.fields} fields"
        for piece in pieces
        if piece.lines > LINES_MAX[piece.kind] or piece.fields > FIELDS_MAX
    }
    assert {where: size for where, size in large.items() if where not in LARGER} == {}
    assert LARGER.keys() <= large.keys(), "what is small by now needs no exception"


def test_the_shape_is_measured_as_it_is() -> None:
    """A measure that counts nothing would hold no bound."""
    text = (
        "class A:\n    x: int\n\n    def f(self) -> None:\n        self.y = 1\n\n\nasync def g() -> None:\n    pass\n"
    )
    assert set(pieces_of("a.py", text)) == {
        Piece("file", "a.py", 9),
        Piece("class", "a.py:A", 5, fields=2),
        Piece("function", "a.py:f", 2),
        Piece("function", "a.py:g", 2),
    }


def test_generated_documents_are_fresh() -> None:
    """The diagram and the settings in docs/ are made from the code: `make docs` writes them anew."""
    from docs.generate import PARTS

    for path, make in PARTS.items():
        assert (ROOT / path).read_text() == make(), f"{path} is stale: run `make docs`"


def test_every_guarantee_names_a_test_that_exists() -> None:
    """docs/guarantee.md: each row names its test, and the test is there."""
    text = (ROOT / "docs/guarantee.md").read_text()
    named = re.findall(r"`(tests/[^`]+)`", text)
    assert len(named) >= 15
    for name in named:
        file, _, test = name.partition("::")
        assert f"def {test}(" in (ROOT / file).read_text(), f"docs/guarantee.md names {name}, which is not there"
