"""Which figures a profile has, by name: what `draw` draws, and what Snakemake declares. Imports nothing that is slow to load."""

from glocal.evaluation.frames import MOVED_MODES

FIRST_LOOK = ["features"]  # drawn right after the extraction
ALIGNMENT = ["alignment", "training", "human"]
# Those of each further section of a config, for encoders that go through the downstream steps.
SECTIONS = {
    "few_shot": ["few_shot", "few_shot_curves", "few_shot_classes"],
    "anomaly": ["anomaly"],
    "structure": ["structure", "similarity", "distances"],
    "trade_off": ["trade_off"],
    "judgments": ["data_efficiency", "controls"],
}

# The tables and the figure of what the config's `human` asks for, beside human_similarity.
HUMAN_TABLES = {"uncertainty": ["human_calibration"], "groups": ["human_groups", "human_dimensions"], "words": ["text_retrieval"]}
HUMAN_FIGURES = {"uncertainty": "human_calibration", "groups": "human_groups"}


def human_tables(config: dict) -> list[str]:
    """The tables of the human step that only some profiles have, one for each encoder."""
    asked = config.get("human", {})
    tables = ["human_similarity"] if "human" in config else []
    return [*tables, *(table for key, names in HUMAN_TABLES.items() if asked.get(key) for table in names)]


def of_encoder(config: dict, encoder: str) -> list[str]:
    """The names of an encoder's figures but those of the first look; the file is <name>-<encoder>.png."""
    people = ["human_similarity"] if "human" in config else []
    people += [figure for key, figure in HUMAN_FIGURES.items() if config.get("human", {}).get(key)]
    choices = [values for settings in config["alignment"]["grid"].values() for values in settings.values()]
    people = [*(["grid"] if any(len(values) > 1 for values in choices) else []), *people]
    if not is_downstream(config, encoder):
        return [*ALIGNMENT, *people]
    sets = config.get("anomaly", {}).get("sets", {}).values()
    classes = ["anomaly_classes"] if any(set(spec["modes"]) - {"set"} for spec in sets) else []
    moved = ["anomaly_moved"] if any(spec["modes"][0] in MOVED_MODES for spec in list(sets)[:1]) else []
    sections = [name for section, names in SECTIONS.items() if section in config for name in names]
    return [*ALIGNMENT, *people, *sections, *classes, *moved]


def is_downstream(config: dict, encoder: str) -> bool:
    """An encoder with sets of other images goes through the downstream steps; in the demo the objects themselves serve."""
    steps = any(section in config for section in SECTIONS)
    return steps and (bool(config["encoders"][encoder].get("downstream")) or config["downstream"] == "folds")


def of_profile(config: dict) -> list[str]:
    """The names of the figures of a whole profile but those of the first look; the file is <name>.png."""
    names = ["overview"] if {"few_shot", "anomaly", "structure"} <= set(config) else []
    names += ["teaser"] if config["source"] == "demo" else []
    return [*names, *(["published_spectra"] if config.get("published_transforms") else [])]


def first_look(config: dict, encoder: str) -> list[str]:
    """The names of the figures that need nothing but features: of an encoder, and of the first one the demo's images."""
    first = encoder == next(iter(config["encoders"]))
    return [*FIRST_LOOK, *(["pictures"] if config["source"] == "demo" and first else [])]
