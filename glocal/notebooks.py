"""Running a notebook as a step of the pipeline, through papermill's Python API.

The executed copy is written while it runs, so a failed step leaves the half-run notebook as its error report. Parameters
that the notebook does not declare are an error (papermill alone would only warn).
"""

import os
import sys

from jupyter_client.manager import AsyncKernelManager
from traitlets import default

from glocal.config import GlocalError, did_you_mean, resolve, root


class IPCKernelManager(AsyncKernelManager):
    """Talks to the kernel through files instead of TCP ports, so that jobs side by side never clash over a port."""

    @default("transport")
    def _transport(self):
        return "ipc" if sys.platform != "win32" else "tcp"


def run(notebook: str, executed: str, parameters: dict, threads: int = 0) -> None:
    """Execute `notebook` with `parameters`, writing to `executed`. Raises GlocalError with one sentence if a cell fails."""
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
    try:
        papermill.execute_notebook(
            str(source), str(target), parameters, kernel_name="python3", cwd=str(root()), progress_bar=False,
            stderr_file=sys.stderr, kernel_manager_class=f"{__name__}.IPCKernelManager",
        )  # fmt: skip
    except PapermillExecutionError as error:
        what = error.evalue if error.ename == "GlocalError" else f"{error.ename}: {error.evalue}"
        raise GlocalError(f"{notebook}: {what} (cell {error.exec_count}; the half-run notebook is {executed})") from None


def _limit_threads(threads: int) -> None:
    """The kernel inherits these: jobs that share the cores must not each take all of them."""
    if threads:
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            os.environ[name] = str(threads)
