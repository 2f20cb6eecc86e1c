"""One seed: its plan carried out on real servers and processes, then faults end, evidence drains, and the audit."""

from __future__ import annotations

import csv
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from infra.embedded import Stack
from infra.embedded.service import Running, free_port
from processor.core.pace import BATCH_MAX
from schemas.codec import decode_delivery
from schemas.identity import Key
from schemas.kafka.reading import read_topic
from schemas.records import Outcome
from tests.chaos.plan import Plan, Step
from tests.support.feed import connected, published
from tests.support.proxy import Proxy
from tests.support.sandbox import SandboxAdmin
from tests.support.servers import kill_server, server_runs, signal_server
from tests.support.world import CALLS_AT_ONCE, MONTH, SHORT, WAIT_S, Process, World, job, make_world, wait_for

WINDOW_S = 6
RETRY = json.dumps(
    {
        name: {"interval_s": 0.1, "backoff_rate": 2, "max_attempts": 200, "max_delay_s": 1}
        for name in ("throttled", "unreachable")
    }
)


@dataclass
class Result:
    """What the audit of one seed found."""

    seed: int
    processors: int
    faults: int
    jobs: int
    accepted: int = 0
    duplicates: int = 0
    lost: int = 0
    wrong: int = 0
    doubts: int = 0
    """Mails that were in doubt at some time."""
    doubts_max: int = 0
    """Calls that can have been in flight at the faults."""
    uncertain_after_evidence: int = 0
    """Of those that SES took; what it did not take has no event."""
    uncertain: int = 0
    """At the very end, after the policy sent again what SES did not take."""
    resent: int = 0
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        wrong = self.duplicates or self.lost or self.wrong or self.uncertain or self.uncertain_after_evidence
        return not wrong and not self.problems and self.doubts <= self.doubts_max

    def line(self) -> str:
        verdict = "good" if self.good else "BAD"
        return (
            f"seed {self.seed:>4}  {verdict:<4} {self.processors} processors  {self.faults:>2} faults  "
            f"jobs {self.jobs:,}  accepted {self.accepted:,}  duplicates {self.duplicates}  lost {self.lost}  "
            f"wrong {self.wrong}  doubts {self.doubts} of at most {self.doubts_max}  "
            f"uncertain after evidence {self.uncertain_after_evidence}  at the end {self.uncertain}  "
            f"({self.seconds:.0f} s){''.join('  ' + problem for problem in self.problems)}"
        )

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "good": self.good}


class Servers:
    """The stack all seeds share, behind proxies."""

    def __init__(self, folder: Path) -> None:
        kafka_port, self.folder = free_port(), folder
        self.stack = Stack(folder, tied=True, kafka_seen_at=kafka_port)
        self.stack.up(("kafka", "valkey", "ses", "sqs"))
        names = {"kafka": "kafka", "redis": "valkey", "ses": "ses"}
        ports = {"kafka": kafka_port, "redis": 0, "ses": 0}
        self.proxies = {name: Proxy(self._known(at).port, ports[name]) for name, at in names.items()}
        self.sandbox = SandboxAdmin(self.stack.env()["AWS_ENDPOINT_URL_SESV2"], folder / "ses")

    def _known(self, name: str) -> Running:
        return self.stack.known()[name]

    def env(self) -> dict[str, str]:
        at = {name: proxy.port for name, proxy in self.proxies.items()}
        return self.stack.env() | {
            "MAILONCE_KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{at['kafka']}",
            "MAILONCE_REDIS_URL": f"redis://127.0.0.1:{at['redis']}/0",
            "AWS_ENDPOINT_URL_SESV2": f"http://127.0.0.1:{at['ses']}",
        }

    def signal(self, name: str, number: int) -> None:
        signal_server(self.stack, name, number)

    def kill(self, name: str) -> None:
        kill_server(self.stack, name)

    def start(self, name: str) -> None:
        self.stack.up((name,))

    def mend(self) -> None:
        """Everything runs and flows again."""
        for name in ("kafka", "valkey"):
            self.signal(name, signal.SIGCONT)
            self.start(name)
        for proxy in self.proxies.values():
            proxy.release()
            proxy.cut()

    def close(self) -> None:
        self.signal("kafka", signal.SIGCONT)
        for proxy in self.proxies.values():
            proxy.close()
        self.stack.down()


