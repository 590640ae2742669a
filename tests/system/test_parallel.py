"""Calls on several processes."""

import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from glocal.system.parallel import parallel


def test_parallel_keeps_the_order_of_its_calls():
    calls = [(max, (i, 3), {}) for i in range(6)] + [(int, ("11",), {"base": 2})]
    assert list(parallel(calls, 2)) == [3, 3, 3, 3, 4, 5, 3]


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_call_has_its_threads_on_any_number_of_cores(jobs):
    """The last bits of a product depend on how many share it: a step on one core must not give others."""

    def threads():  # of torch and of NumPy's BLAS
        blas = [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]
        return torch.get_num_threads(), max(blas)

    with threadpool_limits(1, "blas"):
        before = threads()
        assert list(parallel([(threads, (), {})] * 2, jobs, threads=2)) == [(2, 2)] * 2
        assert threads() == before
