"""What of the gain is human? The same fits to the same triplets with other answers.

Objects, triplets, folds and settings are those of people's judgments; only which of the three is the odd one differs:
    human         people's answers
    spose-66      those of SPoSE-66, an embedding of people's judgments of all objects, held-out ones and THINGS-48 included
    text          those of the objects' names, synonyms and definitions (TF-IDF, truncated SVD): a reader that sees no image
    itself        those of the encoder's original features: what fitting a linear map does without a judge
    shuffled      drawn at random
    adversarial   the least likely choice under SPoSE-66

The text is WordNet's, and so are the superclasses of the few-shot tasks entity13 and entity30: that it helps there is no wonder.
"""

import numpy as np

from glocal.datasets import things
from glocal.evaluation import refits, rsa
from glocal.triplets import from_choices, pairs_left

ANSWERS = ("human", "spose-66", "text", "itself", "shuffled", "adversarial")
TEXT_DIMENSIONS = 20  # of the SVD; not tuned
HUMAN = ("to_human", "to_human_low", "to_human_high")
COLUMNS = ["encoder", "transform", "answers", "as_people", *refits.MEASURED, *HUMAN, "ceiling"]


def evaluate(experiment) -> dict:
    """Fit the objectives of the config's section `judgments` to each kind of answers, at the profile's chosen settings.

    {"controls": DataFrame of `COLUMNS`}, a row for each kind of answers, transform and measure: value, difference to the
    original features, and (to_human) difference to the fit to people's answers, each with its paired 95 % interval. as_people:
    the share of the training triplets that are answered as people did. The rows of the original features and of `centred` have
    no answers. Raises GlocalError for missing features, triplets or transforms.
    """
    import pandas as pd

    folds, settings = refits.folds(experiment), experiment.config["judgments"]
    references, points = refits.references(experiment, folds), refits.chosen(experiment, settings["objectives"])
    groups = [(objective, name) for objective in points for name in ["human", *settings["controls"]]]
    tables = {name: [answer(name, f.table, f.x, [experiment.seed, i]) for i, f in enumerate(folds)] for _, name in groups}
    jobs = [(o, points[o], fold, table) for o, name in groups for fold, table in zip(folds, tables[name], strict=True)]
    measured = refits.measure_all(experiment, jobs, "controls")
    results = {group: [[next(measured) for _ in folds]] for group in groups}
    rows = [dict(transform=t) | row for t, draws in references.items() for row in refits.summarise(draws, references["original"])]
    for (objective, name), draws in results.items():
        as_people = np.mean([np.mean(t[:, 2] == f.table[:, 2]) for t, f in zip(tables[name], folds, strict=True)])
        about = dict(transform=objective, answers=name, as_people=as_people)
        compared = refits.summarise(draws, results[objective, "human"])
        for row, to_human in zip(refits.summarise(draws, references["original"]), compared, strict=True):
            changes = (to_human[c] for c in refits.MEASURED[-3:])
            rows.append(about | row | dict(zip(HUMAN, changes, strict=True)))
    ceilings = [refits.ceiling(experiment, folds, row["measure"]) for row in rows]
    return dict(controls=pd.DataFrame(rows).assign(encoder=experiment.encoder, ceiling=ceilings).reindex(columns=COLUMNS))


def answer(name: str, table, x, seed) -> np.ndarray:
    """The triplets (m, 3) as one of `ANSWERS` chooses, the odd one last. x: (n, p) original features of the objects."""
    if name == "human":
        return table
    if name == "shuffled":
        return from_choices(table, np.random.default_rng(seed).integers(3, size=len(table)))
    if name in ("spose-66", "adversarial"):
        similarity = rsa.similarity(things.object_features("spose-66"), "dot")
        return by_similarity(similarity, table, np.argmin if name == "adversarial" else np.argmax)
    return by_similarity(rsa.similarity(x if name == "itself" else text_features()), table)


def by_similarity(similarity, table, choose=np.argmax) -> np.ndarray:
    """The triplets (m, 3) with the odd one that leaves the most similar pair; choose=np.argmin: the least similar one."""
    return from_choices(table, choose(pairs_left(similarity, table), axis=1))


def text_features() -> np.ndarray:
    """(1854, 20) features of the THINGS objects from text alone: name, synonyms, category and definition in WordNet."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    words = TfidfVectorizer(stop_words="english").fit_transform(things.descriptions())
    return TruncatedSVD(TEXT_DIMENSIONS, random_state=0).fit_transform(words)
