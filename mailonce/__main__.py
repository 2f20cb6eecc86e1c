"""``python -m mailonce``."""

import sys

try:
    from mailonce import main
    from mailonce.origin import leave_folder
except ImportError:
    # A folder called so, without an __init__.py, is taken for the package: in a checkout's parent, say.
    sys.stderr.write(
        "mailonce: the folder `mailonce` in the present folder is taken for the package: go elsewhere, "
        "or call the `mailonce` beside this Python\n"
    )
    sys.exit(2)

leave_folder()
main()
