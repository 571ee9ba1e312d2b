"""Memory of the studio."""

import ctypes
import sys

import psutil
import pytest

from resgen.studio.memory import give_back

MEGABYTES = 200


@pytest.mark.skipif(sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="another allocator")
def test_what_is_free_between_what_is_used_is_given_back() -> None:
    resident = psutil.Process().memory_info
    pieces = [bytearray(5000) for _ in range(MEGABYTES * 200)]
    used = pieces[::100]
    del pieces
    before = resident().rss
    give_back()
    assert before - resident().rss > MEGABYTES / 2 * 1e6
    assert all(len(piece) == 5000 for piece in used)
