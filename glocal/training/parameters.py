"""The allowed parameters of a GLocalTransform, checked before a fit begins."""

from numbers import Integral, Real

from glocal import losses
from glocal.errors import GlocalError, did_you_mean, require
from glocal.training import local_loss
from glocal.training.sgd import Schedule

SGD = ("paper", "authors")  # recipes of `sgd.py`
# Recipe authors: all that the authors' code does otherwise, at once. `squared` is theirs by objective, see `effective`.
AUTHORS = dict(bias=True, local_features="raw", statistics="all", monitor="loss", restore_best=False)

CHOICES = dict(
    objective=losses.OBJECTIVES, recipe=("converged", *SGD), local_features=("standardised", "raw"),
    statistics=("training", "all"), monitor=("kl", "loss"), restore_best=(None, True, False),
    constant_columns=("refuse", "keep"), precision=local_loss.PRECISIONS,
)  # fmt: skip
# kind of number, smallest and largest: beyond these the objective or its gradient does not fit float32
RANGES = dict(
    lam=(Real, 0, 1e9), alpha=(Real, 0, 1), tau=(Real, 0.005, 1e9), lr=(Real, 0, 1e9), start=(Real, 1e-6, 1e6),
    tol=(Real, 0, 1), max_iter=(Integral, 1, 1e9), random_state=(Integral, 0, 2**63 - 1),
)  # fmt: skip
COUNT, PAIR = (Integral, 1, 1e9), ("min_epochs", "patience")
SCHEDULE = dict(
    triplets=COUNT, images=COUNT, epochs=COUNT, clip=(Real, 1e-9, 1e9), start=(Real, 1e-6, 1e6), bias_start=(Real, -1e6, 1e6),
    warmup_factor=(Real, 0, 1), min_delta=(Real, 0, 1e9), min_epochs=(Integral, 0, 1e9), patience=(Integral, 0, 1e9),
)  # fmt: skip


def effective(params: dict) -> dict:
    """A transform's parameters as a fit uses them: recipe authors sets what the authors' code does (`AUTHORS`), and there the
    regulariser of naive is a norm, that of global and gLocal a squared one."""
    if params["recipe"] != "authors":
        return params
    return params | AUTHORS | dict(squared=params["objective"] != "naive")


def check(params: dict) -> None:
    """Raises GlocalError for the first of a transform's parameters {name: value} that is unknown or out of range."""
    for name, known in CHOICES.items():
        require(params[name], known, f'{name}: "{params[name]}" is not known')
    for name, limits in RANGES.items():
        if name != "random_state" or params[name] is not None:
            _check_number(name, params[name], *limits)
    _check_schedule({} if params["schedule"] is None else params["schedule"])


def _check_number(name: str, value, kind, low, high) -> None:
    """GlocalError for a value out of range, and for NaN, infinity, None and bool."""
    if isinstance(value, bool) or not isinstance(value, kind) or not low <= value <= high:
        shown, word = " ".join(repr(value).split())[:80], "whole" if kind is Integral else "finite"
        raise GlocalError(f"{name}: {shown} is out of range; it must be a {word} number in [{low:g}, {high:g}].")


def _check_schedule(schedule) -> None:
    if not isinstance(schedule, dict):
        raise GlocalError(f"schedule: {type(schedule).__name__} is not a dict; give the fields to change, {{name: value}}.")
    for name, value in schedule.items():
        if name not in SCHEDULE:
            raise GlocalError(f'schedule: "{name}" is not known.{did_you_mean(name, Schedule.__dataclass_fields__)}')
        if name in PAIR and (not isinstance(value, list | tuple) or len(value) != 2):
            raise GlocalError(f"schedule: {name} must be two whole numbers, one for gLocal and one for the other objectives.")
        for number in value if name in PAIR else [value]:
            _check_number(f"schedule: {name}", number, *SCHEDULE[name])
