"""Choosing settings on held-out objects, in the manner of scikit-learn's GridSearchCV.

    t = GLocalTransformCV(GLocalTransform("glocal"), {"lam": [1.0, 0.1], "alpha": [0.1, 0.5]}).fit(features, triplets)
    t.best_params_, t.best_score_, t.transform(features)

GridSearchCV itself splits the rows of X and y together. Here y has triplets of rows of X, and what is split are the objects.
"""

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.utils.validation import check_is_fitted

from glocal import triplets
from glocal.defaults import TAU
from glocal.errors import GlocalError
from glocal.evaluation import alignment
from glocal.features.store import also_in
from glocal.training import grid_search
from glocal.transform import GLocalTransform

GRID = {"lam": (1.0, 0.3, 0.1), "alpha": (0.1, 0.5), "tau": (0.1,)}


class GLocalTransformCV(TransformerMixin, BaseEstimator):
    """A GLocalTransform whose settings are chosen by cross-validation over objects (paper, section 3).

    Parameters
    ----------
    estimator : GLocalTransform, optional
        The other settings; default GLocalTransform().
    param_grid : dict, optional
        Values of lam, alpha and tau; default `GRID`. alpha and tau count for glocal only.
    folds : int
        A triplet counts in a fold if its three objects are on one side.
    kl_tau : float
        Temperature, one for all settings, of the local KL divergence that the rule adds to the triplet loss of glocal.
    random_state : int
        Seed of the folds.

    Attributes
    ----------
    best_params_ : dict
        The setting with the lowest mean over folds of the triplet loss on held-out objects, for glocal plus the local KL on the
        images of these objects.
    best_score_ : float
        Its odd-one-out accuracy on held-out objects, mean over folds. It was chosen on these folds, so further objects may score
        a little lower.
    cv_results_ : dict of arrays
        lam, alpha, tau, fold, odd_one_out, triplet_loss, local_kl, neighbour_overlap, ...: one entry a setting and fold.
    best_estimator_ : GLocalTransform
        Fitted to all triplets.
    """

    def __init__(self, estimator=None, param_grid=None, *, folds=3, kl_tau=TAU, random_state=42):
        self.estimator = estimator
        self.param_grid = param_grid
        self.folds = folds
        self.kl_tau = kl_tau
        self.random_state = random_state

    def fit(self, X, y, context=None):
        """Choose the setting, then fit it to all triplets.

        Parameters
        ----------
        X : (n, p) array, tensor or DataFrame
            Features, one row per object.
        y : (m, 3) integer array
            Triplets, the odd one out last.
        context : (q, p) array, optional
            Images of the local loss, for glocal; default the objects. Those that are held-out objects are left out in that fold.

        Returns
        -------
        GLocalTransformCV

        Raises
        ------
        GlocalError
            As GLocalTransform.fit, and if a fold has no triplet to train on or to measure.
        """
        import pandas as pd

        template = GLocalTransform() if self.estimator is None else self.estimator
        x, table = np.asarray(X), triplets.check(y, len(X))
        images = x if context is None else np.asarray(context)
        folds = triplets.split_objects(len(x), self.folds, self.random_state)
        rows = [row for fold, sides in enumerate(folds) for row in self._measured(template, fold, x, table, images, *sides)]
        results = pd.DataFrame(rows)
        best = grid_search.choose(results, grid_search.RULES[1])[template.objective]
        chosen = np.logical_and.reduce([results[name] == value for name, value in best.items()])
        self.cv_results_ = {name: column.to_numpy() for name, column in results.drop(columns="objective").items()}
        self.best_params_, self.best_score_ = best, float(results.loc[chosen, "odd_one_out"].mean())
        self.best_estimator_ = clone(template).set_params(**best).fit(X, y, context=images)
        return self

    def _measured(self, template, fold: int, x, table, images, train, test):
        """A row for each setting of the grid, on the held-out objects of one fold."""
        learn, check = (table[triplets.within(table, side, len(x))] for side in (train, test))
        if not len(learn) or not len(check):
            raise GlocalError(f"triplets: fold {fold} has {len(learn)} to train on and {len(check)} to measure; give more "
                              "triplets, or lower folds.")  # fmt: skip
        grid = {k: list(v) for k, v in (self.param_grid or GRID).items() if k == "lam" or template.objective == "glocal"}
        options = {k: v for k, v in template.get_params().items() if k not in ("objective", *grid)}
        context = images[~also_in(images, x[test])]
        unseen = np.isin(np.arange(len(x)), test)
        trials = grid_search.search(template.objective, grid, options, (x, learn, context, None))
        for point, t in trials:
            z = t.transform(x)
            features = (x, z, check, unseen, t.local(x[test]), z[test])
            measured = alignment.measure(*features, self.kl_tau, point.get("tau"), rule=grid_search.RULES[1])
            yield dict(objective=template.objective, fold=fold) | point | measured

    def transform(self, X):
        """As GLocalTransform.transform, with the chosen setting: (k, p) features to (k, p) aligned ones."""
        check_is_fitted(self, "best_estimator_")
        return self.best_estimator_.transform(X)

    def score(self, X, y, similarity="dot") -> float:
        """As GLocalTransform.score, with the chosen setting."""
        check_is_fitted(self, "best_estimator_")
        return self.best_estimator_.score(X, y, similarity)
