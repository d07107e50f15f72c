"""Selection in scikit-learn's and imbalanced-learn's ways."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.utils.estimator_checks import parametrize_with_checks

import ms_coreset as mc

RNG = np.random.RandomState(0)
X, Y = RNG.randn(60, 4), np.array(["cat", "dog", "eel"])[np.arange(60) % 3]
X[np.arange(60), np.arange(60) % 3] += 3


@parametrize_with_checks([
    mc.CoresetSelector(), mc.CoresetSelector("k_center", 0.5),
    mc.CoresetSelector("el2n", estimator=LogisticRegression()),
    mc.CoresetSelector("facility_location", options={"kernel": "features"})])
def test_what_scikit_learn_asks_of_an_estimator(estimator, check):
    check(estimator)


def test_it_is_select():
    found = mc.CoresetSelector("moderate", 0.3, balance=True, options={"metric": "cosine"}, random_state=2).fit(X, Y)
    labels = np.unique(Y, return_inverse=True)[1]
    expected = mc.select("moderate", mc.Evidence(labels, X), 0.3, balance=True, seed=2, metric="cosine")
    np.testing.assert_array_equal(found.sample_indices_, expected.indices)
    np.testing.assert_array_equal(found.get_support(), expected.keep_mask)
    np.testing.assert_array_equal(found.get_support(indices=True), np.sort(expected.indices))
    np.testing.assert_array_equal(found.classes_, ["cat", "dog", "eel"])
    assert found.coreset_.seed == 2 and found.sample_weight_.tolist() == [1.0] * 18


def test_weights_and_answers_of_rows_that_were_left_out():
    found = mc.CoresetSelector("gradmatch", 0.2, estimator=LogisticRegression()).fit(X, Y)
    np.testing.assert_array_equal(found.sample_weight_, found.coreset_.weights)
    wrong = Y.copy()
    wrong[[3, 10]] = "eel", "cat"
    scores = mc.CoresetSelector("el2n", estimator=LogisticRegression()).fit(X, wrong).coreset_.scores
    assert set(np.argsort(-scores)[:2]) == {3, 10}


def test_without_labels():
    found = mc.CoresetSelector("k_center", 0.1).fit(X)
    assert len(found.sample_indices_) == 6 and not hasattr(found, "classes_")


@pytest.mark.parametrize(("selector", "y", "message"), [
    (mc.CoresetSelector("nope"), Y, "unknown method 'nope'"),
    (mc.CoresetSelector("el2n"), Y, "el2n looks at logits: give y, and estimator"),
    (mc.CoresetSelector(), None, "moderate requires y to be passed"),
    (mc.CoresetSelector("moderate", 2), Y, "rate 2"),
    (mc.CoresetSelector("el2n", estimator=LogisticRegression()), ["a"] + ["b"] * 59, "a class of 1 sample has none"),
    (mc.CoresetSelector(options={"nope": 1}), Y, "moderate has no option 'nope'")])
def test_mistakes(selector, y, message):
    with pytest.raises(mc.MsCoresetError, match=message):
        selector.fit(X, y)


def test_in_a_pipeline_of_imbalanced_learn():
    pipeline = pytest.importorskip("imblearn.pipeline")
    whole = pipeline.make_pipeline(mc.CoresetSelector("moderate", 0.5, balance=True), LogisticRegression())
    whole.fit(X, Y)
    rows = whole[0].sample_indices_
    alone = LogisticRegression().fit(X[rows], Y[rows])
    np.testing.assert_array_equal(whole.predict(X), alone.predict(X))
    assert len(whole.predict(X[:7])) == 7  # nothing is dropped when it predicts


def test_tables_stay_tables():
    pandas = pytest.importorskip("pandas")
    table, answers = pandas.DataFrame(X, columns=list("abcd")), pandas.Series(Y, name="animal")
    selector = mc.CoresetSelector("moderate", 0.2)
    kept, labels = selector.fit_resample(table, answers)
    assert kept.index.tolist() == labels.index.tolist() == selector.sample_indices_.tolist()
    assert selector.feature_names_in_.tolist() == list("abcd")
