"""A producer that fails in the middle: what it has replaced by then is closed all the same, and told of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mailonce.corrected import Corrections
from producer.order import Order
from producer.pipeline import Pipeline
from producer.publish import Publisher, Replaced
from producer.published import write_held
from producer.rejects import Rejects
from producer.sources import open_source
from producer.staging.diff import Diff
from schemas.codec import encode
from schemas.identity import Key
from schemas.runtime.errors import BrokerUnavailable
from schemas.runtime.settings import Settings
from tests.support.plans import planned

MONTH = "2026-11"


class Corrects:
    """A Kafka client that takes corrections and delivers when it is flushed."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    def flush(self, *_: object) -> int:
        self._publisher._replaced.append(Replaced(Key("u1", MONTH), 0, 7, "f"))
        return 0


class Failing(Publisher):
    """Fails at its second correction; the first one waits for its acknowledgement."""

    def publish_planned(self, key: bytes, value: bytes, *, replaces: bool) -> None:
        assert replaces
        if self._correcting is not None:
            raise BrokerUnavailable("Kafka did not take 1 jobs")
        self._correcting = Corrects(self)  # type: ignore[assignment]


def test_what_was_replaced_before_the_failure_is_told(tmp_path: Path) -> None:
    """Acknowledgements that were on their way are waited for."""
    rows = "user_id,email,a\nu1,a@b.de,{0}\nu2,c@d.de,{0}\n"
    (tmp_path / "a.csv").write_text(rows.format(1))
    held = [
        (f"{job.user_id}:{MONTH}".encode(), encode(job)) for job in planned(open_source(str(tmp_path / "a.csv")))[0]
    ]
    with (tmp_path / "held").open("wb") as out:
        assert sum(1 for _ in write_held(held, MONTH, out)) == 2
    (tmp_path / "a.csv").write_text(rows.format(2))
    source = open_source(str(tmp_path / "a.csv"))
    diff = Diff(source, MONTH, "t", tmp_path / "held")
    pipeline = Pipeline(source, diff, Rejects(source), Order(MONTH, "t"), lambda *_: None)
    pipeline.plan()
    told: list[Replaced] = []
    with pytest.raises(BrokerUnavailable):
        pipeline.publish(Failing(Settings(), replaced=told.extend))
    assert [one.offset for one in told] == [7]


def test_corrections_are_finished_when_the_rest_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And what they found is said; the failure stays the command's answer, also where Kafka does not hear them out."""
    corrections = Corrections(Settings())
    finished: list[Any] = []

    def finish(_: Corrections) -> None:
        finished.append(1)
        if len(finished) > 1:
            raise BrokerUnavailable("away")
        corrections._found["sent"] += 1

    monkeypatch.setattr(Corrections, "finish", finish)
    for times in (1, 2):
        with pytest.raises(BrokerUnavailable, match="took nothing"), corrections.held_to():
            raise BrokerUnavailable("took nothing")
        assert len(finished) == times
    with corrections.held_to():
        pass
    assert len(finished) == 2
    assert "1 of these were sent already, as they were before" in " ".join(capsys.readouterr().err.split())
