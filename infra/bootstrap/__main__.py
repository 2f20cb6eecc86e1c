"""``python infra/bootstrap``: what `make setup` runs. Says in the first second when this Python cannot do.

This file alone is read by old Pythons, so it is written for all of them, from 2.7.
"""

import os
import sys

OLDEST = (3, 11)


def start():
    # type: () -> int
    """Hands over to `infra.bootstrap.run`, found from this file wherever the caller stands."""
    here = os.path.dirname(os.path.abspath(__file__))
    root = os.path.dirname(os.path.dirname(here))
    if sys.version_info < OLDEST:
        sys.stderr.write(
            "mailonce needs Python %d.%d to 3.14, and this is %d.%d.%d (%s). Where a newer one is installed, name it:\n"
            "    make setup PYTHON=python3.13\n" % (OLDEST + sys.version_info[:3] + (sys.executable,))
        )
        return 1
    sys.path[:] = [root] + [path for path in sys.path if os.path.abspath(path) != here]
    from infra.bootstrap.run import main

    return main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(start())
