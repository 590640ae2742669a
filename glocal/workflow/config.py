"""Configs: read, and checked against the schema and against what is known here.

A config's path is relative to the current folder, else to the repository root (papermill, Jupyter, nbval and Snakemake each start
in another folder); the configs of the package, such as config/paper.yaml, are read from any folder.
"""

import os

from glocal.datasets.human_similarity import FOLDS, SETS
from glocal.errors import GlocalError, did_you_mean, is_number, reading, require
from glocal.system.modules import quick_jsonschema
from glocal.system.paths import located, shipped
from glocal.workflow import selection

BASELINES = ("centred", "whitened", "rotated", "global_centred", "glocal_centred", "spose_ridge")


def baselines(config: dict) -> list[str]:
    """The baselines of a config, less those that follow an objective which is not fitted: an override may leave it out."""
    without = [f"{o}_centred" for o in ("naive", "global", "glocal") if o not in config["alignment"]["objectives"]]
    return [name for name in config.get("baselines", []) if name not in without]


def load_config(path: str | os.PathLike) -> dict:
    """Read a YAML config and check it, see `check_config`.

    Raises GlocalError for a missing file, broken YAML, or the first field that does not fit.
    """
    import yaml

    file = located(path) if located(path).exists() else shipped(os.fspath(path))
    if not file.is_file():
        raise GlocalError(f"{path}: no such config file; the ones at hand are in {shipped('config/demo.yaml').parent}.")
    with reading(path, "YAML", "write it as UTF-8, with sections and values as in config/own.yaml"):
        config = yaml.safe_load(file.read_text(encoding="utf-8"))
        _require_plain(config)
    return check_config(config, str(path))


def _require_plain(config, most: int = 100_000) -> None:
    """Raises ValueError for names that are not text, huge numbers, and more than `most` values once aliases are followed."""
    values = [config]
    for value in values:  # grows
        if isinstance(value, dict):
            if other := [name for name in value if not isinstance(name, str)]:
                raise ValueError(f"the name {other[0]!r} is not text")
            values += value.values()
        elif isinstance(value, list):
            values += value
        elif isinstance(value, int | float) and not abs(value) < 2**63:
            raise ValueError(f"the number {value:.3g} is too large")
        if len(values) > most:
            raise ValueError("it has too many values, or aliases that contain themselves")


def check_config(config: dict, name: str = "config") -> dict:
    """`config` itself if it fits `config/schema.yaml` and names only what exists.

    Raises GlocalError that names the field, its value and the fix.
    """
    import yaml

    with quick_jsonschema():
        import jsonschema
    schema = yaml.safe_load(shipped("config/schema.yaml").read_text())
    errors = jsonschema.Draft202012Validator(schema).iter_errors(config)
    error = jsonschema.exceptions.best_match(errors)
    if error is not None:
        raise GlocalError(f"{name}: {_explain(error)}")
    for section in ["triplets"] if config["source"] == "own" else ["few_shot", "anomaly", "structure"]:
        if section not in config:
            raise GlocalError(f'{name}: a config with source {config["source"]} needs the field "{section}"; add it.')
    for field, value, known in _references(config):
        require(value, known, f'{name}: {field} is "{value}", which is not known here')
    _require_images_of_human_sets(config, name)
    for field, where in _conditions(config):
        selection.check(where, f"{name}: {field}")
    return config


def with_numbers(value):
    """A section or list given with Snakemake's --config, with its numbers and truth values, which Snakemake leaves as text."""
    import yaml

    if isinstance(value, dict):
        return {key: with_numbers(v) for key, v in value.items()}
    if isinstance(value, list):
        return [with_numbers(v) for v in value]
    try:
        number = yaml.safe_load(value) if isinstance(value, str) else value
    except (yaml.YAMLError, ValueError, RecursionError):
        return value
    return number if isinstance(number, int | float) else value


def human_folds(config: dict) -> list[str]:
    """Folds that keep the THINGS objects of a set of other people's judgments from the transforms that are judged on it."""
    return [FOLDS[name] for name in config.get("human", {}).get("sets", []) if name in FOLDS]


def _require_images_of_human_sets(config: dict, name: str) -> None:
    """Raises GlocalError for a set of other people's judgments whose images no encoder has features of."""
    known = {part for spec in config["encoders"].values() for part in spec.get("sets", {})}
    for human in config.get("human", {}).get("sets", []):
        if human not in FOLDS and human not in known:
            raise GlocalError(
                f"{name}: human.sets names {human}, but no encoder has its images; add {human}: {{images: {human}}} to the sets "
                "of an encoder with a model, or leave it out."
            )


def _conditions(part, field: str = ""):
    """(field, condition) of each `where` in a config, however deep."""
    for key, value in part.items():
        here = f"{field}.{key}" if field else str(key)
        if key == "where" and isinstance(value, str):
            yield here, value
        elif isinstance(value, dict):
            yield from _conditions(value, here)


