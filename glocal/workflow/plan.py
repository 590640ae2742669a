"""The inventory of a config: which image sets and weights are available, which the run downloads, and which it cannot.

    print(show(load_config("config/paper.yaml")))        # `snakemake -n` prints it too

No connection is opened: sizes are in data/registry.csv, data/image_sets.csv and the config.
"""

from pathlib import Path

from glocal.datasets import repositories
from glocal.datasets.registry import embeddings, image_registry, on_disk, registry
from glocal.datasets.samples import repositories_of
from glocal.features.class_names import image_sources
from glocal.system import files, modules
from glocal.system.paths import located

JUDGMENTS = ("triplets-", "noise-ceiling", "sortindex", "things-c", "breeds-")  # registry names of the public judgments


def needs(config: dict):
    """DataFrame with a row for each item that the config reads: what, images, gb, get, where, source.

    get: "at hand", "download" (by the run itself) or "by hand" (put it `where`; `source` says who gives it out).
    """
    import pandas as pd

    rows = [*_public(config), *_images(config), *_weights(config)]
    return pd.DataFrame(rows, columns=["what", "images", "gb", "get", "where", "source"]).astype({"images": "Int64"})


def show(config: dict) -> str:
    """The table as text, the sum of what is downloaded, and a line for each item that must be fetched by hand."""
    table = needs(config)
    text = table[["what", "images", "gb", "get"]].to_string(index=False, na_rep="", float_format=lambda v: f"{v:.2f}")
    once = table.drop_duplicates("where")  # training and test part of a set are often one file
    by_hand = once[once["get"] == "by hand"]
    lines = [text, f"To be downloaded by the run: {once.loc[once['get'] == 'download', 'gb'].sum():.1f} GB."]
    for r in by_hand.itertuples():
        lines.append(f"Fetch by hand: {r.what}{f' ({r.gb:.1f} GB)' if r.gb == r.gb else ''} from {r.source}: {r.where}.")
    return "\n".join(lines)


def _public(config: dict):
    """The judgments, and the published features: files of data/registry.csv."""
    for what, rows in _registered(config).items():
        missing = [row for row in rows if not on_disk(row["file"])]
        if rows:
            gb = sum(int(row["bytes"]) for row in missing or rows) / 1e9
            yield what, None, gb, "download" if missing else "at hand", f"data ({what})", "data/registry.csv"


def _registered(config: dict) -> dict[str, list[dict]]:
    """The rows of data/registry.csv that a config reads, by what they are."""
    if config["source"] != "public":
        return {}
    named = set(config.get("references", []))
    for encoder in config["encoders"].values():
        named |= {encoder["objects"]} if encoder["objects"] in embeddings() else set()
        named |= {f"{part['cache']}-" for part in encoder.get("sets", {}).values() if "cache" in part}
    groups: dict[str, tuple[str, ...]] = {"human similarities (other people)": ("human-",) if config.get("human") else ()}
    groups |= {"human judgments (THINGS)": JUDGMENTS, "features made by others": tuple(sorted(named))}
    return {what: [row for name, row in registry().items() if name.startswith(starts)] for what, starts in groups.items()}


def sources(config: dict) -> list[dict]:
    """What a config reads that others made, a row for each origin: names (with addresses), licence, citation."""
    rows = [(row["url"], row) for rows in _registered(config).values() for row in rows]
    for name in _sets_used(config):
        spec = config.get("images", {}).get(name) or image_registry()[name]
        known = [repositories.entry(r) for r in repositories_of(spec)]
        listed = [] if known or "licence" not in spec else [(spec["source"], spec)]  # nobody else's: images of one's own
        rows += [*((row["url"], row) for row in known), *listed]
    result: dict[tuple, dict] = {}
    for url, row in rows:
        about = dict(licence=row["licence"], citation=row["citation"])
        result.setdefault(tuple(about.values()), dict(names={}, **about))["names"][row["name"]] = url
    return list(result.values())


def _images(config: dict):
    """The image sets that models are run on."""
    known = image_registry()
    for name in _sets_used(config):
        own = config.get("images", {}).get(name)
        row = known.get(name, {}) if own is None else {}
        spec = own or row
        folder = spec.get("folder") or spec.get("file", "")
        there = located(folder).exists() and (located(folder).is_file() or any(located(folder).glob("[!.]*")))
        images, gb = (int(row["images"]), float(row["gb"])) if row else (None, None)
        public = repositories_of(spec)
        by_library = "download" if public or spec["kind"] in ("torchvision", "huggingface") else "by hand"
        at_hand = (there and folder) or (public and all(map(repositories.on_disk, public)))
        get = "at hand" if at_hand else row.get("get", by_library)
        yield name, images, gb, get, row.get("put") or folder, row.get("source", "its owner")


def _sets_used(config: dict) -> list[str]:
    return list(dict.fromkeys(name for encoder in config["encoders"].values() for name in image_sources(encoder).values()))


def _weights(config: dict):
    """The weights of the networks; those of open_clip, timm and torchvision come into the library's own cache."""
    for name, encoder in config["encoders"].items():
        spec = encoder.get("model", {})
        if spec.get("source") in ("open_clip", "timm", "torchvision") and spec.get("weights") != "random":
            file = spec.get("weights", "") if "/" in spec.get("weights", "") else ""
            get = "at hand" if file and located(file).is_file() else "download"
            yield f"weights of {name}", None, encoder.get("gb"), get, f"the cache of {spec['source']} ({name})", spec["source"]


def clean(folder) -> dict[Path, Path]:
    """Tidy the results of a profile (`files.clean`) so that what is damaged is made again: {path: where it is set aside}.

    Of features that are damaged or gone the summary of their step is deleted, so that it runs again for sets that no rule names.
    """
    aside, gone = files.clean(folder)
    for path in (*aside, *gone):
        encoder = path.parent.relative_to(folder).parts[1:] if path.parent.parent.name == "features" else ()
        for name in encoder:
            (Path(folder) / "tables" / name / "features.csv").unlink(missing_ok=True)
    return aside


def named_files(encoder: dict, images: dict) -> list[str]:
    """Files of an encoder's entry: weights, its own modules, lists and labels of its image sets. A change reruns the extraction.

    Folders of images are not checked here; `snakemake --forcerun extract_<encoder>` checks the files (`loaders.READ_WHOLE`).
    """
    model = encoder.get("model", {})
    module = model.get("source", "").partition(":")[0]
    own = modules.below(module, located(module.replace(".", "/") + ".py").parents[module.count(".")]).values()
    values = [model.get("weights"), *model.get("options", {}).values(), *own]
    values += [v for name in image_sources(encoder).values() if name in images for v in images[name].values()]
    return sorted({v for v in values if isinstance(v, str) and located(v).is_file()})
