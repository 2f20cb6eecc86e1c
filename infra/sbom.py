"""``python -m infra.sbom FILE``: what the image holds and who needs what of it, as CycloneDX.

cyclonedx-py lists a lock's packages; who needs whom stands in the lock's comments, which it does not read.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from infra.bootstrap.lock import needed_by

__all__ = ["listed", "main", "with_edges"]

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "requirements-runtime.lock"


def listed() -> dict[str, Any]:
    """The packages of the lock, checked against CycloneDX's schema. Raises `CalledProcessError`."""
    # It misses the edges, which come after.
    command = [sys.executable, "-W", "ignore::UserWarning:cyclonedx.model.bom", "-m", "cyclonedx_py", "requirements"]
    options = ["--pyproject", str(ROOT / "pyproject.toml"), "--output-reproducible", "--validate", "-o", "-"]
    done = subprocess.run([*command, str(LOCK), *options], stdout=subprocess.PIPE, check=True)
    bom: dict[str, Any] = json.loads(done.stdout)
    return bom


def with_edges(bom: dict[str, Any], lock: str) -> dict[str, Any]:
    """The same, with what each package and mailonce itself depend on, by the comments of `lock`.

    A package that is there in several versions, for several Pythons, is needed in each. Raises `KeyError` for one that
    the lock does not have.
    """
    root = bom["metadata"]["component"]
    references: dict[str, list[str]] = {}
    for component in (root, *bom["components"]):
        references.setdefault(component["name"], []).append(component["bom-ref"])
    needs: dict[str, set[str]] = {reference: set() for found in references.values() for reference in found}
    for name, users in needed_by(lock).items():
        for user in users:
            for reference in references[user]:
                needs[reference].update(references[name])
    edges = [{"ref": reference, "dependsOn": sorted(needed)} for reference, needed in sorted(needs.items())]
    return bom | {"dependencies": edges}


def main(target: Path) -> None:
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(with_edges(listed(), LOCK.read_text()), indent=2) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
