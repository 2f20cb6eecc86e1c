"""Other people's stand-ins for SES: the npm package aws-ses-v2-local, and moto's server. A test skips without them."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from infra.embedded.service import free_port
from tests.support.world import WAIT_S, wait_for

__all__ = ["aws_ses_v2_local", "look", "moto"]

PACKAGE = "aws-ses-v2-local@2.10.2"
# Theirs answers GetAccount with what it is given, in full.
ACCOUNT = {
    "DedicatedIpAutoWarmupEnabled": False,
    "Details": {
        "AdditionalContactEmailAddresses": [],
        "ContactLanguage": "EN",
        "MailType": "TRANSACTIONAL",
        "ReviewDetails": {"CaseId": "1", "Status": "GRANTED"},
        "UseCaseDescription": "x",
        "WebsiteURL": "https://example.com",
    },
    "EnforcementStatus": "HEALTHY",
    "ProductionAccessEnabled": True,
    "SendingEnabled": True,
    "SendQuota": {"Max24HourSend": 5, "MaxSendRate": 1, "SentLast24Hours": 0},
    "SuppressionAttributes": {"SuppressedReasons": ["BOUNCE"]},
}


@contextmanager
def aws_ses_v2_local(folder: Path) -> Iterator[str]:
    """Installed into the folder, and running; its URL."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        pytest.skip("node and npm are not on this machine")
    install = [npm, "install", "--no-fund", "--no-audit", "--prefix", str(folder), PACKAGE]
    done = subprocess.run(install, capture_output=True, text=True, timeout=WAIT_S, check=False)
    if done.returncode:
        pytest.skip(f"{PACKAGE} could not be installed: {done.stderr[-200:]}")
    port = free_port()
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [str(folder / "node_modules/.bin/aws-ses-v2-local"), "--port", str(port), "--host", "127.0.0.1"],
            stdout=log,
            stderr=log,
            env={"PATH": str(Path(node).parent) + ":/usr/bin:/bin", "AWS_SES_ACCOUNT": json.dumps(ACCOUNT)},
        )
    url = f"http://localhost:{port}"

    def ready() -> bool:
        try:
            return bool(urllib.request.urlopen(f"{url}/health-check", timeout=60).status == 200)
        except (urllib.error.URLError, OSError):
            return False

    try:
        wait_for(ready, "aws-ses-v2-local")
        yield url
    finally:
        server.terminate()
        server.wait(WAIT_S)


@contextmanager
def moto() -> Iterator[str]:
    """Its server on a thread of this process; its URL."""
    server_module = pytest.importorskip("moto.server", reason="moto is not installed")
    # It writes a traceback for each call that it lacks.
    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def look(url: str, path: str) -> Any:
    """What a stand-in tells of itself as JSON."""
    with urllib.request.urlopen(f"{url}/{path}", timeout=60) as answer:
        return json.loads(answer.read())
