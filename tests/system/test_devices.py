"""One word, one device: auto, cpu, cuda, cuda:<number>, and what is said of others."""

import numpy as np
import pytest
import torch

from glocal.errors import GlocalError
from glocal.system.devices import device, place


@pytest.fixture(params=[0, 2])
def gpus(request, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: request.param > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: request.param)
    return request.param


def test_words(gpus):
    assert device("cpu") == device(torch.device("cpu")) == torch.device("cpu")
    assert device("auto") == device("auto", like=torch.zeros(2)) == torch.device("cuda" if gpus else "cpu")
    if gpus:
        assert device("cuda") == torch.device("cuda") and device("cuda:1") == torch.device("cuda:1")


@pytest.mark.parametrize("word", ["gpu", "", "cuda:x", "meta", "mps", None, 3.5])
def test_other_words_are_one_sentence(word):
    with pytest.raises(GlocalError, match=r'device: ".*" is not known; it must be auto, cpu, cuda') as error:
        device(word)
    assert "\n" not in str(error.value)


def test_a_gpu_that_is_not_there(gpus):
    with pytest.raises(GlocalError, match=f"PyTorch sees {gpus} GPUs; use auto or cpu"):
        device(f"cuda:{gpus}")


def test_features_go_where_the_search_is_to_run():
    x = np.ones((3, 2), np.float32)
    assert place(x, "cpu") is x and place(None, "meta") is None
    assert place(x, "meta").device.type == "meta" and place(x, "meta").shape == (3, 2)
