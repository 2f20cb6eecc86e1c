"""Signals that wait while two steps must be one: a server's start, and the record of it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

__all__ = ["deferred"]

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def deferred() -> Iterator[None]:
    """What would end the program comes after the block, in its usual way; only in the main thread, where signals are.

    By handlers and not by the thread's mask, which a program that is started meanwhile would inherit.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    with ExitStack() as afterwards:
        afterwards.callback(_raise, came)
        for number in _ENDING:
            usual = signal.getsignal(number)
            if usual not in (signal.SIG_IGN, None):
                signal.signal(number, lambda number, _: came.append(number))
                afterwards.callback(signal.signal, number, usual)
        yield


def _raise(came: list[int]) -> None:
    for number in dict.fromkeys(came):
        signal.raise_signal(number)
