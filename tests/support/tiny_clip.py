"""A tiny CLIP of random weights in a folder, as open_clip saves one to disk: no network is needed."""

import json

import torch

VISION = {"image_size": 32, "layers": 2, "width": 32, "patch_size": 8, "head_width": 16}
TEXT = {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}


def save(folder, seed=0, change=lambda weights: None) -> dict:
    """The spec of the encoder. change(weights): alters some of them."""
    import open_clip

    folder.mkdir(exist_ok=True)
    torch.manual_seed(seed)
    weights = open_clip.CLIP(8, open_clip.CLIPVisionCfg(**VISION), open_clip.CLIPTextCfg(**TEXT)).state_dict()
    weights = {k: 10 * w if k.startswith("token_embedding") else w for k, w in weights.items()}  # so that names differ clearly
    change(weights)
    torch.save(weights, folder / "open_clip_pytorch_model.bin")
    shape = {"model_cfg": {"embed_dim": 8, "vision_cfg": VISION, "text_cfg": TEXT}}
    (folder / "open_clip_config.json").write_text(json.dumps(shape | {"preprocess_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3}}))
    return {"source": "open_clip", "model": f"local-dir:{folder}"}
