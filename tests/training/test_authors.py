"""Recipe `authors`: one name for every switch of the authors' code, against their training loop written out plainly here.

Nothing of the package is in the loop but the order of the batches. Per batch: raw images in the local loss, standardised objects
in the triplet loss, statistics of all objects, a bias, log(sum(exp)), the norm for naive and the sum of squares for the others,
clipping at 1, Adam or SGD with momentum, and LinearLR from a third over all epochs, a step an epoch.
"""

import numpy as np
import pytest
import torch
from helpers import observed
from sklearn.base import clone

from glocal import GLocalTransform, losses, triplets
from glocal.errors import GlocalError
from glocal.training import grid_search, parameters, sgd

EPOCHS, SETTING = 6, dict(lr=4e-3, lam=1e-3, alpha=0.25, tau=0.5)
SCHEDULE = dict(epochs=EPOCHS, triplets=32, images=20)


@pytest.fixture(scope="module")
def data():
    x, table = observed(n=60, p=8, m=3000)
    shown = table[triplets.within(table, np.arange(45), len(x))][:300]  # 45 objects train; statistics are of all 60
    context = np.random.default_rng(1).normal(size=(50, 8)) + 2
    return x.astype(np.float32), shown, context.astype(np.float32)


def authors_loop(objective, x, table, images, lr, lam, alpha, tau, seed=42):
    """W (p, p) and b (p,) as the authors' code trains them, in float64."""
    x, images, p = torch.tensor(x).double(), torch.tensor(images).double(), x.shape[1]
    z = (x - x.mean()) / x.std(correction=0)
    w = torch.nn.Parameter(1e-3 * torch.eye(p, dtype=torch.float64))
    b = torch.nn.Parameter(torch.full((p,), 1e-3, dtype=torch.float64))
    local = objective == "glocal"
    optimiser = torch.optim.SGD([w, b], lr=lr, momentum=0.9) if local else torch.optim.Adam([w, b], lr=lr)
    scheduler = torch.optim.lr_scheduler.LinearLR(optimiser, total_iters=EPOCHS)  # its start is a third
    for epoch in range(EPOCHS):
        rng = np.random.default_rng([seed, epoch])
        order = torch.tensor(rng.permutation(len(table)))
        batches = sgd._passes(len(images), SCHEDULE["images"], rng, "cpu")
        for rows in order.split(SCHEDULE["triplets"]):
            i, j, k = (z[table[rows, column]] @ w + b for column in range(3))
            similar, others = (i * j).sum(1), [(i * k).sum(1), (j * k).sum(1)]
            loss = -torch.log(similar.exp() / (similar.exp() + sum(s.exp() for s in others))).mean()
            if local:
                y = images[next(batches)]
                loss = (1 - alpha) * loss + alpha * local_contrastive(y, y @ w + b, tau)
            if objective == "naive":
                penalty = torch.linalg.norm(w, ord="fro")
            else:
                penalty = ((w - torch.diag(w).mean() * torch.eye(p, dtype=torch.float64)) ** 2).sum()
            optimiser.zero_grad()
            (loss + lam * penalty).backward()
            torch.nn.utils.clip_grad_norm_([w, b], 1.0)
            optimiser.step()
        scheduler.step()
    return w.detach().numpy(), b.detach().numpy()


def local_contrastive(teacher, student, tau):
    """Cross-entropy of neighbourhoods: for each image a softmax over all others' cosines."""
    total = 0.0
    unit = [a / a.norm(dim=1, keepdim=True) for a in (teacher, student)]
    for n in range(len(teacher)):
        rest = [m for m in range(len(teacher)) if m != n]
        p, q = (torch.exp(u[rest] @ u[n] / tau) for u in unit)
        total = total - ((p / p.sum()) * torch.log(q / q.sum())).sum()
    return total / len(teacher)


@pytest.mark.parametrize("objective", losses.OBJECTIVES)
def test_the_recipe_is_the_authors_loop(data, objective):
    x, table, context = data
    fit = GLocalTransform(objective, recipe="authors", schedule=SCHEDULE, **SETTING).fit(x, table, context=context)
    w, b = authors_loop(objective, x, torch.tensor(table), context, **SETTING)
    assert np.linalg.norm(fit.weights_ - w) <= 1e-5 * np.linalg.norm(w)  # the fit is in float32
    assert np.linalg.norm(fit.bias_ - b) <= 1e-5 * np.linalg.norm(b)
    assert (fit.mean_, fit.std_) == pytest.approx((x.mean(), x.std()), rel=1e-6)


@pytest.mark.parametrize("objective", losses.OBJECTIVES)
def test_one_name_is_all_the_switches(data, objective):
    """What the name sets, set one by one: the same weights. Recipe paper alone gives others."""
    x, table, context = data
    switches = parameters.AUTHORS | dict(squared=objective != "naive")
    fits = [
        GLocalTransform(objective, schedule=SCHEDULE, **SETTING, **how).fit(x, table, context=context).weights_
        for how in (dict(recipe="authors"), dict(recipe="paper", **switches), dict(recipe="paper"))
    ]
    np.testing.assert_array_equal(fits[0], fits[1])
    assert not np.allclose(fits[0], fits[2], rtol=1e-3)


def test_held_out_objects_are_monitored_with_the_whole_local_loss(data):
    x, table, context = data
    fit = GLocalTransform("glocal", recipe="authors", schedule=SCHEDULE, **SETTING)
    fit.fit(x, table[50:], context=context, held_out=(table[:50], context[:10]))
    last = fit.history_[-1]
    assert last["monitored"] > last["held_out_triplet_loss"] + last["held_out_local_kl"] + 1  # the entropy is in it
    assert fit.kept_iteration_ == len(fit.history_)


def test_a_stack_of_settings_is_the_fits_one_by_one(data):
    x, table, context = data
    points, options = [SETTING, SETTING | dict(lam=1.0)], dict(recipe="authors", schedule=SCHEDULE)
    stack = grid_search.fit_stack("glocal", points, options, x, table, context)
    for point, t in zip(points, stack, strict=True):
        alone = grid_search.fit("glocal", point | options, x, table, context)
        assert t.recipe == "authors"
        np.testing.assert_allclose(t.weights_, alone.weights_, rtol=1e-5, atol=1e-8)
    trials = grid_search.search("naive", {"lr": [0.01], "lam": [0.1]}, options, (x, table, None, None))
    assert trials[0][1].n_iter_ == EPOCHS


def test_the_parameters_stay_as_given():
    """scikit-learn's contract: a clone has what the constructor was given; the recipe is applied in the fit."""
    t = GLocalTransform(recipe="authors", bias=False)
    assert clone(t).bias is False and t._effective.bias is True and t._effective.squared is True
    assert GLocalTransform("naive", recipe="authors")._effective.squared is False
    with pytest.raises(GlocalError, match="recipe"):
        GLocalTransform(recipe="author").fit(np.eye(4), np.array([[0, 1, 2]]))
