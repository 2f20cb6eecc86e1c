"""Signals as ends in order: what was begun is brought to an end by `finally` and its like, as Ctrl-C does.

Not to be imported before the present folder is off the path (see `origin`): a ``signal.py`` may lie there.
"""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["end_in_order", "first_of_its_container", "nothing_begun"]


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


@contextmanager
def nothing_begun() -> Iterator[None]:
    """Meanwhile Ctrl-C ends the program at once and silently: there is nothing to bring to an end.

    An exception, Python's own way, may be lost while modules are loaded: the import system calls some of its functions
    where nothing can be raised, and modules catch what they do not know.
    """
    usual = signal.getsignal(signal.SIGINT)
    # Another handler is the caller's, as is an ignored signal; and only the main thread may set one.
    if usual is not signal.default_int_handler or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, lambda *_: os._exit(128 + signal.SIGINT))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)