def _references(config: dict):
    """(field, value, known values) for each name in the config that is defined elsewhere."""
    from glocal.datasets.registry import embeddings, image_registry

    demo, own = (config["source"] == name for name in ("demo", "own"))
    splits, objects = (["subgroup", "picture"], ["openmoji"]) if demo else (["object"], embeddings())
    images = image_registry() | config.get("images", {})
    things = [name for name, spec in images.items() if spec["kind"] in ("things", "things-sample")]
    yield from _each("alignment.splits", config["alignment"]["splits"], splits)
    steps = ["lr"] if config["alignment"]["fit"]["recipe"] != "converged" else []  # a converged solver has no step size
    settings = ["lam", "alpha", "tau", *steps]
    for objective, grid in config["alignment"]["grid"].items():
        yield from ((f"alignment.grid.{objective}", setting, settings) for setting in grid)
    yield from _each("references", config.get("references", []), embeddings())
    names, public = config.get("baselines", []), config["source"] == "public"
    yield from _each("baselines", names, [b for b in BASELINES if b != "spose_ridge" or public])  # it needs people's judgments
    known = ["naive", "global", "glocal", *names]  # an override may leave objectives out
    yield from _each("few_shot.transforms", config.get("few_shot", {}).get("transforms", []), known)
    yield from _trade_off(config)
    yield from _judgments(config)
    yield from _each("human.sets", config.get("human", {}).get("sets", []), SETS if public else [])
    for encoder, spec in config["encoders"].items():
        sets, kind = ["objects", *spec.get("sets", {})], "images" if "model" in spec else "cache"
        yield f"encoders.{encoder}.objects", spec["objects"], (images if own else things) if "model" in spec else objects
        for name, part in spec.get("sets", {}).items():  # a model makes features of images; without one they come from caches
            yield f"encoders.{encoder}.sets.{name}", "images" if "images" in part else "cache", [kind]
            if "images" in part:
                yield f"encoders.{encoder}.sets.{name}.images", part["images"], images
        yield f"encoders.{encoder}.context.set", spec["context"]["set"], sets
        if spec.get("downstream") or config["downstream"] == "folds":
            yield from ((f"{field}.set", task[part]["set"], sets) for field, task, part in task_parts(config))


def _each(field: str, names, known):
    return ((f"{field}.{i}", name, known) for i, name in enumerate(names))


def _judgments(config: dict):
    """(field, name, what it may be) of the section judgments, which needs people's judgments of THINGS."""
    settings = config.get("judgments")
    if settings:
        yield "source, with the section judgments,", config["source"], ["public"]
        yield from _each("judgments.objectives", settings["objectives"], config["alignment"]["objectives"])
        yield from _each("judgments.tasks", settings["tasks"], config["few_shot"]["tasks"])


def _trade_off(config: dict):
    """(field, name, what it may be) of the section trade_off, where an encoder has other images."""
    encoders = [spec for spec in config["encoders"].values() if spec.get("downstream") or config["downstream"] == "folds"]
    settings = config.get("trade_off", {}) if encoders else {}
    if not settings:
        return
    yield from _each("trade_off.tasks", settings.get("tasks", []), config["few_shot"]["tasks"])
    yield from _each("trade_off.shift", settings.get("shift", []), config["anomaly"]["sets"])
    sets = {"all", "objects"}.union(*(spec.get("sets", {}) for spec in encoders))
    for i, name in enumerate(settings.get("contexts", [])):
        if isinstance(name, str):
            yield f"trade_off.contexts.{i}", name, sets


def task_parts(config: dict):
    """(field, spec, name of the part) of each part of a downstream task that has images."""
    for stage, field in {"few_shot": "tasks", "anomaly": "sets", "structure": "sets"}.items():
        for task, spec in config.get(stage, {}).get(field, {}).items():
            parts = [part for part in ("pool", "train", "images", "test", "against") if part in spec]
            yield from ((f"{stage}.{field}.{task}.{part}", spec, part) for part in parts)


def _explain(error) -> str:
    """A JSON schema error as one sentence for a person."""
    field = ".".join(str(p) for p in error.absolute_path) or "the top level"
    if error.validator == "additionalProperties":
        known = set(error.schema.get("properties", {}))
        extra = sorted(set(error.instance) - known)[0]
        return f'unknown field "{extra}" in {field}.{did_you_mean(extra, known)}'
    if error.validator == "pattern":
        return f"{field}: the name {error.instance!r} is not allowed; use letters, digits, _ and -, with dots only between them."
    if error.validator == "enum":
        return f'{field} is "{error.instance}", which is not known.{did_you_mean(error.instance, error.validator_value)}'
    if error.validator == "required":
        missing = [k for k in error.validator_value if k not in error.instance]
        return f'{field} lacks the field "{missing[0]}"; add it.'
    if error.validator == "type" and isinstance(error.instance, str) and is_number(error.instance):
        return f'{field} is the text "{error.instance}", not a number; YAML wants a dot: write {float(error.instance):.1e}.'
    if error.validator == "type":
        kinds = error.validator_value if isinstance(error.validator_value, str) else " or ".join(error.validator_value)
        return f"{field} is {error.instance!r}, but must be of type {kinds}."
    return f"{field} is {error.instance!r}: {error.message}."
