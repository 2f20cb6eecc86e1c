"""``python -m mailonce``."""

import os
import sys


def _start() -> None:
    import mailonce

    ours = os.path.dirname(os.path.realpath(__file__))
    if ours not in map(os.path.realpath, mailonce.__path__):
        # A folder called so is taken for the package: in a checkout's parent, say. Python finds this file all the same.
        sys.stderr.write(
            "mailonce: the folder `mailonce` in the present folder is taken for the package: go elsewhere, "
            "or call the `mailonce` beside this Python\n"
        )
        sys.exit(2)
    from mailonce import main
    from mailonce.origin import leave_folder

    leave_folder()
    main()


try:
    _start()
except KeyboardInterrupt:  # sooner than `main` can see it
    sys.exit(130)
finally:
    # Python remembers a Ctrl-C that met an `eval` (a type hint's, say), and after ``-m`` ends by the signal for it,
    # whoever caught the exception. The next `eval` makes it forget.
    eval("None")  # noqa: S307
