"""The staging's SQL: how a spooled line becomes a row, and how a value of any type becomes text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from producer.staging.spool import ESCAPE, ESCAPES, FIRST_LINE, REFUSED

__all__ = [
    "CELL_CHARS_MAX",
    "LINE_BYTES_MAX",
    "SETTINGS",
    "cells_to_row",
    "column",
    "lines_of",
    "literal",
    "ready_to_row",
]

SETTINGS: dict[str, Any] = {
    "memory_limit": "128MB",  # the least that works for ten million rows
    "threads": 2,
    "preserve_insertion_order": True,  # rows' numbers rest on it
    # Nothing is fetched or loaded behind the operator's back.
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
}
CELL_CHARS_MAX = 131_072
"""Of a cell; SES takes 262,144 bytes of data for a mail."""
LINE_BYTES_MAX = 8_000_000
"""Of a spooled line; readers write none that is longer"""


_PLAIN = "cell"
"""SQL: a spooled cell as it was; each escape put back"""
for _char, _letter in ESCAPES.items():
    _PLAIN = f"replace({_PLAIN}, '{ESCAPE}{_letter}', chr({ord(_char)}))"


def literal(text: str) -> str:
    """A text as SQL."""
    return "'" + text.replace("'", "''") + "'"


def column(name: str) -> str:
    """A column's name as SQL."""
    return '"' + name.replace('"', '""') + '"'


def _spooled(path: Path) -> str:
    """The lines of a part's file, ``l``; their cells, ``parts``; whether it is one that cannot be read, ``refused``."""
    return f"""
        (SELECT l, starts_with(l, '{REFUSED}') AS refused,
            CASE WHEN contains(l, '{ESCAPE}') THEN list_transform(string_split(l, chr(31)), lambda cell: {_PLAIN})
            ELSE string_split(l, chr(31)) END AS parts
        FROM {_lines(path)} WHERE l != '{FIRST_LINE}')"""


def lines_of(path: Path) -> str:
    """SQL: lines of two cells as ``user_id`` and ``text``."""
    return f"""
        SELECT split_part(l, chr(31), 1) AS user_id, split_part(l, chr(31), 2) AS text
        FROM {_lines(path)} WHERE l != '{FIRST_LINE}'"""


def _lines(path: Path) -> str:
    # A value that no line can have stands for NULL, so that empty stays empty.
    options = (
        f"auto_detect=false, header=false, columns={{'l': 'VARCHAR'}}, delim='\x1e', quote='', escape='', "
        f"nullstr='{ESCAPE}', new_line='\\n', strict_mode=false, "
        f"max_line_size={LINE_BYTES_MAX}, buffer_size={2 * LINE_BYTES_MAX}"
    )
    return f"read_csv({literal(str(path))}, {options})"


def cells_to_row(names: Sequence[str], path: Path, skip: int = 0) -> str:
    """From a line of cells: id, address, the rest as JSON; or the cells, and why they are no row."""
    parts = [f"parts[{number}]" for number in range(skip + 1, skip + len(names) + 1)]
    user_id, email = parts[list(names).index("user_id")], parts[list(names).index("email")]
    members = [
        f"{literal(_key(name))} || to_json({part})"
        for name, part in zip(names, parts, strict=True)
        if name not in {"user_id", "email"}
    ]
    data = " || ',' || ".join(members) or "''"
    longest = "list_max(list_transform(parts, lambda cell: length(cell)))"
    problem = f"""
        CASE WHEN refused THEN json_extract_string(l[3:], '$.problem')
             WHEN len(parts) != {skip + len(names)} THEN len(parts) || ' fields, the header has {skip + len(names)}'
             WHEN strlen(l) > {CELL_CHARS_MAX} AND {longest} > {CELL_CHARS_MAX}
             THEN 'a cell of ' || {longest} || ' characters: at most {CELL_CHARS_MAX} are read' END"""
    unread = f"""
        CASE WHEN refused THEN json_extract(l[3:], '$.raw')::VARCHAR
             ELSE to_json(parts[{skip + 1}:])::VARCHAR END"""
    return f"""
        SELECT CASE WHEN problem IS NULL THEN {user_id} END, CASE WHEN problem IS NULL THEN {email} END,
               CASE WHEN problem IS NULL THEN '{{' || {data} || '}}' ELSE {unread} END, problem
        FROM (SELECT *, {problem} AS problem FROM {_spooled(path)})"""


def ready_to_row(path: Path) -> str:
    """From a line of id, address and the rest as JSON; or of what cannot be read."""
    return f"""
        SELECT CASE WHEN NOT refused THEN parts[1] END, CASE WHEN NOT refused THEN parts[2] END,
               CASE WHEN NOT refused THEN parts[3] ELSE json_extract(l[3:], '$.raw')::VARCHAR END,
               CASE WHEN refused THEN json_extract_string(l[3:], '$.problem') END
        FROM {_spooled(path)}"""


def _key(name: str) -> str:
    return msgspec.json.encode(name).decode() + ":"
