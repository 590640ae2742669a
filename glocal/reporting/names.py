"""How people write the names of data sets, encoders and observers, whose short forms stand in tables and configs."""

from glocal.reporting.encoders import NAMES as ENCODERS

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
