"""How a script ends, and what it started with it."""

import ctypes
import signal


def die_with_parent():
    """In the child: SIGTERM when the parent dies, so that even SIGKILL of the script leaves no server (prctl(2))."""
    PR_SET_PDEATHSIG = 1  # linux/prctl.h
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def raise_on_signals():
    """SIGTERM and SIGHUP unwind the stack as SIGINT does, so that every `with` cleans up. The first one only."""

    def unwind(number, _):
        for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(each, signal.SIG_IGN)
        raise SystemExit(128 + number)

    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, unwind)
