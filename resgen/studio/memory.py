"""Memory that is free, given back to the machine."""

import ctypes
import sys


def give_back() -> None:
    """Let glibc's allocator give back the pages that are free between what is used; threads that draw leave many. Elsewhere nothing is done."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)
