"""The setting is chosen on objects that no fit of its fold saw."""

import numpy as np
import pytest
from helpers import observed
from sklearn.base import clone

from glocal import GLocalTransform, triplets
from glocal.errors import GlocalError
from glocal.evaluation.cross_validation import GLocalTransformCV


def test_the_choice_is_the_best_of_the_grid_by_hand():
    x, t = observed(m=3000)
    lams = [3.0, 0.1, 0.001]
    made = GLocalTransformCV(GLocalTransform("global", max_iter=40), {"lam": lams}, folds=3).fit(x, t)
    losses = {lam: made.cv_results_["triplet_loss"][made.cv_results_["lam"] == lam] for lam in lams}
    assert made.best_params_ == {"lam": min(lams, key=lambda lam: losses[lam].mean())} and all(
        len(v) == 3 for v in losses.values()
    )
    train, test = triplets.split_objects(len(x), 3, 42)[1]
    learn, check = (t[triplets.within(t, side, len(x))] for side in (train, test))
    first = GLocalTransform("global", lam=3.0, max_iter=40).fit(x, learn)  # the path begins with the strongest pull
    row = (made.cv_results_["lam"] == 3.0) & (made.cv_results_["fold"] == 1)
    assert made.cv_results_["odd_one_out"][row] == pytest.approx(first.score(x, check))
    np.testing.assert_array_equal(made.transform(x), made.best_estimator_.transform(x))
    assert made.score(x, t) == made.best_estimator_.score(x, t) and clone(made).param_grid == {"lam": lams}


def test_glocal_does_not_see_held_out_images(monkeypatch):
    x, t = observed(m=1500)
    seen = []
    search = GLocalTransform.fit
    monkeypatch.setattr(
        GLocalTransform,
        "fit",
        lambda self, x, t, context=None, **more: seen.append(context) or search(self, x, t, context, **more),
    )
    made = GLocalTransformCV(GLocalTransform(max_iter=5), {"lam": [0.1], "alpha": [0.5], "tau": [0.5]}).fit(x, t)
    assert made.best_params_ == {"lam": 0.1, "alpha": 0.5, "tau": 0.5}
    for context, (train, _) in zip(seen, triplets.split_objects(len(x), 3, 42), strict=False):
        np.testing.assert_array_equal(context, x[train])
    assert len(seen) == 4 and len(seen[-1]) == len(x)


def test_too_few_triplets_are_one_sentence():
    x, t = observed(m=4)
    with pytest.raises(GlocalError, match=r"triplets: fold 0 has \d+ to train on and 0 to measure"):
        GLocalTransformCV(folds=10).fit(x, t)
