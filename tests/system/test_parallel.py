"""Calls on several processes."""

from glocal.system.parallel import parallel


def test_parallel_keeps_the_order_of_its_calls():
    calls = [(max, (i, 3), {}) for i in range(6)] + [(int, ("11",), {"base": 2})]
    assert list(parallel(calls, 2)) == [3, 3, 3, 3, 4, 5, 3]
