"""Running a notebook as a step of the pipeline, through papermill's Python API.

The executed copy is written while it runs, so a failed step leaves the half-run notebook as its error report. Parameters
that the notebook does not declare are an error (papermill alone would only warn).
"""

import os
import sys

from jupyter_client.manager import AsyncKernelManager

from glocal.errors import GlocalError, did_you_mean
from glocal.system.cards import choose_card
from glocal.system.guard import Guard
from glocal.system.modules import quick_jsonschema
from glocal.system.paths import resolve, root


class GuardedKernelManager(AsyncKernelManager):
    """Connects to the kernel through sockets in a separate folder, so that notebooks that run at the same time never share one.

    TCP ports clash between jobs, and so do Jupyter's relative socket names. The folder, the kernel and its workers end with
    this process, see `guard.py`.
    """

    def __init__(self, **options):
        super().__init__(**options)
        self.guard, self.transport = Guard(), "ipc"
        self.connection_file = str(self.guard.folder / "kernel.json")  # the sockets are in the same folder

    async def _async_post_start_kernel(self, **options):
        self.guard.watch(self.provisioner.pid)  # type: ignore[union-attr]  # jupyter_client starts each kernel in a separate session
        await super()._async_post_start_kernel(**options)

    async def _async_cleanup_resources(self, restart=False):
        await super()._async_cleanup_resources(restart)
        if not restart:
            self.guard.end()

    post_start_kernel, cleanup_resources = _async_post_start_kernel, _async_cleanup_resources


def run(notebook: str, executed: str, parameters: dict, threads: int = 0, gpus: int = 0) -> None:
    """Execute `notebook` with `parameters`, writing to `executed`. Raises GlocalError with one sentence if a cell fails."""
    with quick_jsonschema():
        import papermill
        from papermill.exceptions import PapermillExecutionError

    source, target = resolve(notebook), resolve(executed)
    if not source.exists():
        raise GlocalError(f"{notebook}: no such notebook; they are in {root() / 'notebooks'}.")
    known = papermill.inspect_notebook(str(source))
    for name in set(parameters) - set(known):
        raise GlocalError(f'{notebook}: has no parameter "{name}".{did_you_mean(name, known)}')
    target.parent.mkdir(parents=True, exist_ok=True)
    _limit_threads(threads)
    choose_card(alone=gpus > 0)
    if not sys.stderr.isatty():  # a progress bar in a log file: a line every half minute, not every tenth of a second
        os.environ.setdefault("TQDM_MININTERVAL", "30")
    try:
        papermill.execute_notebook(
            str(source), str(target), parameters, kernel_name="python3", cwd=str(root()), progress_bar=False,
            stderr_file=sys.stderr, kernel_manager_class=f"{__name__}.GuardedKernelManager",
            shutdown_kernel="immediate",  # all is written, to end by itself takes a kernel seconds, and the guard cleans up
        )  # fmt: skip
    except PapermillExecutionError as error:
        what = error.evalue if error.ename == "GlocalError" else f"{error.ename}: {error.evalue}"
        raise GlocalError(f"{notebook}: {what} (cell {error.exec_count}; the half-run notebook is {executed})") from None


def _limit_threads(threads: int) -> None:
    """The kernel inherits these: jobs that share the cores must not use all of them each, or more than there are.

    With `--cores 8` on two cores a step is granted four threads, and needs ten times as long as with two.
    """
    if threads:
        threads = min(threads, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            os.environ[name] = str(threads)
