"""Many small calls on several processes, in order."""

from glocal.system.guard import end_with_parent


def parallel(calls: list, jobs: int):
    """Yield the results of `calls` [(function, args, kwargs), ...] in order, from `jobs` processes of one thread each.

    Fits this small do not gain from threads, and lose much where several jobs fight for the same cores.
    """
    from joblib import Parallel, delayed, parallel_config

    with parallel_config(backend="loky", inner_max_num_threads=1, initializer=end_with_parent):
        run = Parallel(n_jobs=jobs, return_as="generator")
        yield from run(delayed(function)(*args, **kwargs) for function, args, kwargs in calls)
