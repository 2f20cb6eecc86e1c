"""npm's Handlebars, where node and npm are, and templates made at random to compare with it.

``python -m tests.support.handlebars_npm`` fills tests/contracts/handlebars.json in anew: what npm makes of each
template, and what is made of it here (the same, refused, or a missing variable). Look at the difference it makes.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from schemas.templates.handlebars import TemplateRefused, render

__all__ = ["CORPUS", "Case", "cases", "installed", "npm_answers", "ours", "random_cases"]

CORPUS = Path("tests/contracts/handlebars.json")
Case = tuple[str, dict[str, Any]]


def installed(folder: Path) -> str:
    """Installs the corpus's version into `folder`; why not, if it could not."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        return "node and npm are not on this machine"
    package = json.loads(CORPUS.read_text())["npm"]
    install = [npm, "install", "--no-fund", "--no-audit", "--prefix", str(folder), package]
    done = subprocess.run(install, capture_output=True, text=True, timeout=600, check=False)
    return f"{package} could not be installed: {done.stderr[-200:]}" if done.returncode else ""


def npm_answers(folder: Path, wanted: list[Case], *, escaped: bool = False) -> list[dict[str, str]]:
    """npm's, with escaping off as in SES, or `escaped` (but for ``=`` and the backtick, which harm no HTML)."""
    script = Path("tests/support/handlebars_npm.js")
    done = subprocess.run(
        ["node", str(script), str(folder), *(["escaped"] if escaped else [])],
        input=json.dumps(wanted),
        capture_output=True,
        text=True,
        timeout=600,
        check=True,
    )
    answers: list[dict[str, str]] = json.loads(done.stdout)
    return answers


def ours(template: str, data: dict[str, Any]) -> dict[str, str]:
    """As npm's answers, with ``refused`` and ``missing`` besides."""
    try:
        return {"out": render(template, data)}
    except TemplateRefused as why:
        return {"refused": why.told}
    except KeyError as missing:
        return {"missing": missing.args[0]}


def cases() -> list[tuple[str, dict[str, Any], dict[str, str], str]]:
    """The corpus: template, data, npm's answer, and what is to become of it here."""
    corpus = json.loads(CORPUS.read_text())
    return [(one["template"], corpus["data"], one["npm"], one["ours"]) for one in corpus["cases"]]


def refill() -> None:
    corpus = json.loads(CORPUS.read_text())
    with tempfile.TemporaryDirectory() as folder:
        if why := installed(Path(folder)):
            raise SystemExit(why)
        answers = npm_answers(Path(folder), [(one["template"], corpus["data"]) for one in corpus["cases"]])
    for one, npm in zip(corpus["cases"], answers, strict=True):
        here = ours(one["template"], corpus["data"])
        one |= {"npm": npm, "ours": "same" if here == npm else next(iter(here))}
    CORPUS.write_text(json.dumps(corpus, ensure_ascii=False, indent=1) + "\n")


# ---- at random ----

_PATHS = [
    "a",
    "b",
    "x",
    "items",
    "o",
    "big",
    "n",
    "e",
    "eo",
    "t",
    "f",
    "nul",
    "zero",
    "s0",
    "user.city",
    "items.[0].n",
    "o.[2]",
    "missing",
    "missing.q",
    "this",
    ".",
    "this.a",
    "./b",
    "../a",
    "../../x",
    "@root.x",
    "@index",
    "@key",
    "@first",
    "@last",
    "@../index",
    "..",
    "user.[odd]",
    "l",
    "ü",
    "a-b",
    "user/city",
    "items.0.n",
    "true",
    "[a]",
    "../this",
    "@root",
    "it",
    "k",
    "it.n",
    "log",
    "constructor",
    "__proto__",
    "toString",
    "n:x",
]
_VALUES = ['"s"', "'it'", "0", "1", "1.50", "true", "false", "null", '"a=b"', '""', "-3", '(lookup o "b")']
_BLANKS = ["", "", " ", "\n", "  ", "\n\n", "\n  ", "\t", "  \n  ", "x", "\nz", "\r\n", " \r\n ", "<p>", "\u00a0", "}"]
_DATA: list[Any] = [0, 1.5, 1e21, 1e-7, True, None, "", "<&>", [], {}, ["a", None], {"b": 1, "2": 2, "n": "N"}, 10**20]


