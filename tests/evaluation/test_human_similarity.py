"""Agreement with other people: against a loop that resamples by hand, known truths, and what a table must say."""

from types import SimpleNamespace

import numpy as np
import pytest
from helpers import needs_data
from scipy.stats import pearsonr, rankdata, spearmanr

from glocal import GLocalTransform, transform_io
from glocal.datasets import human_similarity as data
from glocal.datasets import judgments, things
from glocal.evaluation import human_similarity, rsa

STATISTIC = {"Spearman": lambda a, b: spearmanr(a, b).statistic, "Pearson": lambda a, b: pearsonr(a, b).statistic}


def world(seed=0, people=3, n=10, noise=0.5):
    """Similarities (2, n, n) of a bad and a good representation, and dissimilarities (S, n, n) of people who are noisy."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=(n, 4))
    good = rsa.similarity(truth + 0.1 * rng.normal(size=truth.shape))
    judged = [-rsa.similarity(truth + noise * rng.normal(size=truth.shape)) for _ in range(people)]
    return np.stack([rsa.similarity(rng.normal(size=(n, 4))), good]), np.stack(judged)


def upper(matrix):
    return matrix[np.triu_indices(len(matrix), 1)]


@pytest.mark.parametrize("metric", human_similarity.METRICS)
@pytest.mark.parametrize("people", [1, 3])
def test_agreement_is_the_mean_over_people(metric, people):
    similarities, judged = world(people=people)
    values, _, differences, _ = human_similarity.agreement(similarities, judged, metric, draws=2)
    expected = [np.mean([STATISTIC[metric](upper(s), -upper(d)) for d in judged]) for s in similarities]
    np.testing.assert_allclose(values, expected)
    np.testing.assert_allclose(differences, [0, expected[1] - expected[0]])


@pytest.mark.parametrize("metric", human_similarity.METRICS)
@pytest.mark.parametrize("people", [1, 3])
@pytest.mark.parametrize("judgments", [human_similarity.EACH, human_similarity.MEAN])
def test_the_bootstrap_is_that_of_a_loop_over_drawn_people_and_stimuli(metric, people, judgments):
    similarities, judged = world(people=people)
    n, draws, seed = similarities.shape[1], 20, 7
    intervals = human_similarity.agreement(similarities, judged, metric, judgments, draws, seed=seed)[1::2]
    rng, found = np.random.default_rng(seed), []
    for _ in range(draws):
        stimuli, drawn = rng.integers(n, size=n), judged[rng.integers(people, size=people)]
        drawn = drawn if judgments == human_similarity.EACH else drawn.mean(axis=0, keepdims=True)
        found.append([np.mean([by_hand(s, -matrix, stimuli, metric) for matrix in drawn]) for s in similarities])
    found = np.array(found)
    np.testing.assert_allclose(intervals[0], np.quantile(found, [0.025, 0.975], axis=0).T)
    np.testing.assert_allclose(intervals[1], np.quantile(found - found[:, :1], [0.025, 0.975], axis=0).T)


def by_hand(a, b, stimuli, metric):
    """Correlation over the pairs of drawn stimuli, one at a time; a stimulus with its own copy is no pair."""
    ranked = []
    for matrix in (a, b):
        full = np.zeros(matrix.shape)
        full[np.triu_indices(len(matrix), 1)] = rankdata(upper(matrix)) if metric == "Spearman" else upper(matrix)
        ranked.append(full + full.T)
    pairs = [(i, j) for k, i in enumerate(stimuli) for j in stimuli[:k] if i != j]
    return np.corrcoef([m[i, j] for i, j in pairs for m in ranked[:1]], [m[i, j] for i, j in pairs for m in ranked[1:]])[0, 1]


@pytest.mark.parametrize("metric", human_similarity.METRICS)
def test_the_noise_ceiling_leaves_each_person_out(metric):
    judged = world(people=4)[1]
    pairs, low, high = [upper(d) for d in judged], [], []
    for i, person in enumerate(pairs):
        low.append(STATISTIC[metric](person, np.mean([p for j, p in enumerate(pairs) if j != i], axis=0)))
        high.append(STATISTIC[metric](person, np.mean(pairs, axis=0)))
    found = human_similarity.noise_ceiling(judged, metric)
    np.testing.assert_allclose(found, [np.mean(low), np.mean(high)])
    assert found[0] < found[1]


@pytest.mark.parametrize("metric", human_similarity.METRICS)
def test_agreement_with_the_mean_matrix(metric):
    similarities, judged = world(people=5)
    values = human_similarity.agreement(similarities, judged, metric, human_similarity.MEAN, draws=2)[0]
    np.testing.assert_allclose(values, [STATISTIC[metric](upper(s), -upper(judged.mean(axis=0))) for s in similarities])
    assert values[1] > human_similarity.agreement(similarities, judged, metric, draws=2)[0][1]  # noise of people averages out


def test_one_matrix_has_no_noise_ceiling():
    assert np.isnan(human_similarity.noise_ceiling(world(people=1)[1])).all()


def test_more_people_and_less_noise_narrow_the_interval_of_a_good_representation():
    width = {noise: np.diff(human_similarity.agreement(*world(noise=noise, n=20), draws=200)[1][1])[0] for noise in (0.2, 2)}
    assert width[0.2] < width[2]


def test_a_paired_difference_is_narrower_than_its_parts_where_representations_are_alike():
    similarities, judged = world(n=20)
    nearly = np.stack([similarities[1], similarities[1] + 0.01 * similarities[0]])
    _, intervals, _, paired = human_similarity.agreement(nearly, judged, draws=200)
    assert np.diff(paired[1])[0] < np.diff(intervals[1])[0] / 5


# --- known truths -----------------------------------------------------------------------------------------------------

golden = pytest.mark.parametrize(
    ("features", "kernel", "value"),
    [("things-clip-b32", "cosine", 0.398), ("devbench-clip", "cosine", 0.367), ("devbench-blip", "cosine", 0.142),
     ("devbench-cvcl", "cosine", 0.082), ("spose-66", "dot", 0.878)],
)  # fmt: skip


@needs_data
@pytest.mark.data
@golden
def test_things_48_agrees_with_independently_measured_values(features, kernel, value):
    judged = data.load("things-48")
    x = things.object_features(features)[judged.objects]
    found = human_similarity.agreement(rsa.similarity(x, kernel)[None], judged.dissimilarity, draws=2)[0]
    assert found[0] == pytest.approx(value, abs=6e-4)


@needs_data
@pytest.mark.data
def test_the_noise_ceiling_of_mur_92():
    assert human_similarity.noise_ceiling(data.load("mur-92").dissimilarity) == pytest.approx((0.478, 0.575), abs=6e-4)


def fitted_without_the_48(objective, lam):
    """The transform of CLIP ViT-B/32 that has seen no triplet of the 48 objects."""
    judged, table = data.load("things-48"), judgments.tables(["things48"])[0]["things48-train"]
    x = things.object_features("things-clip-b32")
    assert not np.isin(judged.objects, table).any()
    return x[judged.objects], GLocalTransform(objective, lam=lam).fit(x, table).transform(x[judged.objects])


@needs_data
@pytest.mark.data
@pytest.mark.parametrize(("objective", "lam", "value"), [("naive", 0.03, 0.671), ("global", 0.3, 0.648)])
def test_aligned_features_agree_better_on_things_48(objective, lam, value):
    similarities = np.stack([rsa.similarity(x) for x in fitted_without_the_48(objective, lam)])
    values, _, _, gain = human_similarity.agreement(similarities, data.load("things-48").dissimilarity, draws=200)
    assert values[0] == pytest.approx(0.398, abs=1e-3) and values[1] == pytest.approx(value, abs=4e-3)
    assert gain[1][0] > 0.1


# --- the table of an experiment ---------------------------------------------------------------------------------------


class Stub:
    """An experiment of three sets' worth of features, whose transforms double the second dimension."""

    encoder, seed = "x", 1

    def __init__(self, folder, sets):
        self.settings = {"sets": {"mur-92": {}}}
        self.folder, self.config = folder, {"human": {"sets": sets, "draws": 5}, "encoders": {"x": {}}}

    def features(self, name="objects"):
        rng = np.random.default_rng(0)
        return SimpleNamespace(x=rng.normal(size=(1854 if name == "objects" else 92, 3)).astype(np.float32))

    def transform_paths(self, fold):
        path = self.folder / f"{fold}.npz"
        transform_io.write(path, dict(weights=np.diag([1, 2, 1]).astype(np.float32), mean=np.float64(0), std=np.float64(1)))
        return {"any name": path}


