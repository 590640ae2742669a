"""Feature sets for other tools: one HDF5 or safetensors file with the matrix, the rows and the header.

HDF5: dataset `features` (n, p), group `rows` with one dataset per column, the header as JSON in the attribute `header`.
safetensors: tensor `features`, rows (csv) and header (JSON) as metadata.
"""

import json
from pathlib import Path

import numpy as np

from glocal.errors import GlocalError
from glocal.features import store
from glocal.system.files import replacing


def export(stem, out) -> Path:
    """Write the features of `stem` to `out` (.h5, .hdf5 or .safetensors), in one step. Raises GlocalError for another suffix."""
    out, features = Path(out), store.read(stem)
    if out.suffix not in WRITERS:
        raise GlocalError(f"{out}: features are exported as {', '.join(WRITERS)}; change the suffix.")
    with replacing(out) as draft:
        WRITERS[out.suffix](draft, features)
    return out


def _hdf5(path: Path, features: store.Features) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        file["features"] = features.x  # from the memory map, block by block
        file.attrs["header"] = json.dumps(features.header)
        for name, column in features.rows.items():
            values = column.to_numpy()
            file[f"rows/{name}"] = values.astype(object) if values.dtype.kind in "OUT" else values


def _safetensors(path: Path, features: store.Features) -> None:
    from safetensors.numpy import save_file

    metadata = {"header": json.dumps(features.header), "rows": store.csv_text(features.rows)}
    save_file({"features": np.ascontiguousarray(features.x)}, path, metadata=metadata)


WRITERS = {".h5": _hdf5, ".hdf5": _hdf5, ".safetensors": _safetensors}
