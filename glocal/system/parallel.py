"""Many small calls on several processes, in order."""

import os

from glocal.system.guard import end_with


def parallel(calls: list, jobs: int, threads: int = 1):
    """Yield the results of `calls` [(function, args, kwargs), ...] in order, from `jobs` processes of so many threads each.

    Fits this small gain little from threads, and are much slower where several jobs share the same cores.
    """
    from joblib import Parallel, delayed, parallel_config

    # As in `cli.py`, for calls from Jupyter: a thread that waits holds no core of another job. Processes that start read it.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    with parallel_config(backend="loky", inner_max_num_threads=threads, initializer=end_with, initargs=(os.getpid(),)):
        run = Parallel(n_jobs=jobs, return_as="generator")
        yield from run(delayed(_with_threads)(threads, *call) for call in calls)


def _with_threads(threads: int, function, args, kwargs):
    """The threads of torch and of NumPy's BLAS: one job is no process of its own, and would take those of this one."""
    import torch
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with threadpool_limits(threads, "blas"):
            return function(*args, **kwargs)
    finally:
        torch.set_num_threads(before)