@needs_data
@pytest.mark.data
def test_the_table_of_an_experiment(tmp_path):
    table = human_similarity.evaluate(Stub(tmp_path, ["things-48", "mur-92"]))["human_similarity"]
    assert (
        list(table) == human_similarity.COLUMNS and len(table) == 3 * 2 * 3 * 2
    )  # judgments of both sets, metrics, kernels, transforms
    assert sorted(p.stem for p in tmp_path.iterdir()) == ["all", "things48"]
    assert (table["people"].where(table["dataset"] == "mur-92", 1).unique() == [1, 16]).all()
    assert table["ceiling_low"].notna().equals(table["judgments"] == human_similarity.EACH)
    assert table.groupby("dataset")["judgments"].nunique().to_dict() == {"mur-92": 2, "things-48": 1}
    assert table["difference"].notna().equals(table["transform"] != "original")
    assert ((table["ci_low"] <= table["ci_high"]) & table["value"].between(-1, 1)).all()


@needs_data
@pytest.mark.data
def test_a_set_without_features_of_its_images_has_no_rows(tmp_path):
    experiment = Stub(tmp_path, ["mur-92"])
    experiment.settings = {}
    table = human_similarity.evaluate(experiment)["human_similarity"]
    assert list(table) == human_similarity.COLUMNS and not len(table)