class Chaos:
    """One seed on the servers."""

    def __init__(self, servers: Servers, plan: Plan, folder: Path) -> None:
        self.servers = servers
        self.plan = plan
        self.world: World = make_world(servers.env(), servers.sandbox, folder, SHORT)
        self.world.env |= {
            "MAILONCE_RETRY": RETRY,
            "MAILONCE_ACCOUNT_REFRESH_S": "1",
            "MAILONCE_BREAKER_CONSECUTIVE": "0",
            "MAILONCE_BREAKER_SHARE": "0",
            "MAILONCE_EVIDENCE_WINDOW_S": str(WINDOW_S),
        }
        self.processors: dict[int, Process | None] = dict.fromkeys(range(plan.processors))
        self.wanted: set[int] = set()
        self.producer: Process | None = None
        self.evidence: Process | None = None
        self.replays: list[Process] = []
        self.users = folder / "users.csv"
        self.ends = 0

    # ---- the whole ----

    def run(self) -> Result:
        began = time.monotonic()
        with connected(self.world, self.servers.stack, ("SEND",), hidden_s=2):
            self.world.env["MAILONCE_SES_READ_TIMEOUT_S"] = "1.5"
            self.world.sandbox.set(
                latency_ms=self.plan.latency_ms, events_duplicate_share=0.2, events_shuffle=True, events_delay_s=0.3
            )
            self._write_users()
            self._start_producer()
            self._start_evidence()
            for who in self.processors:
                self.wanted.add(who)
            try:
                self._carry_out()
                result = self._end()
            finally:
                self.servers.mend()
                self.world.close()
        result.seconds = time.monotonic() - began
        return result

    def _write_users(self) -> None:
        with self.users.open("w", newline="") as out:
            writer = csv.writer(out)
            writer.writerow(["user_id", "email", "name", "usage"])
            for n in range(self.plan.users):
                entry = job(f"u{n}")
                self.world.published.add(Key(entry.user_id, MONTH))
                writer.writerow([entry.user_id, entry.email, entry.data["name"], entry.data["usage"]])

    def _carry_out(self) -> None:
        began = time.monotonic()
        steps = list(self.plan.steps)
        while steps:
            self._supervise()
            if time.monotonic() - began < steps[0].at_s:
                time.sleep(0.02)
            else:
                self._do(steps.pop(0))

    def _supervise(self) -> None:
        """Starts again what left by itself, as any supervisor does."""
        for who in self.wanted:
            process = self.processors[who]
            if process is None or not process.running:
                self.ends += process is not None
                self.processors[who] = self.world.processor(f"p{who}")

    # ---- steps ----

    def _do(self, step: Step) -> None:
        getattr(self, f"_{step.what}")(*step.args)

    def _kill(self, who: int) -> None:
        self.wanted.discard(who)
        if (process := self.processors[who]) and process.running:
            process.kill()

    def _start(self, who: int) -> None:
        self.wanted.add(who)

    def _terminate(self, who: int) -> None:
        self.wanted.discard(who)
        if (process := self.processors[who]) and process.running:
            process.signal(signal.SIGTERM)

    def _stop(self, who: int) -> None:
        if (process := self.processors[who]) and process.running:
            process.signal(signal.SIGSTOP)

    def _continue(self, who: int) -> None:
        if (process := self.processors[who]) and process.running:
            process.signal(signal.SIGCONT)

    def _redis_flush(self) -> None:
        with suppress(Exception):
            import redis

            client = redis.Redis(port=self.servers.stack.known()["valkey"].port, socket_timeout=2)
            client.flushall()
            client.close()

    def _redis_kill(self) -> None:
        self.servers.kill("valkey")

    def _redis_start(self, how: str) -> None:
        if how == "empty" and not server_runs(self.servers.stack, "valkey"):
            shutil.rmtree(self.servers.folder / "valkey" / "appendonlydir")
        self.servers.start("valkey")

    def _kafka_kill(self) -> None:
        self.servers.kill("kafka")

    def _kafka_start(self) -> None:
        self.servers.start("kafka")

    def _kafka_stop(self) -> None:
        self.servers.signal("kafka", signal.SIGSTOP)

    def _kafka_continue(self) -> None:
        self.servers.signal("kafka", signal.SIGCONT)

    def _cut(self, where: str) -> None:
        self.servers.proxies[where].cut()

    def _hold(self, where: str) -> None:
        self.servers.proxies[where].hold()

    def _release(self, where: str) -> None:
        self.servers.proxies[where].release()

    def _ses_throttles(self, share: float) -> None:
        self.world.sandbox.fault("throttle", probability=share, seed=self.plan.seed)

    def _ses_recovers(self) -> None:
        self.world.sandbox.clear_faults()

    def _ses_lost_answers(self, kind: str, count: int) -> None:
        self.world.sandbox.fault(kind, probability=0.5, seed=self.plan.seed, count=count)

    def _quota_used_up(self) -> None:
        self.world.sandbox.set(max_24_hour_send=self.world.sandbox.accepted_count())

    def _quota_freed(self) -> None:
        self.world.sandbox.set(max_24_hour_send=-1)

    def _producer_kill(self) -> None:
        if self.producer and self.producer.running:
            self.producer.kill()

    def _producer_start(self) -> None:
        if self.producer is None or not self.producer.running:
            self._start_producer()

    def _start_producer(self) -> None:
        source = ("--month", MONTH, "--source", str(self.users), "--max-rate", "800", "--json")
        self.producer = self.world.start("produce", *source)

    def _replay(self) -> None:
        group = f"{self.world.settings.group_id}-replay-{len(self.replays)}"
        self.replays.append(self.world.processor(f"replay{len(self.replays)}", drain=True, MAILONCE_GROUP_ID=group))

    def _evidence_kill(self) -> None:
        if self.evidence and self.evidence.running:
            self.evidence.kill()

    def _evidence_start(self) -> None:
        if self.evidence is None or not self.evidence.running:
            self._start_evidence()

    def _start_evidence(self) -> None:
        self.evidence = self.world.start("evidence")

    # ---- the end ----

    def _end(self) -> Result:
        """Faults end; everything is settled; evidence drains; the policy decides the rest; the audit."""
        world, result = self.world, Result(self.plan.seed, self.plan.processors, len(self.plan.steps), 0)
        self.servers.mend()
        world.sandbox.clear_faults()
        world.sandbox.set(max_24_hour_send=-1, latency_ms=5)
        for process in (*self.processors.values(), *self.replays):
            if process and process.running:
                process.signal(signal.SIGCONT)
        self._until_produced(result)
        self._settle(result)
        self._evidence_kill()
        published(world)
        self._gather()
        by_key = world.sandbox.by_key()
        outcomes = {key: entries[-1] for key, entries in world.deliveries().items()}
        result.uncertain_after_evidence = sum(
            delivery.outcome is Outcome.UNCERTAIN and key in by_key for key, delivery in outcomes.items()
        )
        if any(delivery.outcome is Outcome.UNCERTAIN for delivery in outcomes.values()):
            self._resend(result)
        self._audit(result)
        return result

    def _until_produced(self, result: Result) -> None:
        for _ in range(5):
            if self.producer is None or self.producer.wait(60) != 0:
                self._start_producer()
            else:
                return
        result.problems.append("the producer never ended well")

    def _settle(self, result: Result, name: str = "last") -> None:
        for attempt in range(4):
            process = self.world.processor(f"{name}{attempt}", drain=True)
            code = process.wait(90)
            if code == 0:
                break
        else:
            result.problems.append(f"the drain failed: {process.log.read_text()[-300:]}")
        for other in (*self.processors.values(), *self.replays):
            if other and other.running:
                other.signal(signal.SIGTERM)
        for other in (*self.processors.values(), *self.replays):
            with suppress(subprocess.TimeoutExpired):
                if other:
                    other.wait(WAIT_S)
        self.world.drain(f"{name}-of-all")

    def _gather(self, **env: str) -> dict[str, int]:
        counts: dict[str, int] = json.loads(
            self.world.run("evidence", "--drain", "--json", timeout_s=240, **env).stdout
        )
        return counts

    def _resend(self, result: Result) -> None:
        """The feed proves itself alive by a few later mails; then silence means that SES did not take the rest."""
        world = self.world
        latest = max(entry.at_ms for entries in world.deliveries().values() for entry in entries)
        wait_for(lambda: time.time() * 1000 > latest + WINDOW_S * 1000 + 500, "the evidence window")
        world.publish(job(f"canary{n}") for n in range(3))
        world.drain("canary")
        published(world)
        policy = {"MAILONCE_ON_UNCERTAIN": "resend-after-evidence-window"}
        result.resent = self._gather(**policy)["resent"]
        world.drain("resender")
        published(world)
        self._gather()

    def _audit(self, result: Result) -> None:
        audit = self.world.audit()
        result.jobs = len(audit.jobs)
        result.accepted = sum(audit.accepted.values())
        result.duplicates = sum(count - 1 for count in audit.accepted.values() if count > 1)
        result.lost = len(audit.jobs - set(audit.outcomes))
        result.uncertain = audit.count(Outcome.UNCERTAIN)
        for key, delivery in audit.outcomes.items():
            told = delivery.outcome is Outcome.SENT
            took = bool(audit.accepted[key])
            result.wrong += told != took and delivery.outcome is not Outcome.UNCERTAIN
        result.wrong += sum(key not in audit.outcomes for key in audit.accepted)
        result.doubts = len(self._ever_in_doubt())
        plan = self.plan
        everybody = plan.count("redis_flush", "redis_kill", "kafka_kill", "kafka_stop", "cut", "hold")
        single = plan.count("kill", "stop", "terminate") + self.ends
        senders = plan.processors + len(self.replays)
        result.doubts_max = CALLS_AT_ONCE * (single + everybody * senders) + plan.lost_answers
        if plan.count("redis_flush", "redis_kill"):
            # Redis and a processor both lost: Kafka alone knows its open intents, a batch of them.
            result.doubts_max += BATCH_MAX * single
        verified = json.loads(self.world.run("dedup", "verify", "--json", ok=(0, 1)).stdout)
        if not verified["safe"]:
            result.problems.append(f"the dedup set is not safe: {verified}")

    def _ever_in_doubt(self) -> set[bytes]:
        found = set()
        for record in read_topic(self.world.settings, self.world.settings.topics.deliveries):
            if record.key and record.value and decode_delivery(record.value).outcome is Outcome.UNCERTAIN:
                found.add(record.key)
        return found


def run_seed(servers: Servers, plan: Plan) -> Result:
    """Carries a plan out; the processes' logs stay when it went badly."""
    folder = Path(tempfile.mkdtemp(prefix=f"mailonce-chaos-{plan.seed}-"))
    try:
        result = Chaos(servers, plan, folder).run()
    except Exception as error:  # noqa: BLE001 - one seed's failure is a result; the others go on
        result = Result(plan.seed, plan.processors, len(plan.steps), plan.users)
        result.problems.append(f"{type(error).__name__}: {str(error)[:300]}")
    if result.good:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        (folder / "plan.txt").write_text("\n".join(map(str, plan.steps)))
        for log in servers.folder.rglob("kafka-server.log*"):
            shutil.copy(log, folder)
        result.problems.append(f"logs in {folder}")
        print(f"  logs of seed {plan.seed}: {folder}", file=sys.stderr)
    return result
