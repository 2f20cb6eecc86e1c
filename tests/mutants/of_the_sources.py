"""Lines of what reads files of many forms and of what is asked before a month, and what their tests say without them."""

from __future__ import annotations

from tests.mutants.mutant import mutants

__all__: list[str] = []

_SOURCES = "producer/sources/"

mutants(
    "tests/unit/test_formats.py",
    [
        (
            "test_every_form_of_a_table_gives_the_same_jobs",
            _SOURCES + "unpacked.py",
            "rest, member, members = member.unused_data, None, members + 1",
            'rest, member, members = b"", None, members + 1',
        ),
        (
            "test_every_form_of_a_table_gives_the_same_jobs",
            _SOURCES + "csv_header.py",
            "        return separator, True\n",
            "        return separator, False\n",
        ),
        ("test_an_encoding_is_asked_for", _SOURCES + "kinds.py", "return asked or UTF_8", "return UTF_8"),
        (
            "test_what_is_no_source_is_one_sentence_with_its_cure",
            _SOURCES + "unpacked.py",
            "    if member is not None:\n",
            "    if False:\n",
        ),
        (
            "test_an_encoding_that_is_not_the_files_is_refused",
            _SOURCES + "encodings.py",
            '    if other and utf8 is not None and _still_utf8(utf8, b"", final=True) is not None:\n',
            "    if False:\n",
        ),
        (
            "test_an_id_that_a_program_made_of_one_is_refused",
            "producer/suspect.py",
            "    if _id.fullmatch(user_id) is None:\n",
            "    if True:\n",
        ),
    ],
)
mutants(
    "tests/unit/test_workbooks.py",
    [
        (
            "test_what_a_reader_of_values_gives_as_empty_is_refused",
            _SOURCES + "workbook_marks.py",
            "            self._formula = True\n",
            "            pass\n",
        ),
        (
            "test_an_id_that_excel_made_something_else_of_is_refused",
            _SOURCES + "workbook.py",
            "problem = marks.get(line) or _id_problem(row[user_id])",
            "problem = marks.get(line)",
        ),
    ],
)
mutants(
    "tests/unit/test_guard.py",
    [
        (
            "test_a_template_that_is_not_there_is_refused_in_any_case",
            "mailonce/guard.py",
            "            except NotLookedUp as why:\n",
            "            except Exception as why:\n",
        ),
        (
            "test_a_run_that_publishes_nothing_is_asked_nothing",
            "producer/guard.py",
            "return self.new + self.changed > 0",
            "return True",
        ),
        (
            "test_every_shape_is_tried_where_data_decides",
            "producer/staging/compare.py",
            '_TEXTS = _alike("data")',
            '_TEXTS = "TRUE"',
        ),
        (
            "test_cancelling_many_who_are_gone_is_asked",
            "producer/guard.py",
            "    if limits.cancels_gone and (share := _share_gone(found)) > limits.max_drop:\n",
            "    if False:\n",
        ),
    ],
)
