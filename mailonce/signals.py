"""Signals as ends in order: what was begun is brought to an end by `finally` and its like, as Ctrl-C does.

Not to be imported before the present folder is off the path (see `origin`): a ``signal.py`` may lie there.
"""

import os
import signal
import sys

__all__ = ["end_in_order", "first_of_its_container"]


def end_in_order(*numbers: int) -> None:
    """These end the program with the shell's code for them; one that is ignored stays so (``nohup``)."""
    for number in numbers:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, lambda number, _: sys.exit(128 + number))


def first_of_its_container() -> None:
    """Lets SIGTERM end process 1, for which the kernel passes over a signal that has no handler.

    What runs long sets handlers of its own later; until then nothing is begun that a stop would have to end.
    """
    if os.getpid() == 1:
        end_in_order(signal.SIGTERM)
