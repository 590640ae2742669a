"""Compile every kernel for a GPU that need not be present, and print its resource usage as JSON lines.

python compile_kernels.py 90        sm_90; a line each kernel, precision, and with or without aligned sizes
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from glocal.training import cuda

TOOL = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
TYPES = {"fp32": "*fp32", "tf32": "*fp32", "bf16": "*bf16"}


def signatures(precision):
    """(kernel, {argument: type}, constants, warps)"""
    u, tiles = TYPES[precision], dict(PRECISION=cuda.INPUT[precision], TILE=cuda.TILE, DEPTH=cuda.DEPTH)
    sizes = dict(q="i32", p="i32", scale="fp32")
    yield cuda._row_sums, dict(u=u, total="*fp32", tiles="*i32", **sizes), tiles, cuda.WARPS
    vectors = dict(u=u, y=u, rate="*fp32", rate_y="*fp32", g=u, cross="*fp32", start="i32", stop="i32")
    yield cuda._panel, vectors | sizes, tiles, cuda.WARPS
    if precision == "fp32":
        yield cuda._triplets, dict(gram="*fp32", pairs="*i64", gradient="*fp32", loss="*fp32", m="i32"), dict(BLOCK=1024), 4


def compiled(kernel, types, constants, warps, architecture, aligned):
    names = [n for n, kind in types.items() if aligned and kind != "fp32"]
    attributes = {(kernel.arg_names.index(n),): [["tt.divisibility", 16]] for n in names}
    types = types | dict.fromkeys(constants, "constexpr")
    source = ASTSource(fn=kernel, signature=types, constexprs=constants, attrs=attributes)
    return triton.compile(source, target=GPUTarget("cuda", architecture, 32), options={"num_warps": warps})


def usage(cubin: bytes) -> dict:
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        text = subprocess.run([TOOL, "-res-usage", file.name], capture_output=True, text=True, check=True).stdout
    return {name.lower(): int(value) for name, value in re.findall(r"(REG|STACK|LOCAL):(\d+)", text)}


if __name__ == "__main__":
    for precision in TYPES:
        for kernel, *arguments in signatures(precision):
            for aligned in (True, False):
                made = compiled(kernel, *arguments, int(sys.argv[1]), aligned)
                ptx, about = made.asm["ptx"], dict(kernel=kernel.__name__, precision=precision, aligned=aligned)
                counts = {"shared": made.metadata.shared, "wgmma": ptx.count("wgmma.mma"), "mma": ptx.count("mma.sync")}
                print(json.dumps(about | usage(made.asm["cubin"]) | counts))
