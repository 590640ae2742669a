"""Features of every kind of file are the same table; a file without one is one sentence."""

import numpy as np
import pandas as pd
import pytest
import torch

from glocal.errors import GlocalError
from glocal.features import files, store
from glocal.features.export import export

X = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
NAMES = ["a.png", "b.png", "c.png", "d.png"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("features")
    store.write(folder / "f", X, pd.DataFrame({"picture": NAMES, "class": list("xxyy")}), encoder="mine", digest="1")
    for suffix in (".h5", ".safetensors"):
        export(folder / "f", folder / f"g{suffix}")
    np.savez(folder / "one.npz", X, labels=np.arange(4))
    torch.save({"features": torch.tensor(X).half(), "other": torch.eye(2)}, folder / "t.pt")
    pd.DataFrame(X.astype(float)).assign(image=NAMES).to_csv(folder / "c.csv", index=False)
    np.savez(folder / "two.npz", a=X, b=X)
    np.savetxt(folder / "headless.csv", X, delimiter=";")
    pd.DataFrame(X).to_csv(folder / "numbered.csv", index=False)
    pd.DataFrame(X).astype(object).replace(X[1, 1], "1,5").to_csv(folder / "typo.csv", index=False)
    for name, header in {"list": "[1]", "cut": '{"encoder": "m', "number": '{"encoder": 3}'}.items():
        np.save(folder / f"{name}.npy", X)
        (folder / f"{name}.json").write_text(header)
    np.save(folder / "short.npy", X)
    (folder / "short.csv").write_text("picture\na.png\n")
    (folder / "bad.h5").write_bytes(b"nothing")
    torch.save(pd.DataFrame(X), folder / "pickle.pt")
    return folder


@pytest.mark.parametrize(
    "name", ["f.npy", "f", "g.h5", "g.safetensors", "one.npz", "t.pt", "c.csv", "headless.csv", "numbered.csv"]
)
def test_the_same_table(folder, name):
    x, names, header = files.read(folder / name)
    np.testing.assert_allclose(x, X, rtol=1e-3 if name == "t.pt" else 1e-7)
    assert names == (NAMES if name[0] in "fgc" else None)
    assert header.get("encoder") == ("mine" if name[0] in "fg" else None)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("two.npz", 'two.npz: .* 2 tables .* none is named "features"'),
        ("typo.csv", 'column 1, row 1: "1,5" is not a number'),
        ("list.npy", "its header list.json: is not a table of names and values"),
        ("cut.npy", "its header cut.json: "),
        ("number.npy", "with the encoder as text"),
        ("short.npy", "short.csv beside it names 1 rows, it has 4"),
        ("bad.h5", "bad.h5: cannot be read as features"),
        ("pickle.pt", "pickle.pt: cannot be read as features"),
        ("absent.npy", "absent.npy: no such file"),
        ("absent", "absent: no features; give a .npy"),
    ],
)
def test_faults(folder, name, words):
    with pytest.raises(GlocalError, match=words) as error:
        files.read(folder / name)
    assert "\n" not in str(error.value)
