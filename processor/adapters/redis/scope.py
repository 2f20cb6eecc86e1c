"""For whom a script works."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["NOBODYS_SET", "NO_ID", "Under"]

NO_ID = "-"
"""Written for an id that there is none of: the arguments of a script stand between blanks."""


class Under(NamedTuple):
    """For whom a script works: nothing is granted by a set of another installation, lineage or time."""

    installation: str = ""
    lineage: str = ""
    granted: int = 0
    """the highest number of grants that is known of the lineage"""

    def at_least(self, seen: Under) -> Under:
        """The same, with the grants that `seen` tells of, where that is of this lineage."""
        own = seen.granted if seen.lineage == self.lineage else 0
        return self._replace(granted=max(self.granted, own))

    def to_argument(self) -> str:
        return f"{self.installation or NO_ID} {self.lineage or NO_ID} {self.granted}"


NOBODYS_SET = Under()
"""Of tests alone: there is no control topic."""
