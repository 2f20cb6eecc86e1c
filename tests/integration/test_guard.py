"""The guard before a month on real servers: refused means nothing published; last month's figures; who is gone."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from processor.adapters.control import read_control
from schemas.control import Figures
from schemas.identity import months_later
from schemas.kafka.reading import read_topic
from tests.support.world import World

PRESENT = f"{datetime.now(UTC):%Y-%m}"
LAST = months_later(PRESENT, -1)


def produce(
    world: World, users: int, *args: str, month: str = PRESENT, first: int = 0, ok: tuple[int, ...] = (0,)
) -> Any:
    """Facts, or what was said where it was refused."""
    path = world.folder / "users.csv"
    rows = (f"u-{n},u{n}@mail.example.net,User {n},42\n" for n in range(first, first + users))
    path.write_text("user_id,email,name,usage\n" + "".join(rows))
    done = world.run("produce", "--month", month, "--source", str(path), "--json", *args, ok=ok, guarded=True)
    return json.loads(done.stdout) if done.returncode == 0 else " ".join(done.stderr.split())


def written(world: World) -> int:
    return sum(1 for _ in read_topic(world.settings, world.settings.topics.jobs))


def test_what_looks_wrong_is_refused_until_somebody_says_yes(world: World) -> None:
    """Month, drop, empty source, template, data, column: nothing is published; a re-run in the month is not asked."""
    assert f"{LAST} is neither this month nor the next" in produce(world, 10, month=LAST, ok=(10,))
    assert written(world) == 0
    produce(world, 10, "--any-month", month=LAST)
    assert read_control(world.settings).months[LAST].figures == Figures(jobs=10, id_forms=["a-9"])
    assert f"would have 7 mails, {LAST} has 10: 30 % fewer" in produce(world, 7, ok=(10,))
    told = produce(world, 7, "--dry-run")
    assert (list(told["questions"]), told["new"], told["last_month_jobs"]) == (["drop"], 7, 10)
    assert "SES has no template 'wrong'" in produce(world, 9, "--template", "wrong", "--yes", ok=(2,))
    assert "there is no column nam; there are user_id" in produce(world, 9, "--map", "name=nam", "--yes", ok=(2,))
    assert "the source has no rows" in produce(world, 0, ok=(10,))
    world.push_template("greedy", {"Subject": "{{name}}", "Text": "{{usage}} {{tariff}}"})
    assert "no row has what template 'greedy' needs" in produce(world, 9, "--template", "greedy", ok=(10,))
    assert written(world) == 10, "none of these published anything"

    assert produce(world, 7, "--max-drop", "30")["published"] == 7
    again = produce(world, 7)
    assert (again["unchanged"], again["published"], again["questions"]) == (7, 0, {})
    assert written(world) == 17

    blind = {"AWS_ENDPOINT_URL_SESV2": "http://127.0.0.1:1"}
    world.env |= blind
    told = produce(world, 10)
    assert (told["published"], told["template_looked_up"]) == (3, False)
    assert read_control(world.settings).months[PRESENT].figures == Figures(jobs=10, id_forms=["a-9"])


def test_who_is_gone_is_told_and_cancelled_on_demand(world: World) -> None:
    """What was sent stays sent, what waits is cancelled; half a source cancels nobody without a yes."""
    produce(world, 10)
    world.drain()
    assert world.sandbox.accepted_count() == 10
    told = produce(world, 14)
    assert (told["new"], told["unchanged"], told["gone"], told["gone_unsent"]) == (4, 10, 0, None)
    told = produce(world, 11, first=1)
    assert (told["gone"], told["gone_unsent"], told["gone_cancelled"]) == (3, 2, None)
    assert "--cancel-gone would cancel" in produce(world, 7, "--cancel-gone", ok=(10,))
    told = produce(world, 12, "--cancel-gone", "--max-drop", "15")
    assert (told["gone"], told["gone_unsent"], told["gone_cancelled"], told["gone_too_late"]) == (2, 2, 2, 0)
    assert read_control(world.settings).months[PRESENT].figures == Figures(jobs=12, id_forms=["a-9"])
    world.drain()
    assert world.sandbox.accepted_count() == 12
    assert "u12@mail.example.net" not in {mail.to[0] for mail in world.sandbox.accepted()}
    assert produce(world, 12)["gone"] == 0, "who is cancelled is not gone"