class _Author:
    """Writes templates that are mostly whole, by a seed."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.partials: list[str] = []

    def template(self) -> str:
        self.partials = []
        text = ""
        for name in self.chance.choice([[], [], ["p"], ["p", "q"]]):
            text += f'{self.blanks()}{{{{#*inline "{name}"}}}}{self.body(2)}{{{{/inline}}}}'
            self.partials.append(name)
        return text + self.body(3)

    def data(self) -> dict[str, Any]:
        items = [{"n": 1, "a": "ia"}, {"n": "two", "items": [{"n": 5}]}]
        data: dict[str, Any] = {"a": "A", "b": 2, "x": "X", "o": {"b": 1, "2": 2, "1": 3}, "big": 1e21, "n": 5}
        data |= {"e": [], "eo": {}, "t": True, "f": False, "nul": None, "zero": 0, "s0": "", "l": [1, None, [2, "z"]]}
        data |= {"ü": "Ü", "a-b": "ab", "n:x": "nx"}
        data |= {self.chance.choice(list(data)): self.chance.choice(_DATA) for _ in range(2)}
        return data | {"items": items, "user": {"city": "Ulm", "odd": "O"}}

    def blanks(self) -> str:
        return "".join(self.chance.choices(_BLANKS, k=self.chance.choice([0, 0, 1, 1, 2, 3])))

    def body(self, depth: int) -> str:
        nodes = (self.node(depth) + self.blanks() for _ in range(self.chance.choice([0, 1, 1, 2, 3])))
        return self.blanks() + "".join(nodes)

    def tag(self, body: str) -> str:
        before, after = ("~" if self.chance.random() < 0.15 else "" for _ in "ab")
        return f"{{{{{before}{body}{after}}}}}"

    def path(self) -> str:
        return self.chance.choice(_PATHS)

    def value(self) -> str:
        return self.chance.choice(_VALUES) if self.chance.random() < 0.2 else self.path()

    def node(self, depth: int) -> str:
        kinds = [self.leaf, self.leaf] if depth <= 0 else [self.leaf, self.choice_block, self.scope, self.section]
        return self.chance.choice(kinds)(depth - 1)

    def leaf(self, _depth: int) -> str:
        name, blank = self.path(), self.chance.choice(["", " "])
        written = [f"{{{{{{{name}}}}}}}", f"{{{{~{{{name}}}~}}}}", self.tag("! c "), self.tag("!-- c }} --")]
        written += [self.tag(f"{blank}{name}{blank}")] * 6 + [self.tag(f"lookup {name} {self.value()}")]
        if self.partials:
            partial = self.chance.choice(self.partials)
            written += [self.tag(f"> {partial}"), self.tag(f"> {partial} {name}"), self.tag(f"> {partial} x={name}")]
        return self.chance.choice(written)

    def choice_block(self, depth: int) -> str:
        name = self.chance.choice(["if", "if", "unless"])
        text = self.tag(f"#{name} {self.value()}{self.chance.choice(['', '', ' includeZero=true'])}") + self.body(depth)
        while self.chance.random() < 0.3:
            text += self.tag(f"else {self.chance.choice(['if', 'unless'])} {self.value()}") + self.body(depth)
        if self.chance.random() < 0.4:
            text += self.tag(self.chance.choice(["else", " else "])) + self.body(depth)
        return text + self.tag(f"/{name}")

    def scope(self, depth: int) -> str:
        name, params = self.chance.choice([("each", " as |it k|"), ("each", " as |it|"), ("with", " as |it|")])
        text = self.tag(f"#{name} {self.value()}{self.chance.choice(['', params])}") + self.body(depth)
        if self.chance.random() < 0.3:
            text += self.tag("else") + self.body(depth)
        return text + self.tag(f"/{name}")

    def section(self, depth: int) -> str:
        name = self.path()
        return self.tag(self.chance.choice("##^") + name) + self.body(depth) + self.tag(f"/{name}")


def random_cases(seed: int, count: int) -> list[Case]:
    author = _Author(seed)
    return [(author.template(), author.data()) for _ in range(count)]


if __name__ == "__main__":
    refill()
