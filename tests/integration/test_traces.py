"""One trace a mail: published, called for, settled; sent to a collector over OTLP."""

from __future__ import annotations

from tests.support.collector import collector
from tests.support.world import MONTH, World


def test_one_trace_from_the_producer_to_the_settling_commit(world: World) -> None:
    """Through Kafka's headers; a dead letter's record keeps its trace; no user is named."""
    world.sandbox.fault("reject", address="bad*")
    path = world.folder / "users.csv"
    users = ["anna", "bert", "bad"]
    path.write_text("user_id,email,name,usage\n" + "".join(f"{u},{u}@mail.example.net,N,1\n" for u in users))
    with collector() as collected:
        env = {"MAILONCE_TRACES": "otlp", "OTEL_EXPORTER_OTLP_ENDPOINT": collected.url}
        world.run("produce", "--month", MONTH, "--source", str(path), **env)
        world.drain(**env)
        published, calls, settled = (collected.named(name) for name in ("publish", "SES SendEmail", "settle"))
    assert (len(published), len(calls), len(settled)) == (3, 3, 3)
    for call in calls:
        (parent,) = [span for span in published if span.trace_id == call.trace_id]
        (settle,) = [span for span in settled if span.trace_id == call.trace_id]
        assert call.parent_span_id == settle.parent_span_id == parent.span_id
        assert parent.start_time_unix_nano < call.start_time_unix_nano < settle.end_time_unix_nano
    verdicts = [attribute.value.string_value for call in calls for attribute in call.attributes]
    assert (verdicts.count("accepted"), verdicts.count("refused_message")) == (2, 1)
    assert not [span for span in collected.spans if any(user in str(span) for user in ("anna", "bert"))]
    (letter,) = world.dead_letters()
    assert "traceparent" in dict(letter[0].headers)
