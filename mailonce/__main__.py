"""``python -m mailonce``."""

from mailonce import main

main()
