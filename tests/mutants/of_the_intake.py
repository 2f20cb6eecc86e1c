"""Lines of what reads sources, gates and templates, and what their tests say without them."""

from __future__ import annotations

from tests.mutants.mutant import mutants

__all__: list[str] = []

_CSV = "producer/sources/csv_text.py"

mutants(
    "tests/unit/test_intake.py",
    [
        (
            "test_json_values_keep_their_own_text",
            "producer/sources/json_text.py",
            """return '""' if raw == b"null" else f'"{raw.decode()}"'""",
            """return '""' if raw == b"null" else raw.decode()""",
        ),
        (
            "test_a_stray_quote_swallows_nobody",
            _CSV,
            "if last > first and (swallowed := _swallowed(part, lines.record[1:], header.separator)):",
            "if last > first and (swallowed := 0):",
        ),
        (
            "test_behind_a_quote_out_of_place_nothing_is_read",
            _CSV,
            "        _refuse_rest(part, lines, first, error, header)\n        return False\n",
            "        part.refuse(first, str(error), [])\n        return True\n",
        ),
        (
            "test_an_id_that_only_looks_like_another_is_refused",
            "producer/plan.py",
            "    if why := _id_problem(user_id, month):\n",
            "    if why := None:\n",
        ),
        (
            "test_a_file_that_changes_while_it_is_read_is_refused",
            "producer/sources/files.py",
            "    if _state(path) != before:\n        raise _changed(path)\n",
            "",
        ),
        ("test_balance_and_expectation", "producer/balance.py", "        if self.missing:\n", "        if False:\n"),
    ],
)
mutants(
    "tests/unit/test_gate.py",
    [
        (
            "test_what_is_too_much_for_its_readers_is_refused",
            "schemas/gate.py",
            "    if depth_above(raw, DEPTH_MAX):\n",
            "    if False:\n",
        ),
        (
            "test_a_line_of_any_length_is_masked",
            "schemas/runtime/logs.py",
            "mask(match.group()) if match[1] else match.group()",
            "match.group()",
        ),
    ],
)
mutants(
    "tests/unit/test_dashboard.py",
    [
        (
            "test_a_job_where_its_key_does_not_belong_says_nothing_of_the_mail",
            "processor/dashboard/view.py",
            "    if misplaced:\n",
            "    if False:\n",
        ),
    ],
)
mutants(
    "tests/properties/test_properties.py",
    [
        (
            "test_any_settled_offsets_fit_the_metadata",
            "processor/core/offsets.py",
            "    if len(text) <= METADATA_BYTES_MAX:\n        return text\n",
            "    return text\n",
        ),
        (
            "test_whoever_reads_within_the_room_can_tell_of_all",
            "processor/core/offsets.py",
            "return max(1, (_PACKED_BYTES_MAX - told_bytes) // STEP_BYTES_MAX)",
            "return ROOM_MAX * 4",
        ),
        (
            "test_where_an_unreadable_batch_ends_is_found",
            "schemas/kafka/unreadable.py",
            "inside, outside = (middle, outside) if is_inside(middle) else (inside, middle)",
            "inside, outside = (middle, outside)",
        ),
    ],
)
mutants(
    "tests/properties/test_intake_properties.py",
    [
        (
            "test_sql_decides_as_the_rules_do",
            "producer/staging/diff.py",
            "WHEN {same} THEN {_UNCHANGED} ELSE {_DOUBTFUL} END",
            "ELSE {_UNCHANGED} END",
        ),
    ],
)
mutants(
    "tests/unit/test_handlebars_as_npm_does.py",
    [
        (
            "test_html_is_escaped_as_npm_does_or_refused",
            "schemas/templates/escaping.py",
            "self._own = HTML_TWIN if scopes.html else OPENED_TWIN",
            "self._own = OPENED_TWIN",
        ),
    ],
)
mutants(
    "tests/unit/test_templates.py",
    [
        (
            "test_html_that_could_show_a_value_as_it_is_is_refused",
            "schemas/templates/escaping.py",
            "            problems += [PartRefused(part, why) for why in sorted(scopes[part].problems, key=lambda one: one.place)[:1]]\n",
            "            pass\n",
        ),
    ],
)
mutants(
    "tests/unit/test_needs.py",
    [
        (
            "test_what_is_missing_is_named_with_its_place",
            "schemas/templates/template.py",
            "                lacking += [_lacking(part, lack.path, lack.place, lack.what) for lack in walk.lacks]\n",
            "                pass\n",
        ),
    ],
)
mutants(
    "tests/properties/test_months_properties.py",
    [
        (
            "test_answers_by_month_equal_a_full_read",
            "processor/core/months.py",
            "return {number: min(one.get(number, 0) for one in each) for number in first}",
            "return {number: max(one.get(number, 0) for one in each) for number in first}",
        ),
    ],
)
mutants(
    "tests/unit/test_months.py",
    [
        (
            "test_keys_are_hashed_as_kafka_does_it",
            "schemas/partitions.py",
            '        found = (found ^ int.from_bytes(data[size - rest :], "little")) * _FACTOR & _32_BITS\n',
            "        pass\n",
        ),
    ],
)
