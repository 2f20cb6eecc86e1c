"""``python -m infra.demo``."""

import sys

from mailonce.origin import leave_folder

if __name__ == "__main__":
    leave_folder()
    from infra.demo.story import main

    sys.exit(main())
