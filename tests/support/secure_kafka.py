"""A broker that asks who is there: SASL (SCRAM, OAUTHBEARER) over TLS on one listener, client certificates on another."""

from __future__ import annotations

from pathlib import Path

import trustme
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from infra.embedded.jars import java
from infra.embedded.kafka import KAFKA, Cluster, format_storage, kafka_answers
from infra.embedded.service import free_port, spawn, stop, wait_until

USER, PASSWORD = "mailonce", "correct horse"
_OAUTH = (
    "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub=broker;"
)
_SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule required;"


class SecureKafka:
    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.ports = {name: free_port() for name in ("plain", "sasl", "mtls")}
        self.ca, self.client, self.stranger = (folder / name for name in ("ca.pem", "client.pem", "stranger.pem"))
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self.ca)
        server = folder / "server.pem"
        _write(server, authority.issue_cert("127.0.0.1", "localhost"))
        _write(self.client, authority.issue_cert("client@example.net"))
        _write(self.stranger, trustme.CA().issue_cert("stranger@example.net"))
        properties = folder / "server.properties"
        plain = Cluster.of(folder, 1).properties(1, self.ports["plain"], self.ports["plain"], folder / "data")
        properties.write_text(_secured(plain, self.ports, server, self.ca))
        command = java(KAFKA.fetch(print))
        scram = f"SCRAM-SHA-512=[name={USER},password={PASSWORD}]"
        format_storage(command, properties, Cluster.of(folder, 1).cluster_id, "--add-scram", scram)
        port = self.ports["plain"]
        self._running = spawn("kafka", [*command, "kafka.Kafka", str(properties)], port, folder, tied=True)
        wait_until(self._running, kafka_answers(port), folder)

    def env(self, listener: str, **options: str) -> dict[str, str]:
        """Settings for a client of a listener; options by librdkafka's names with underscores."""
        given = {"ssl_ca_location": str(self.ca)} | options
        return {
            "MAILONCE_KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{self.ports[listener]}",
            **{f"MAILONCE_KAFKA_{name.upper()}": value for name, value in given.items()},
        }

    def close(self) -> None:
        stop(self._running)


def _write(place: Path, certificate: trustme.LeafCert) -> None:
    """Key and chain in one file; the key in PKCS #8, which Java wants."""
    key = load_pem_private_key(certificate.private_key_pem.bytes(), None)
    raw = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    place.write_bytes(raw + b"".join(blob.bytes() for blob in certificate.cert_chain_pems))


def _secured(plain: str, ports: dict[str, int], server: Path, authority: Path) -> str:
    changed = []
    for line in plain.splitlines():
        name, _, value = line.partition("=")
        if name == "listeners" or name == "advertised.listeners":
            value += f",SASL://127.0.0.1:{ports['sasl']},MTLS://127.0.0.1:{ports['mtls']}"
        elif name == "listener.security.protocol.map":
            value += ",SASL:SASL_SSL,MTLS:SSL"
        changed.append(f"{name}={value}" if value else line)
    return "\n".join(
        [
            *changed,
            "sasl.enabled.mechanisms=SCRAM-SHA-512,OAUTHBEARER",
            f"listener.name.sasl.scram-sha-512.sasl.jaas.config={_SCRAM}",
            f"listener.name.sasl.oauthbearer.sasl.jaas.config={_OAUTH}",
            "listener.name.mtls.ssl.client.auth=required",
            "ssl.keystore.type=PEM",
            f"ssl.keystore.location={server}",
            "ssl.truststore.type=PEM",
            f"ssl.truststore.location={authority}",
            "",
        ]
    )
