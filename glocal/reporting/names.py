"""How people write the names of data sets, encoders and observers, whose short forms stand in tables and configs."""

FAMILIES = {  # what networks were trained on: {encoder: its name}
    "images and text": {
        "clip-b32": "CLIP ViT-B/32", "clip-rn50": "CLIP RN50", "clip-vit-l14": "CLIP ViT-L/14",
        "openclip-vit-l14-laion400m": "OpenCLIP ViT-L/14, LAION-400M", "openclip-vit-l14-laion2b": "OpenCLIP ViT-L/14, LAION-2B",
        "blip": "BLIP", "cvcl": "CVCL",
    },
    "ImageNet labels": {
        "efficientnet-lite0": "EfficientNet-Lite0", "efficientnet-lite1": "EfficientNet-Lite1",
        "efficientnet-lite2": "EfficientNet-Lite2", "alexnet": "AlexNet", "vgg16": "VGG-16", "resnet18": "ResNet-18",
        "resnet50": "ResNet-50",
    },
    "images alone": {
        "dino-vit-b16": "DINO ViT-B/16", "dino-vit-b8": "DINO ViT-B/8", "dinov2-vit-b14": "DINOv2 ViT-B/14",
        "dinov2-vit-l14": "DINOv2 ViT-L/14",
    },
}  # fmt: skip
FAMILY = {encoder: family for family, members in FAMILIES.items() for encoder in members}
ENCODERS = {encoder: name for members in FAMILIES.values() for encoder, name in members.items()}
DATASETS = {
    "entity13": "Entity-13", "entity30": "Entity-30", "living17": "Living-17", "nonliving26": "Nonliving-26",
    "entity13-per-class": "Entity-13, by subclass", "dtd": "DTD", "flowers": "Oxford Flowers", "sun397": "SUN397",
    "caltech101": "Caltech-101", "cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "cifar100-coarse": "CIFAR-100, coarse",
    "imagenet30": "ImageNet-30", "imagenet": "ImageNet", "things-48": "THINGS-48", "mur-92": "Mur-92", "spose-66": "SPoSE-66",
    "spose-49": "SPoSE-49", "vice": "VICE", "coarse": "groups", "fine": "subgroups", "pictures": "OpenMoji",
}  # fmt: skip


def dataset(name: str) -> str:
    """The published name of a data set, of a part of it, or of two that stand against each other; others stay as they are."""
    first, versus, second = name.partition("-vs-")
    if versus:
        return f"{dataset(first)} vs {dataset(second)}"
    whole = name.removesuffix("-train").removesuffix("-val").removesuffix("-test")
    return DATASETS.get(name) or DATASETS.get(whole, name)


def encoder(name: str) -> str:
    """The published name of an encoder; others stay as they are."""
    return ENCODERS.get(name, name)


def judged(encoder_name: str, observer: str) -> str:
    """The title of a figure: the encoder, and who judged."""
    return f"{encoder(encoder_name)}, {'human judgments' if observer == 'human' else observer}"


def held_out(name: str) -> str:
    """ "held-out objects" of "held-out objects (object)"; any other name is that of a data set."""
    return name.split(" (")[0] if name.startswith("held-out") else dataset(name)
