"""Which arrays of the peers' code are compared with ours, by which rule, and why the others are not.

``CASES`` has one entry for every array that is compared, the same for both packages; ``NOT_COMPARED`` a reason for
every other array of the peers. ``docs/generate_methods.py`` puts both, with the outcomes, into docs/methods.md.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, cached_property
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import sparse
from scipy.spatial.distance import cdist

from parity_tests.peer_vectors import SETS

PEERS = ("deepcore", "cords", "others", "frontier")


@cache
def load(folder):
    """The inputs of a folder and all arrays of the peers: an ``Inputs`` and a dict."""
    peers = {}
    for peer in PEERS:
        with np.load(folder / f"peer_{peer}.npz") as archive:
            peers |= {name: archive[name] for name in archive.files}
    with np.load(folder / "inputs.npz") as archive:
        return Inputs({name: archive[name] for name in archive.files}, peers), peers


@dataclass(frozen=True)
class Inputs:
    """What the peers were given, and evidence made of it for either package."""

    arrays: dict
    peers: dict

    def __getitem__(self, name):
        return self.arrays[name]

    @cached_property
    def labels(self):
        return self.arrays["y"]

    def rows_of(self, label):
        """Positions of a class, ascending."""
        return np.flatnonzero(self.labels == label)

    def pools(self, balance):
        """Positions that share a budget: of each class, or of all."""
        return [self.rows_of(label) for label in np.unique(self.labels)] if balance else [np.arange(len(self.labels))]

    @cached_property
    def dynamics(self):
        """The record of the training, in float64."""
        z, rows = self["dyn_logits"].astype(np.float64), np.arange(len(self.labels))
        p = softmax(z)
        error, loss = p - np.eye(z.shape[2])[self.labels], -np.log(p[:, rows, self.labels])
        return SimpleNamespace(
            probability=p[:, rows, self.labels], margin=lead(p, self.labels), logit_margin=lead(z, self.labels),
            error_norm=np.linalg.norm(error, axis=2), probabilities=p, correct=z.argmax(axis=2) == self.labels,
            loss=loss, validation_loss=loss)

    def evidence(self, package, rows=slice(None), **fields):
        """Evidence of some samples from the net for selection; fields replace or add to it."""
        known = {"labels": self.labels[rows], "features": self["emb"][rows], "logits": self["logits"][rows]}
        return package.Evidence(**{**known, **fields})

    def runs(self, package):
        """Evidence of the three other networks."""
        return tuple(self.evidence(package, features=features, logits=logits)
                     for features, logits in zip(self["rep_emb"], self["rep_logits"], strict=True))


def softmax(z):
    exponentials = np.exp(z - z.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def lead(values, labels):
    """(T, n): the label's column minus the highest other one."""
    own = np.eye(values.shape[2], dtype=bool)[labels]
    return values[:, own] - np.where(own, -np.inf, values).max(axis=2)


# Rules: (actual, expected, inputs) -> None, or an AssertionError. The first line of each docstring is the table's.

def same_order(actual, expected, inputs):
    """same indices, same order"""
    np.testing.assert_array_equal(actual, expected)


def same_members(actual, expected, inputs):
    """same set of indices (the peer's order is by index)"""
    np.testing.assert_array_equal(np.sort(actual), np.sort(expected))


def same_values_picked(key, rtol=0.0, atol=0.0, unclear=lambda inputs: []):
    """Of a ranking by scores of the peer; unclear: samples whose score is not to be relied on."""
    def rule(actual, expected, inputs):
        assert len(np.unique(actual)) == len(actual) == len(expected)
        ours, theirs = (inputs.peers[key][picks[~np.isin(picks, unclear(inputs))]] for picks in (actual, expected))
        end = min(len(ours), len(theirs))
        np.testing.assert_allclose(ours[:end], theirs[:end], rtol=rtol, atol=atol)
    near = f", rtol {rtol:g}, atol {atol:g}" if rtol else ""
    rule.__doc__ = f"same scores of the picks, in order{near} (the peer's sort leaves ties open)"
    return rule


def same_values_kept(key):
    def rule(actual, expected, inputs):
        """same scores of the picks (the peer's sort leaves ties open)"""
        values = inputs.peers[key]
        assert len(np.unique(actual)) == len(actual)
        np.testing.assert_array_equal(np.sort(values[actual]), np.sort(values[expected]))
    return rule


def close(rtol=0.0, atol=0.0, unclear=lambda inputs: []):
    """unclear: samples that are not compared"""
    def rule(actual, expected, inputs):
        actual, expected = (np.delete(values, unclear(inputs), axis=0) for values in (actual, expected))
        np.testing.assert_allclose(actual, expected, rtol=rtol, atol=atol)
    rule.__doc__ = f"close: rtol {rtol:g}, atol {atol:g}"
    return rule


def from_medians_in_float64(actual, expected, inputs):
    """close: rtol 1e-12 (the peer's medians, of float32 features, are rounded to float32)"""
    features, rounded = inputs["emb"].astype(np.float64), inputs.peers["moderate/median"]
    medians = np.stack([np.median(features[inputs.rows_of(label)], axis=0) for label in range(len(rounded))])
    np.testing.assert_array_equal(medians.astype(np.float32), rounded)
    for found, centers in ((expected, rounded.astype(np.float64)), (actual, medians)):
        distances = np.linalg.norm(features - centers[inputs.labels], axis=1)
        np.testing.assert_allclose(found, distances, rtol=1e-12)


def equal_where_clear(actual, expected, inputs):
    """equal, but for samples whose two highest classes are equal in some epoch to the peer's float16"""
    highest = np.sort(np.log(inputs.dynamics.probabilities), axis=2)[:, :, -2:].astype(np.float16)
    clear = (np.diff(highest)[:, :, 0] > np.spacing(np.abs(highest[:, :, 0]))).all(axis=0)
    np.testing.assert_array_equal(actual[clear], expected[clear])


def near_in_half_precision(error_of, epochs=None):
    """error_of: (errors of the probabilities, labels) -> (T, n), of what is summed over the first epochs."""
    def rule(actual, expected, inputs):
        """as near as the peer's logarithms of probabilities, in float16, allow"""
        p = inputs.dynamics.probabilities[:epochs]
        errors = p * np.abs(np.log(p)) * 2.0**-11 + 1e-6
        assert (np.abs(actual - expected) <= error_of(errors, inputs.labels).sum(axis=0)).all()
    return rule


def margin_error(errors, labels):
    return errors[:, np.eye(errors.shape[2], dtype=bool)[labels]] + errors.max(axis=2)


def norm_error(errors, labels):
    return np.linalg.norm(errors, axis=2)


def same_cover(kernel_of):
    """Facility location has structural ties: two samples that improve only each other gain the same."""
    def rule(actual, expected, inputs):
        """same objective to 2e-6"""
        assert len(np.unique(actual)) == len(actual) == len(expected)
        assert cover(kernel_of(inputs), actual) == _near(cover(kernel_of(inputs), expected))
    return rule


def same_order_but_ties(kernel_of, tolerance=2e-6):
    """Facility location: where the orders part, both go on with as good a pick."""
    def rule(actual, expected, inputs):
        kernel = kernel_of(inputs)
        assert len(np.unique(actual)) == len(actual) == len(expected)
        assert cover(kernel, actual) == _near(cover(kernel, expected), tolerance)
        if (actual != expected).any():
            parted = int(np.argmax(actual != expected))
            gains = cover_gains(kernel, actual[:parted])
            assert gains[actual[parted]] == _near(gains[expected[parted]])
    rule.__doc__ = f"same order up to a tie, same objective to {tolerance:g}"
    return rule


def same_but_near_ties(values_of, balance=False, ordered=False, given=0):
    """The picks of a greedy rule, which takes the highest value.

    values_of: (inputs, rows of a pool) -> (places of the picks so far -> values of the pool)
    given: picks of each pool that are no choice
    """
    def rule(actual, expected, inputs):
        for rows in inputs.pools(balance):
            ours, theirs = (np.searchsorted(rows, picks[np.isin(picks, rows)]) for picks in (actual, expected))
            assert_same_picks(values_of(inputs, rows), ours, theirs, ordered, given)
    rule.__doc__ = f"same {'order' if ordered else 'set of indices'}, up to what is a tie to the peer's float32"
    return rule


def same_order_within(kernel_of, lam=1.0):
    """Graph cut on a kernel of some samples, in which the indices count."""
    def rule(actual, expected, inputs):
        """same order, up to what is a tie to the peer's float32"""
        values_of = cut(lambda inputs, rows: kernel_of(inputs), lam)(inputs, slice(None))
        assert_same_picks(values_of, actual, expected, ordered=True)
    return rule


def assert_same_picks(values_of, ours, theirs, ordered, given=0):
    """The same picks, or all that come before a tie, and most of the others."""
    assert len(np.unique(ours)) == len(ours) == len(theirs)
    clear = ours[:clear_picks(values_of, ours, given)]
    if ordered:
        np.testing.assert_array_equal(clear, theirs[:len(clear)])
    assert np.isin(clear, theirs).all()
    assert np.isin(ours, theirs).sum() >= 0.9 * len(ours)


def same_clusters(key, kernel_of):
    """CRAIG's weights; key: the peer's picks."""
    def rule(actual, expected, inputs):
        """same weights, or the same sum where the picks have a tie"""
        kernel, picks = kernel_of(inputs), inputs.peers[key]
        same_total(actual, expected, inputs)
        if clear_picks(lambda picks: cover_gains(kernel, picks), picks, given=0) == len(picks):
            np.testing.assert_array_equal(actual, expected)
    return rule


def clear_picks(values_of, picks, given):
    """How many picks, from the first on, are better than all others by more than 1e-6 of the largest value."""
    for t in range(given, len(picks)):
        values = np.delete(values_of(picks[:t]), picks[:t])
        if len(values) > 1:
            second, best = np.partition(values, -2)[-2:]
            if best - second <= 1e-6 * np.abs(values).max():
                return t
    return len(picks)


def same_values_along(tolerance=2e-6):
    """Of gains: their sums are the values of the first picks, which ties leave nearly as they are."""
    def rule(actual, expected, inputs):
        assert actual.shape == expected.shape
        ours, theirs = np.cumsum(actual), np.cumsum(expected)
        np.testing.assert_allclose(ours, theirs, rtol=max(1e-4, tolerance), atol=1e-4)
        np.testing.assert_allclose(ours[-1], theirs[-1], rtol=tolerance)
    rule.__doc__ = f"same value of the first picks to {max(1e-4, tolerance):g}, of all to {tolerance:g}"
    return rule


def same_value(actual, expected, inputs):
    """same value to 1e-5"""
    assert actual == _near(expected, 1e-5)


def same_total(actual, expected, inputs):
    """same sum of weights (the picks differ by a tie)"""
    assert actual.sum() == _near(expected.sum(), 1e-9)


def nearly_same_members(actual, expected, inputs):
    """nine of ten indices the same (the peer's float32 decides in nearly singular systems)"""
    assert np.isin(expected, actual).sum() >= 0.9 * len(expected)


def nearly_same_total(actual, expected, inputs):
    """same sum of weights to 1e-2 (the peer's float32 decides in nearly singular systems)"""
    assert actual.sum() == _near(expected.sum(), 1e-2)


def same_draws(sizes_of):
    def rule(actual, expected, inputs):
        """same number from each stratum, up to the order of strata of equal size (the peer's sort leaves ties open)"""
        sizes = sizes_of(inputs)
        order = np.lexsort((expected, sizes))
        np.testing.assert_array_equal(actual, np.column_stack([sizes, expected])[order][sizes[order] > 0])
    return rule


def same_until_explained(key):
    """From the first gain on that leaves less than 1e-6 of s_jj = 1 to explain, the pseudo-inverse gives rounding."""
    def rule(actual, expected, inputs):
        """the same, up to where the kernel is singular but for rounding"""
        over = inputs.peers[key] >= 1 - 1e-6
        end = int(np.argmax(over)) if over.any() else len(over)
        np.testing.assert_allclose(actual[:end], expected[:end], rtol=0 if expected.dtype.kind == "i" else 1e-5)
    return rule


def _near(value, tolerance=2e-6):
    return pytest.approx(value, rel=tolerance)


def cover(kernel, picks):
    """Facility location's value."""
    return kernel[:, picks].max(axis=1).sum()


def cover_gains(kernel, picks):
    """What each sample adds to it."""
    covered = kernel[:, picks].max(axis=1, initial=0)
    return np.maximum(kernel - covered[:, None], 0).sum(axis=0)


def cosine_kernel(vectors):
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 0)
    return 0.5 + 0.5 * unit @ unit.T


def gradient_rows(inputs, rows=slice(None)):
    """The last layer's gradients, in float64."""
    logits, features = (inputs[name][rows].astype(np.float64) for name in ("logits", "emb"))
    error = softmax(logits) - np.eye(logits.shape[1])[inputs.labels[rows]]
    extended = np.column_stack([np.ones(len(features)), features])
    return (error[:, :, None] * extended[:, None, :]).reshape(len(error), -1)


def block_diagonal(kernel_of):
    """A kernel of all samples, 0 between classes."""
    def kernel(inputs):
        whole = np.zeros((len(inputs.labels), len(inputs.labels)))
        for label in np.unique(inputs.labels):
            rows = inputs.rows_of(label)
            whole[np.ix_(rows, rows)] = kernel_of(inputs, rows)
        return whole
    return kernel


def gradient_kernel(inputs, rows=slice(None)):
    return cosine_kernel(gradient_rows(inputs, rows))


def feature_kernel(inputs, rows=slice(None)):
    return cosine_kernel(inputs["emb"][rows].astype(np.float64))


def nearness_kernel(batch_size=None):
    def kernel(inputs, rows):
        gradients = gradient_rows(inputs, rows)
        if batch_size:
            starts = np.arange(len(rows)) // batch_size * batch_size
            gradients /= (np.minimum(starts + batch_size, len(rows)) - starts)[:, None]
        distances = np.linalg.norm(gradients[:, None] - gradients[None], axis=2)
        return distances.max() - distances + 1e-3
    return kernel


# What greedy rules go by: (inputs, rows) -> (picks so far -> values), in float64.

def farthest(inputs, rows):
    vectors = inputs["emb"][rows].astype(np.float64)
    return nearest_pick(distances_of(vectors))


def unlike(inputs, rows):
    p = softmax(inputs["logits"][rows].astype(np.float64))
    return nearest_pick(np.stack([((p - q) * (np.log(p) - np.log(q))).sum(axis=1) for q in p]))


def nearest_pick(distances):
    return lambda picks: distances[:, picks].min(axis=1)


def distances_of(vectors):
    return np.stack([np.linalg.norm(vectors - vector, axis=1) for vector in vectors])


def off_the_mean(sign):
    """Herding's distances; sign: 1 for the farthest, -1 for the nearest."""
    def values_of(inputs, rows):
        vectors = inputs["emb"][rows].astype(np.float64)
        vectors -= vectors.mean(axis=0)
        return lambda picks: sign * np.linalg.norm(vectors[picks].sum(axis=0) + vectors, axis=1)
    return values_of


def cut(kernel_of, lam=1.0):
    def values_of(inputs, rows):
        kernel = kernel_of(inputs, rows)
        coverage = lam * kernel.sum(axis=0)
        return lambda picks: coverage - 2 * kernel[picks].sum(axis=0)
    return values_of


def unexplained(jitter):
    """What the features' kernel leaves of each sample's variance."""
    def values_of(inputs, rows):
        kernel = feature_kernel(inputs, rows) + jitter * np.eye(len(rows))
        return lambda picks: np.diag(kernel) - (kernel[picks] * np.linalg.solve(kernel[np.ix_(picks, picks)],
                                                                                 kernel[picks])).sum(axis=0)
    return values_of


def away(inputs, rows):
    kernel = feature_kernel(inputs, rows)
    return lambda picks: (1 - kernel[picks]).sum(axis=0)


def away_from_nearest(inputs, rows):
    kernel = feature_kernel(inputs, rows)
    return lambda picks: (1 - kernel[picks]).min(axis=0)


def coverage(alpha):
    """What each sample adds to the saturated coverage of the features' kernel."""
    def values_of(inputs, rows):
        kernel = feature_kernel(inputs, rows)
        enough = alpha * kernel.sum(axis=1)

        def values(picks):
            lacking = np.maximum(enough - kernel[:, picks].sum(axis=1), 0)
            return np.minimum(kernel, lacking[:, None]).sum(axis=0)

        return values
    return values_of


def concave(phi):
    """What each sample adds to the sum of phi of the picks' features."""
    def values_of(inputs, rows):
        features = inputs["emb"][rows].astype(np.float64)

        def values(picks):
            sums = features[picks].sum(axis=0)
            return (phi(sums + features) - phi(sums)).sum(axis=1)

        return values
    return values_of


# What we compute: (package, inputs) -> array.

@dataclass(frozen=True)
class Selected:
    """Indices, or another field, of ``select(method, ...)``.

    rows: a class to choose from, as a label, or None for all; its indices count from the first of the class
    budget: number of picks, or the key of an array of the peer with as many; turned into a rate
    fields: evidence beside labels, features and logits, made from the inputs
    by_index: give the field in the order of the indices
    """

    method: str
    options: dict
    budget: int | str | None = None
    rate: float | None = None
    rows: int | None = None
    field: str = "indices"
    fields: Callable = lambda package, inputs: {}
    by_index: bool = False

    def __call__(self, package, inputs):
        rows = slice(None) if self.rows is None else inputs.rows_of(self.rows)
        evidence = inputs.evidence(package, rows, **self.fields(package, inputs))
        budget = inputs.peers[self.budget].size if isinstance(self.budget, str) else self.budget
        rate = self.rate or budget / len(evidence.labels)
        coreset = package.select(self.method, evidence, rate, **self.options)
        values = getattr(coreset, self.field)
        return values[np.argsort(coreset.indices)] if self.by_index else values


def picks_of(method, budget=None, rate=None, rows=None, field="indices", fields=Selected.fields, by_index=False,
             **options):
    return Selected(method, options, budget, rate, rows, field, fields, by_index)


def score_values(name, factor=1, offset=0, fields=Selected.fields, **options):
    """A score, in the peer's direction and units: ``factor * score + offset``."""
    def compute(package, inputs):
        evidence = inputs.evidence(package, **fields(package, inputs))
        return factor * package.score(name, evidence, **options) + offset
    return compute


def with_dynamics(package, inputs):
    return {"dynamics": inputs.dynamics}


def with_runs(package, inputs):
    return {"runs": inputs.runs(package)}


def last_epoch(package, inputs):
    return {"logits": inputs["dyn_logits"][-1]}


def drop_order(rate):
    """Moderate's samples that go, by rising distance."""
    def compute(package, inputs):
        coreset = package.select("moderate", inputs.evidence(package), rate)
        ranked = np.argsort(coreset.scores, kind="stable")
        return ranked[~np.isin(ranked, coreset.indices)]
    return compute


def relabel_first(method, key, field="indices", **options):
    """Selection after moving the peer's first pick to the front, where a tie of all is won; in the peer's indices."""
    def compute(package, inputs):
        peers = inputs.peers[key]
        order = np.concatenate([peers[:1], np.delete(np.arange(len(inputs.labels)), peers[0])])
        coreset = package.select(method, inputs.evidence(package, order), len(peers) / len(order), **options)
        return order[coreset.indices] if field == "indices" else coreset.gains
    return compute


def gains_of(method, key, factor=1.0, offset=0.0, **options):
    """The gains of as many picks as the peer has, in the peer's units: ``factor * gain + offset``."""
    found = picks_of(method, key, field="gains", **options)
    return lambda package, inputs: factor * found(package, inputs) + offset


def value_of(places, method, factor=1.0, **options):
    """The value of a set function for some places: the gains of places already selected."""
    found = picks_of(method, 1, field="gains", already_selected=places, **options)
    return lambda package, inputs: factor * found(package, inputs)[:len(places)].sum()


def kernel_of_first(name, change, count=20):
    """The similarities of the first samples by a kernel, in the peer's form."""
    def compute(package, inputs):
        evidence, rows = inputs.evidence(package, slice(count)), np.arange(count)
        if package.__name__ == "torch_ref":
            from torch_ref.submodular import similarities

            return change(similarities(evidence, rows, name).numpy())
        from ms_coreset.selectors.submodular.kernel_methods import similarity_of

        return change(similarity_of(evidence, rows, name).rows(rows))
    return compute


def exponential(rows, others):
    """submodlib's kernel "euclidean"."""
    return np.exp(-cdist(rows, others) / rows.shape[1])


def plain_cosine(rows, others):
    """submodlib's kernel "cosine"; what is below 0 adds nothing there."""
    return np.maximum(1 - cdist(rows, others, "cosine"), 0)


def nearest_pairs(kernel, count=20):
    """submodlib's sparse kernel: pairs one of which is among the nearest ``count`` of the other, itself included."""
    def fields(package, inputs):
        features = inputs["emb"].astype(np.float64)
        similarity = kernel(features, features)
        near = np.argsort(np.argsort(-similarity, axis=1, kind="stable"), axis=1) < count
        return {"similarity": sparse.csr_matrix(np.where(near | near.T, similarity, 0))}
    return fields


def dense(fields):
    """A kernel of ``same_order_but_ties`` from ``nearest_pairs``."""
    return lambda inputs: fields(None, inputs)["similarity"].toarray()


def peer_score(key, sign=1):
    """The peer's own scores as evidence: as distances to the boundary, of which the lowest is kept."""
    return lambda package, inputs: {"boundary": -sign * inputs.peers[key].astype(np.float64)}


def survivors(key, beta):
    """What CCS does not cut off, given the peer's own margins: all of it is asked for."""
    def compute(package, inputs):
        margins = inputs.peers[key][None].astype(np.float64)
        dynamics = SimpleNamespace(**{**vars(inputs.dynamics), "logit_margin": margins, "margin": margins})
        evidence = inputs.evidence(package, dynamics=dynamics)
        return package.select("ccs", evidence, 1 - int(beta * len(inputs.labels)) / len(inputs.labels), score="aum",
                              mis_ratio=beta, cutoff_score="aum").indices
    return compute


def draws(sizes, k):
    """Pairs of size and number of draws of the strata that are not empty, for strata of the given sizes; sorted."""
    def compute(package, inputs):
        counts = sizes(inputs)
        full = counts.nonzero()[0]
        counts = counts[full[0]:full[-1] + 1]
        stratum = np.repeat(np.arange(len(counts)), counts)
        # From the middle of each stratum, but for the ends, which set the range.
        value = np.where(stratum == 0, 0.0, np.where(stratum == len(counts) - 1, len(counts), stratum + 0.5))
        evidence = package.Evidence(labels=np.zeros(len(value), int), boundary=-value)
        total = k(inputs) if callable(k) else k
        coreset = package.select("ccs", evidence, total / len(value), score="deepfool", strata=len(counts))
        pairs = np.column_stack([counts, np.bincount(stratum[coreset.indices], minlength=len(counts))])
        return np.array(sorted(pairs[counts > 0].tolist()))
    return compute


@dataclass(frozen=True)
class Case:
    """An array of the peers (``key``), what we compute, and the rule by which they agree."""

    key: str
    compute: Callable
    rule: Callable

    @property
    def rule_name(self):
        return (self.rule.__doc__ or self.rule.__name__).splitlines()[0]


def _moderate():
    yield Case("moderate/distance", score_values("center_distance"), from_medians_in_float64)
    for rate in (0.1, 0.2, 0.5, 0.8):
        yield Case(f"moderate/rate{rate}/drop_ids", drop_order(rate),
                   same_values_picked("moderate/distance", 1e-6, 1e-6))


def _each(peer, method, rule_of, rates=(0.1, 0.3), **options):
    """rule_of: balance -> rule"""
    for mode, balance in (("bal", True), ("unb", False)):
        for rate in rates:
            yield Case(f"dc/{peer}/{mode}/f{rate}/indices", picks_of(method, rate=rate, balance=balance, **options),
                       rule_of(balance))


def _geometry():
    yield from _each("Uniform", "random", lambda balance: same_order, seed=7)
    yield from _each("kCenterGreedy", "k_center", lambda balance: same_but_near_ties(farthest, balance, given=1),
                     seed=7)
    yield from _each("ContextualDiversity", "contextual_diversity",
                     lambda balance: same_but_near_ties(unlike, balance, given=1), seed=7)
    yield from _each("Herding", "herding", lambda balance: same_but_near_ties(off_the_mean(1), balance),
                     variant="deepcore")
    order = same_but_near_ties(farthest, ordered=True, given=1)
    for kind in ("f32", "f64metric"):
        for count in ("order60", "k2", "k10", "k60", "k150"):
            key = f"dc/kcenter_fn/{kind}/seed7/{count}"
            yield Case(key, picks_of("k_center", key, seed=7),
                       order if count == "order60" else same_but_near_ties(farthest, given=1))
    yield Case("dc/kcenter_fn/f32/already_5_17_budget20", picks_of("k_center", 20, already_selected=(5, 17)),
               same_but_near_ties(farthest, given=2))
    yield Case("d2/kcenter/first0_order60", picks_of("k_center", 59, already_selected=(0,)), order)
    for kind in ("f32", "f64"):
        key = f"dc/herding_fn/{kind}/order60"
        yield Case(key, picks_of("herding", key, variant="deepcore"),
                   same_but_near_ties(off_the_mean(1), ordered=True))
    key = "dc/herding_fn/f64_negmetric_argmin/order60"
    yield Case(key, picks_of("herding", key), same_but_near_ties(off_the_mean(-1), ordered=True))


def _rank():
    names = {"LeastConfidence": "least_confidence", "Entropy": "entropy", "Margin": "margin"}
    for peer, name in names.items():
        # The peer's scores are of certainty; its margin is p_(1) - p_(2), ours 1 minus that.
        offset, key = 1 if name == "margin" else 0, f"dc/Uncertainty_{peer}/scores"
        yield Case(key, score_values(name, -1, offset, variant="deepcore"), close(1e-4, 1e-6))
        yield from _ranked(f"Uncertainty_{peer}", name, key, 1e-4, 1e-6, variant="deepcore")
    for mode, within in (("bal", True), ("unb", False)):
        key, head = f"dc/Cal/{mode}", {"variant": "deepcore", "direction": "lowest", "within_class": within}
        unclear = unclear_neighbors(within)
        ranked = same_values_picked(f"{key}/scores", 1e-5, 1e-9, unclear)
        yield Case(f"{key}/scores", score_values("cal", -1, **head), close(1e-5, 1e-9, unclear))
        yield Case(f"{key}/f0.1/indices", picks_of("cal", rate=0.1, balance=within, **head), ranked)
        yield Case(f"{key}/f0.1/top_of_scores_highest",
                   picks_of("cal", rate=0.1, balance=within, within_class=within), ranked)
    for scale, options in (("scale1", {}), ("quirkB128", {"variant": "deepcore"})):
        key = f"dc/GraNd/{scale}/mean"
        yield Case(key, score_values("grand", fields=with_runs, **options), close(1e-5, 1e-8))
        yield Case(f"dc/GraNd/{scale}/norm_matrix", _norm_matrix(options), close(1e-3, 1e-6))
        yield from _ranked(f"GraNd/{scale}", "grand", key, 1e-5, 1e-8, fields=with_runs, **options)
    key = "dc/GraNd/scale1_mlp/norm"
    yield Case(key, score_values("grand"), close(1e-3, 1e-6))
    yield Case("dc/GraNd/scale1_mlp/unb/f0.1/indices", picks_of("grand", rate=0.1),
               same_values_picked(key, 1e-3, 1e-6))
    yield Case("dc/Forgetting/scores", score_values("forgetting", fields=with_dynamics, never_learned="zero"),
               same_order)
    yield from _ranked("Forgetting", "forgetting", "dc/Forgetting/scores", fields=with_dynamics, never_learned="zero")
    yield Case("ccs/entropy", score_values("entropy"), close(1e-3, 1e-6))
    yield Case("ccs/loss", score_values("loss"), close(1e-3, 1e-6))
    yield Case("ccs/correctness", score_values("correctness", -1, fields=with_dynamics), equal_where_clear)
    yield Case("ccs/forgetting", score_values("forgetting", fields=with_dynamics, never_learned="zero"),
               equal_where_clear)
    yield Case("ccs/accumulated_margin", score_values("accumulated_margin", -1, fields=with_dynamics),
               near_in_half_precision(margin_error))
    # CCS sums over the first 10 epochs.
    yield Case("ccs/el2n", score_values("el2n", 10, fields=with_dynamics, first=0, last=10),
               near_in_half_precision(norm_error, epochs=10))
    yield Case("dual/el2n_epoch5", score_values("el2n", fields=with_dynamics, first=5, last=6), close(1e-4, 1e-6))
    yield Case("dual/entropy_last", score_values("entropy", fields=last_epoch), close(1e-3, 1e-6))
    yield Case("dual/forgetting", score_values("forgetting", fields=with_dynamics, never_learned="zero"), same_order)
    yield Case("datadiet/forget_scores_never_inf", _never_learned_as_infinite, same_order)
    yield Case("datadiet/never_correct", _never_learned, same_members)
    yield from _monotonic()


def _ranked(peer, name, key, rtol=0.0, atol=0.0, **options):
    """The highest of a score, of which the peer's own are ``key``."""
    yield from _each(peer, name, lambda balance: same_values_picked(key, rtol, atol), rates=(0.1,), **options)


def unclear_neighbors(within_class, count=10):
    """Samples whose nearest others are not clear to float32: as many, and one more, are as far to 1e-5."""
    def samples(inputs):
        found = []
        for rows in inputs.pools(within_class):
            vectors = inputs["emb"][rows].astype(np.float64)
            distances = np.sort(distances_of(vectors), axis=1)[:, count:count + 2]
            if distances.shape[1] == 2:
                found += rows[distances[:, 1] - distances[:, 0] <= 1e-5 * distances[:, 1]].tolist()
        return found
    return samples


def _norm_matrix(options):
    return lambda package, inputs: np.column_stack([package.score("grand", run, **options)
                                                    for run in inputs.runs(package)])


def _never_learned_as_infinite(package, inputs):
    evidence = inputs.evidence(package, dynamics=inputs.dynamics)
    scores = package.score("forgetting", evidence)
    return np.where(scores == len(inputs.dynamics.correct), np.inf, scores)


def _never_learned(package, inputs):
    return np.flatnonzero(np.isinf(_never_learned_as_infinite(package, inputs)))


def _monotonic():
    for name in ("accumulated_margin", "el2n", "forgetting", "entropy"):
        for direction, sign in (("desc", 1), ("asc", -1)):
            score, fields = f"ccs/{name}", peer_score(f"ccs/{name}", sign)
            key = f"ccs/monotonic/{name}/{direction}_f0.3"
            yield Case(key, picks_of("deepfool", key, fields=fields), same_values_picked(score))
            key = f"ccs/monotonic_classbal/{name}/{direction}_f0.3"
            yield Case(key, _of_each_class(key, fields), same_values_picked(score))


def _of_each_class(key, fields):
    """The highest of each class, as many as the peer has of it: not the same share where classes are uneven."""
    def compute(package, inputs):
        counts = np.bincount(inputs.labels[inputs.peers[key]])
        ranked = package.select("deepfool", inputs.evidence(package, **fields(package, inputs)), 1.0).indices
        return np.concatenate([ranked[inputs.labels[ranked] == label][:count] for label, count in enumerate(counts)])
    return compute


def _strata():
    def craft(inputs):
        return inputs.peers["ccs/alloc/crafted_bins"]

    for k in (7, 20, 50, 120, 180):
        yield Case(f"ccs/alloc/crafted_k{k}", draws(craft, k), same_draws(craft))
    for name in ("accumulated_margin", "el2n", "forgetting", "entropy"):
        for rate in (0.1, 0.3, 0.5):
            for beta in (0, 0.1, 0.3):
                yield from _stratify(f"ccs/stratified/{name}/f{rate}_beta{beta}", beta)


def _stratify(folder, beta):
    def sizes(inputs):
        return inputs.peers[f"{folder}/bin_sizes"]

    yield Case(f"{folder}/survivor_index", survivors("ccs/accumulated_margin", beta),
               same_values_kept("ccs/accumulated_margin"))
    allotted = draws(sizes, lambda inputs: inputs.peers[f"{folder}/budgets"].sum())
    for key in ("budgets", "sampled_per_bin"):
        yield Case(f"{folder}/{key}", allotted, same_draws(sizes))


def _submodular():
    yield from _maximizers("dc/sub/class3_gradcos", {"rows": 3},
                           lambda inputs: gradient_kernel(inputs, inputs.rows_of(3)))
    yield from _maximizers("dc/sub/all_embcos", {"kernel": "features"}, feature_kernel)
    for greedy in ("naive", "lazy"):
        folder = f"dc/Submodular/scale1/{{}}/{greedy.capitalize()}Greedy"
        for mode, balance in (("bal", True), ("unb", False)):
            covers = same_cover(block_diagonal(gradient_kernel) if balance else gradient_kernel)
            cuts = same_but_near_ties(cut(gradient_kernel), balance)
            for function, method, rule in (("FacilityLocation", "facility_location", covers),
                                           ("GraphCut", "graph_cut", cuts)):
                for rate in (0.1, 0.3):
                    yield Case(f"{folder.format(function)}/{mode}/f{rate}/indices",
                               picks_of(method, rate=rate, balance=balance, greedy=greedy), rule)
    yield Case("dc/Submodular/quirkB16/GraphCut/LazyGreedy/bal/f0.1/indices",
               picks_of("graph_cut", rate=0.1, balance=True), same_but_near_ties(cut(gradient_kernel), True))
    yield from _submodlib_and_apricot()


def _maximizers(folder, options, kernel_of):
    """DeepCore's maximizers on a kernel of some samples."""
    for greedy in ("naive", "lazy"):
        peer = f"{greedy.capitalize()}Greedy"
        yield from _order_and_gains(f"{folder}/FacilityLocation/{peer}", "facility_location",
                                    same_order_but_ties(kernel_of), greedy=greedy, **options)
        # DeepCore leaves out the similarity of a sample to itself, which is 1.
        yield from _order_and_gains(f"{folder}/GraphCut/{peer}", "graph_cut", same_order_within(kernel_of), offset=1.0,
                                    greedy=greedy, **options)
        key = f"{folder}/LogDeterminant_quirk/{peer}"
        quirk = same_until_explained(f"{key}/gains")
        yield from _order_and_gains(key, "log_determinant", quirk, quirk, greedy=greedy, variant="deepcore", **options)
    # These stop short of the best: after a tie, they may come to sets that are less alike.
    for name, how in (("ApproximateLazyGreedy", {"greedy": "approximate_lazy"}),
                      ("StochasticGreedy_eps0.9_seed0", {"greedy": "stochastic", "epsilon": 0.9, "seed": 0}),
                      ("StochasticGreedy_eps0.1_seed0", {"greedy": "stochastic", "epsilon": 0.1, "seed": 0})):
        yield from _order_and_gains(f"{folder}/FacilityLocation/{name}", "facility_location",
                                    same_order_but_ties(kernel_of, 1e-2), same_values_along(1e-2), **how, **options)
    yield from _order_and_gains(f"{folder}/GraphCut_lam2/NaiveGreedy", "graph_cut", same_order_within(kernel_of, 2.0),
                                offset=1.0, lam=2.0, **options)


def _order_and_gains(folder, method, rule, of_gains=None, *, factor=1.0, offset=0.0, **options):
    """The picks, and their gains in the peer's units."""
    yield Case(f"{folder}/order", picks_of(method, f"{folder}/order", **options), rule)
    yield Case(f"{folder}/gains", gains_of(method, f"{folder}/order", factor, offset, **options),
               of_gains or same_values_along())


def _submodlib_and_apricot():
    covers = same_order_but_ties(feature_kernel)
    for greedy in ("naive", "lazy"):
        peer = f"{greedy.capitalize()}Greedy"
        options = {"kernel": "features", "greedy": greedy}
        for folder in (f"submodlib/FL_cos01/{peer}", f"apricot/FL_cos01/{greedy}"):
            yield from _order_and_gains(folder, "facility_location", covers, **options)
        for lam in (0.4, 0.5, 1):
            # Its lam weighs the redundancy, ours the coverage.
            yield from _order_and_gains(f"submodlib/GraphCut_cos01_lam{lam}/{peer}", "graph_cut",
                                        same_order_within(feature_kernel, 1 / lam), factor=lam, lam=1 / lam, **options)
        for jitter in (0.001, 1):
            folder = f"submodlib/LogDet_cos01_lam{jitter}/{peer}"
            found = {field: relabel_first("log_determinant", f"{folder}/order", field, jitter=jitter, **options)
                     for field in ("indices", "gains")}
            yield Case(f"{folder}/order", found["indices"],
                       same_but_near_ties(unexplained(jitter), ordered=True, given=1))
            yield Case(f"{folder}/gains", found["gains"], close(atol=1e-3))
        yield from _order_and_gains(f"apricot/GraphCut_cos01_alpha1/{greedy}", "graph_cut",
                                    same_order_within(feature_kernel), **options)
        yield from _order_and_gains(f"apricot/SaturatedCoverage_cos01_alpha0.1/{greedy}", "saturated_coverage",
                                    same_but_near_ties(coverage(0.1), ordered=True), **options)
        for name, phi in (("sqrt", np.sqrt), ("log", np.log1p)):
            yield from _order_and_gains(f"apricot/FeatureBased_{name}/{greedy}", "feature_based",
                                        same_but_near_ties(concave(phi), ordered=True), concave=name, greedy=greedy)
    for name, method, values_of in (("Sum", "disparity_sum", away), ("Min", "disparity_min", away_from_nearest)):
        folder = f"submodlib/Disparity{name}_cos01/NaiveGreedy"
        yield Case(f"{folder}/order", relabel_first(method, f"{folder}/order", kernel="features"),
                   same_but_near_ties(values_of, ordered=True, given=1))
        yield Case(f"{folder}/gains", relabel_first(method, f"{folder}/order", "gains", kernel="features"),
                   close(atol=1e-4))
    yield from _kernels()
    some = (0, 10, 20)
    for key, method, options in (("FL_cos01", "facility_location", {}), ("LogDet_lam0.001", "log_determinant",
                                                                         {"jitter": 0.001}),
                                 ("GraphCut_lam0.5", "graph_cut", {"factor": 0.5, "lam": 2.0}),
                                 ("DisparitySum", "disparity_sum", {}), ("DisparityMin", "disparity_min", {})):
        yield Case(f"submodlib/{key}/value_of_0_10_20", value_of(some, method, kernel="features", **options),
                   same_value)


def _kernels():
    """Other kernels than our own, as functions, as pairs that are given, and by name."""
    def whole(kernel):
        return lambda inputs: kernel(*2 * [inputs["emb"].astype(np.float64)])

    for name, kernel in (("euclidean", exponential), ("cosine", plain_cosine)):
        yield from _order_and_gains(f"submodlib/FL_data_{name}/NaiveGreedy", "facility_location",
                                    same_order_but_ties(whole(kernel)), kernel=kernel)
        pairs = nearest_pairs(kernel)
        yield from _order_and_gains(f"submodlib/FL_sparse20_{name}/NaiveGreedy", "facility_location",
                                    same_order_but_ties(dense(pairs)), fields=pairs)
    yield Case("submodlib/kernel_cosine_first20", kernel_of_first("features", lambda found: 2 * found - 1),
               close(atol=1e-6))
    yield Case("submodlib/kernel_euclidean_first20", kernel_of_first(
        "euclidean", lambda found: np.exp(-np.sqrt(found[0, 0] - found) / 32)), close(atol=1e-6))
    yield from _order_and_gains("apricot/FL_data_euclidean/naive", "facility_location",
                                same_order_but_ties(farthest_less_squares), kernel="euclidean")


def farthest_less_squares(inputs):
    """apricot's kernel "euclidean"."""
    squares = cdist(*2 * [inputs["emb"].astype(np.float64)], "sqeuclidean")
    return squares.max() - squares


def _craig():
    def kernel_of_class(inputs):
        return nearness_kernel()(inputs, inputs.rows_of(3))

    for greedy in ("naive", "lazy"):
        yield from _order_and_gains(f"dc/craig_fn/class3/{greedy.capitalize()}Greedy", "craig",
                                    same_order_but_ties(kernel_of_class), rows=3, greedy=greedy)
    single, key = {"variant": "deepcore", "batch_size": 1}, "dc/craig_fn/class3/weights_ascending_1plus"
    yield Case(key, picks_of("craig", key, rows=3, field="weights", by_index=True, **single),
               same_clusters("dc/craig_fn/class3/NaiveGreedy/order", kernel_of_class))
    for scale, batch_size in (("scale1", 1), ("quirkB16", 16)):
        kernel = block_diagonal(nearness_kernel(batch_size))
        for rate in (0.1, 0.3):
            options = {"rate": rate, "balance": True, "variant": "deepcore", "batch_size": batch_size}
            yield Case(f"dc/Craig/{scale}/bal/f{rate}/indices", picks_of("craig", **options), same_cover(kernel))
            yield Case(f"dc/Craig/{scale}/bal/f{rate}/weights", picks_of("craig", field="weights", **options),
                       same_total)
    folder, kernel = "dc/Craig/scale1/unb_oneblock/f0.1", block_diagonal(nearness_kernel())
    yield Case(f"{folder}/indices", picks_of("craig", rate=0.1, **single), same_cover(kernel))
    yield Case(f"{folder}/weights", picks_of("craig", rate=0.1, field="weights", **single), same_total)


def _matching():
    for where, k, rows in (("class3_k12", 12, 3), ("class7_k15", 15, 7), ("all_k60", 60, None)):
        options = {"budget": k, "rows": rows, "variant": "deepcore", "batch_size": 1}
        yield from _match(f"dc/gradmatch_fn/lam1/{where}", options)
    for scale, batch_size in (("scale1_lam1", 1), ("quirkB16", 16)):
        for rate in (0.1, 0.3):
            options = {"rate": rate, "balance": True, "variant": "deepcore", "batch_size": batch_size}
            yield from _match(f"dc/GradMatch/{scale}/bal/f{rate}", options)
    yield from _match("dc/GradMatch/scale1_lam1/unb/f0.1", {"rate": 0.1, "variant": "deepcore", "batch_size": 1})


def _match(folder, options):
    yield Case(f"{folder}/indices", picks_of("gradmatch", **options), same_members)
    # The peer's weights are in the order of the indices within each class, in ours within all: sorted by size.
    yield Case(f"{folder}/weights", lambda *given: np.sort(picks_of("gradmatch", field="weights", **options)(*given)),
               sorted_weights)


def _cords():
    """CORDS' solvers, which match the sum of a class's gradients, and its strategies by them."""
    solvers = {"OrthogonalMP_REG": "cpu", "OrthogonalMP_REG_NNLS": "nnls", "OrthogonalMP_REG_Parallel": "v0",
               "OrthogonalMP_REG_Parallel_V1": "v1"}
    single = {"OrthogonalMP_REG_NNLS_Parallel": "nnls", "OrthogonalMP_REG_Parallel": "v0",
              "OrthogonalMP_REG_Parallel_V1": "v1"}
    for where, k, rows in (("class3_k12", 12, 3), ("class7_k15", 15, 7)):
        for lam in (0, 0.5):
            options = {"budget": k, "rows": rows, "variant": "cords", "lam": lam, "refill": "none"}
            for kind, names, members, rule in (("omp", solvers, same_members, close(1e-4, 1e-5)),
                                               ("omp_f32", single, nearly_same_members, nearly_same_total)):
                for name, solver in names.items():
                    folder = f"cords/{kind}/{name}/lam{lam}/{where}"
                    yield Case(f"{folder}/indices", picks_of("gradmatch", solver=solver, **options), members)
                    yield Case(f"{folder}/weights", picks_of("gradmatch", solver=solver, field="weights", by_index=True,
                                                             **options), rule)
    for name, solver, lam in (("cpu_lam0", "cpu", 0), ("torchdev_v1_lam0.5", "v1", 0.5),
                              ("torchdev_v0_lam0.5", "v0", 0.5)):
        folder = f"cords/GradMatch_PerClass/{name}"
        yield Case(f"{folder}/indices_sorted", _rounded_up(solver, lam, "indices"), same_members)
        yield Case(f"{folder}/weights_sorted", _rounded_up(solver, lam, "weights"), close(1e-3, 1e-3))
    folder, kernel = "cords/Craig_PerClass/sequential_sampler", block_diagonal(squared_nearness_kernel)
    options = {"rate": 0.1, "balance": True, "variant": "cords"}
    yield Case(f"{folder}/indices_sorted", picks_of("craig", **options), same_cover(kernel))
    yield Case(f"{folder}/weights_sorted", picks_of("craig", field="weights", **options), same_total)


def _rounded_up(solver, lam, field):
    """GradMatch of each class, whose budgets CORDS rounds up, by index; what is missing of all is drawn."""
    def compute(package, inputs):
        weights, n = np.zeros(len(inputs.labels)), len(inputs.labels)
        for rows in inputs.pools(True):
            budget = math.ceil(Fraction(round(0.1 * n) * len(rows), n))
            found = package.select("gradmatch", inputs.evidence(package, rows), budget / len(rows), variant="cords",
                                   solver=solver, lam=lam, refill="none")
            weights[rows[found.indices]] = found.weights
        left = np.flatnonzero(weights == 0)
        missing = max(0, round(0.1 * n) - (n - len(left)))
        weights[np.random.RandomState(0).choice(left, missing, replace=False)] = 1
        return np.flatnonzero(weights) if field == "indices" else weights[weights != 0]
    return compute


def squared_nearness_kernel(inputs, rows):
    gradients = gradient_rows(inputs, rows)
    squares = cdist(gradients, gradients, "sqeuclidean")
    return squares.max() - squares


def sorted_weights(actual, expected, inputs):
    """same weights, by size: rtol 1e-4, atol 1e-6"""
    np.testing.assert_allclose(actual, np.sort(expected), rtol=1e-4, atol=1e-6)


def _glister():
    for scale, batch_size in (("scale1_static", 1), ("quirkB16_static", 16)):
        for rate in (0.1, 0.3):
            yield Case(f"dc/Glister/{scale}/bal/f{rate}/indices",
                       picks_of("glister", rate=rate, balance=True, variant="deepcore", batch_size=batch_size),
                       same_members)
    for mode, where in (("bal", "per_class"), ("unb", "all")):
        options = {"rate": 0.1, "balance": mode == "bal"}
        yield Case(f"dc/Glister/scale1_update_wired/{mode}/f0.1/order", picks_of("glister", **options), same_order)
        yield Case(f"dc/Glister/scale1/initial_gains_{where}", picks_of("glister", field="scores", **options),
                   close(1e-3, 1e-6))
    folder = "cords/Glister/Supervised"
    yield Case(f"{folder}/initial_gains", picks_of("glister", rate=0.1, field="scores", aggregate="sum"),
               close(1e-3, 1e-6))
    for name, rounds in (("Naive", None), ("RGreedy_r5", 5), ("RGreedy_r15", 15)):
        key = f"{folder}_{name}_k60_eta0.1/order"
        yield Case(key, picks_of("glister", key, rounds=rounds, aggregate="sum"), same_order)


def pixel_network(package, inputs):
    """The convolutional net of the peers, on pixels: a callable of MindSpore tensors, or a module of torch."""
    weights = {layer: (inputs[f"conv_{layer}_weight"], inputs[f"conv_{layer}_bias"]) for layer in ("c1", "c2", "fc")}
    if package.__name__ == "torch_ref":
        return _torch_network(weights)
    from mindspore import Tensor, ops

    tensors = {layer: tuple(map(Tensor, arrays)) for layer, arrays in weights.items()}

    def logits(x):
        for layer in ("c1", "c2"):
            x = ops.relu(ops.conv2d(x, *tensors[layer], pad_mode="pad", padding=1))
            x = ops.max_pool2d(x, 2, 2)
        return ops.matmul(x.reshape(x.shape[0], -1), tensors["fc"][0].T) + tensors["fc"][1]

    return logits


def _torch_network(weights):
    import torch
    from torch import nn

    layers = {"c1": nn.Conv2d(1, 8, 3, padding=1), "c2": nn.Conv2d(8, 16, 3, padding=1), "fc": nn.Linear(64, 10)}
    for layer, arrays in weights.items():
        layers[layer].load_state_dict(dict(zip(("weight", "bias"), map(torch.tensor, arrays), strict=True)))
    return nn.Sequential(layers["c1"], nn.ReLU(), nn.MaxPool2d(2), layers["c2"], nn.ReLU(), nn.MaxPool2d(2),
                         nn.Flatten(), layers["fc"])


def attack_images(name, start=None, **options):
    """Images attacked by the function of that name; start: the key of the peer's own starting places."""
    def compute(package, inputs):
        given = options if start is None else options | {"start": inputs.peers[start]}
        network = pixel_network(package, inputs)
        return getattr(package, name)(network, inputs["att_images"], inputs["att_labels"], **given)
    return compute


def _attacks():
    same_pixels = close(atol=1e-5)
    for levels in (8, 32):
        yield Case(f"attacks/FGSM_eps{levels}_255", attack_images("gradient_sign", eps=levels / 255), same_pixels)
        yield Case(f"attacks/PGD_eps{levels}_alpha{levels // 4}_steps10_norandom",
                   attack_images("projected_gradient", eps=levels / 255, alpha=levels / 4 / 255), same_pixels)
    yield Case("attacks/BIM_eps8_alpha2_steps10", attack_images("projected_gradient"), same_pixels)
    yield Case("attacks/PGD_eps8_alpha2_steps10_random_torchseed0",
               attack_images("projected_gradient", start="attacks/PGD_random_torchseed0_start"), same_pixels)


def _uncertain_over_time():
    """The peers multiply both scores by 10."""
    for name, ours in (("dynunc", "dyn_unc"), ("dual", "dual")):
        for window in (10, 6, 4):
            yield Case(f"dual/{name}/win{window}", score_values(ours, 10, fields=with_dynamics, window=window),
                       close(1e-5, 1e-7))
    yield Case("dualbeta/win6/score", score_values("dual", 10, fields=with_dynamics, window=6), close(1e-5, 1e-7))
    for window in (10, 6, 4):
        yield Case(f"tdds/win{window}/score", score_values("tdds", fields=with_dynamics, window=window),
                   close(2e-3, 1e-6))
    # Its code leaves out the window that ends with the last epoch.
    yield Case("dynunc_official/win6/score", _but_the_last_epoch("score", "dyn_unc", 10), close(1e-5, 1e-7))
    yield Case("dynunc_official/win6/f0.3_kept_ascending", _but_the_last_epoch("select", "dyn_unc"), same_members)
    for early, late in (("0-4", "7-11"), ("0-3", "5-10")):
        for weight in (0.5, 0.3):
            compute = score_values("eva", fields=with_dynamics, early=early, late=late, weight=weight)
            yield Case(f"eva/f32/e{early}_l{late}_wt{weight}", compute, close(1e-4, 1e-7))
            yield Case(f"eva/f16/e{early}_l{late}_wt{weight}", compute, close(5e-2, 1e-6))


def _loss_correlations():
    for label in range(10):
        yield Case(f"cld/class{label}/train_positions_high_to_low", _by_correlation(label), same_order)


def _by_correlation(label):
    """A class's samples by falling score, as positions among all that were not held out."""
    def compute(package, inputs):
        held_out = np.isin(np.arange(len(inputs.labels)), inputs.peers["cld/validation_rows"])
        dynamics = SimpleNamespace(loss=np.where(held_out, np.nan, inputs.dynamics.loss),
                                   validation_loss=np.where(held_out, inputs.dynamics.loss, np.nan))
        trained = np.flatnonzero(~held_out)
        values = package.score("cld", inputs.evidence(package, dynamics=dynamics))[trained]
        ranked = np.argsort(-values, kind="stable")
        return ranked[inputs.labels[trained][ranked] == label]
    return compute


def _several_models():
    for rate in (0.1, 0.3, 0.5):
        picked = picks_of("ram_apl", rate=rate, balance=True, fields=both_models)
        yield Case(f"ramapl/emb_and_X/f{rate}_indices", picked, best_of_each_class(rate))


def both_models(package, inputs):
    return {"runs": tuple(inputs.evidence(package, features=inputs[name]) for name in ("emb", "X"))}


def best_of_each_class(rate):
    def rule(actual, expected, inputs):
        """as many of each class, none worse than the last of ours by 1e-6 (the peer's sort leaves ties open)"""
        import ms_coreset as mc

        values = mc.score("ram_apl", inputs.evidence(mc, **both_models(mc, inputs)), kept=rate)
        labels = inputs.labels
        np.testing.assert_array_equal(np.bincount(labels[actual]), np.bincount(labels[expected]))
        for label in np.unique(labels):
            last = values[actual[labels[actual] == label]].min()
            assert values[expected[labels[expected] == label]].min() >= last - 1e-6
            assert values[expected[labels[expected] == label]].min() <= last + 1e-6
    return rule


def _but_the_last_epoch(call, name, factor=1):
    def compute(package, inputs):
        evidence = inputs.evidence(package, dynamics=inputs.dynamics)
        options = {"window": 6, "epochs": len(inputs.dynamics.probability) - 1}
        if call == "score":
            return factor * package.score(name, evidence, **options)
        kept = len(inputs.peers["dynunc_official/win6/f0.3_kept_ascending"])
        return package.select(name, evidence, kept / len(inputs.labels), **options).indices
    return compute


def _geometric_medians():
    for label in range(10):
        for metric, ours in (("cosine", "cosine"), ("L2", "euclidean")):
            key = f"gm/class{label}/gm_matching_mean_{metric}_order"
            yield Case(key, _within(key, label, "gm_matching", metric=ours, start="mean"), same_order)
        for name, rule in (("moderate", "window"), ("hard", "top"), ("easy", "bottom")):
            key = f"gm/class{label}/{name}"
            yield Case(key, _within(key, label, "center_distance", rule, center="geometric_median"), same_members)


def _within(key, label, name, rule=None, **options):
    """As many as the peer picked of a class, by a method or by a score and a rule."""
    def compute(package, inputs):
        evidence = inputs.evidence(package, inputs.rows_of(label))
        rate = len(inputs.peers[key]) / len(evidence.labels)
        if rule is None:
            return package.select(name, evidence, rate, **options).indices
        return package.select_by(name, rule, evidence, rate=rate, balance=True, **options).indices
    return compute


def _prototypes():
    """The peer's clusters are its own: given to us as labels, whose means are their centers."""
    for kind, labels in (("self", lambda inputs: inputs.peers["sslproto/labels"]),
                         ("supervised", lambda inputs: inputs.labels)):
        for keep in ("hard", "easy"):
            yield Case(f"sslproto/{kind}/{keep}_euclidean_f0.3", _nearest_or_farthest(labels, keep), same_members)
    yield Case("sslproto/centers", _inertia, no_worse_inertia)


def _nearest_or_farthest(labels, keep):
    def compute(package, inputs):
        evidence = inputs.evidence(package, labels=labels(inputs).astype(np.int64))
        return package.select("prototype", evidence, 0.3, balance=True, groups="labels", metric="euclidean",
                              keep=keep).indices
    return compute


def _inertia(package, inputs):
    """Of ten Euclidean clusters."""
    evidence = inputs.evidence(package)
    return (package.score("prototype", evidence, clusters=10, metric="euclidean")**2).sum()


def no_worse_inertia(actual, expected, inputs):
    """same sum of squared distances from ten centers, to 1 % (draws differ)"""
    features = inputs["emb"].astype(np.float64)
    assert actual == _near(((features - expected[inputs.peers["sslproto/labels"]])**2).sum(), 0.01)


def _beta_draws():
    for pruned in (0.5, 0.7, 0.9):
        key = f"dualbeta/win6/cd4_prune{pruned}/picked_npseed0"
        yield Case(key, _drawn_by_beta(key, pruned), same_order)


def _drawn_by_beta(key, pruned):
    """As many as the peer, which cuts (1 - r) n down, by its own density: c_d such that (1 - rate)^c_d = r^4."""
    def compute(package, inputs):
        rate = inputs.peers[key].size / len(inputs.labels)
        evidence = inputs.evidence(package, dynamics=inputs.dynamics)
        return package.select_by("dual", "beta", evidence, rate=rate, window=6,
                                 c_d=4 * np.log(pruned) / np.log(1 - rate)).indices
    return compute


def _quotas():
    """The peers leave what they round off unassigned."""
    for rate in (0.1, 0.5, 0.8):
        yield Case(f"metriq_datacull/f{rate}/class_counts", counted("drop", rate), within_one_each)
    for k in (30, 90, 150, 240):
        yield Case(f"drop/crafted/k{k}/uniform_quota", counted("proportional", k / 300, craft=True),
                   share_within_one(k))


def with_recall(package, sizes, recall):
    """Evidence of classes of these sizes, whose validation set has exactly this recall, a fraction, of each."""
    labels, fractions = np.repeat(np.arange(len(sizes)), sizes), [Fraction(part).limit_denominator(10000)
                                                                  for part in np.asarray(recall, float).tolist()]
    judged = np.repeat(np.arange(len(sizes)), [part.denominator for part in fractions])
    right = np.concatenate([np.arange(part.denominator) < part.numerator for part in fractions])
    logits = 5 * np.eye(len(sizes))[np.where(right, judged, (judged + 1) % len(sizes))]
    return package.Evidence(labels, logits=np.zeros((len(labels), len(sizes))),
                            validation=package.Evidence(judged, logits=logits))


def counted(quota, rate, craft=False):
    """How many of each class a quota gives, of the set's own classes or of the crafted ones, by the peer's recall."""
    def compute(package, inputs):
        peers = inputs.peers
        sizes = peers["drop/crafted_sizes"] if craft else np.bincount(inputs.labels)
        recall = peers["drop/crafted_recall" if craft else "drop/recall_mean_of_3"]
        evidence = with_recall(package, sizes, recall)
        # What is rounded up to a sample more would move shares of classes, too.
        whole = math.floor(round(rate * len(evidence.labels), 6))
        picks = package.select("random", evidence, whole / len(evidence.labels), quota=quota).indices
        return np.bincount(evidence.labels[picks], minlength=len(sizes))
    return compute


def within_one_each(actual, expected, inputs):
    """no class differs by more than 1 (the peer rounds down)"""
    assert np.abs(actual - expected).max() <= 1


def share_within_one(k):
    def rule(actual, expected, inputs):
        """the share of every class, to less than 1 sample"""
        assert actual.sum() == k
        assert np.abs(actual - k * expected).max() < 1
    return rule


def _extrapolated():
    for count in (1, 10, 20):
        for metric in ("euclidean", "cosine"):
            for key, weighting in (("average", "mean"), ("weighted", "distance")):
                yield Case(f"extrapolate/knn{count}_{metric}/{key}",
                           score_values("extrapolated", fields=partly_scored, neighbors=count, metric=metric,
                                        weighting=weighting), close(1e-5, 1e-7))


def partly_scored(package, inputs):
    """The peer's own scores of some rows, and none of the others."""
    values, rows = np.full(len(inputs.labels), np.nan), inputs.peers["extrapolate/scored_rows"]
    values[rows] = inputs.peers["in/el2n_mean"][rows]
    return {"imported": values}


def _messages():
    for mode in ("sum", "product"):
        for discount in ("weighted", "absolute"):
            for k in (10, 60):
                key = f"d2/graph/{mode}_{discount}/k{k}_sorted"
                yield Case(key, d2_picks(key, "ccs/el2n", density=mode, discount=discount, gamma=1.0), same_members)
        for discount, gamma in (("weighted", 1.0), ("weighted", 0.1), ("absolute", 1.0)):
            key = f"d2pre/{mode}_{discount}_gamma{gamma}/order60"
            yield Case(key, directed_d2_picks(key), same_order)

    def craft(inputs):
        return inputs.peers["ccs/alloc/crafted_bins"]

    for k in (7, 20, 50, 120, 180):
        yield Case(f"d2/alloc/crafted_k{k}", draws(craft, k), same_draws(craft))


def d2_picks(key, score, **options):
    """As many as the peer picked, by its own score of another key, which 10 neighbors pass on."""
    def compute(package, inputs):
        evidence = inputs.evidence(package, imported=inputs.peers[score])
        rate = len(inputs.peers[key]) / len(evidence.labels)
        return package.select("d2", evidence, rate, score="imported", neighbors=10, **options).indices
    return compute


def directed_d2_picks(key):
    """The same by a graph of directed lists, with the options that a key's second part names."""
    density, discount, gamma = key.split("/")[1].split("_")
    return d2_picks(key, "in/el2n_mean", density=density, discount=discount, gamma=float(gamma.removeprefix("gamma")),
                    symmetric=False)


def _relabeled():
    for mode in ("unb", "bal"):
        for tau in (0.95, 0.975):
            yield _relabel(f"prune4rel/f64/{mode}/tau{tau}_eta1_conf/order60", tau=tau)
    for peer in ("Entropy", "Margin"):
        yield _relabel(f"prune4rel/f64/bal/tau0.95_eta1_{peer}/order60", tau=0.95, confidence=peer.lower())
    yield _relabel("prune4rel/f64/unb/euclidean_eta100_conf/order60", metric="euclidean", eta=100.0, tau=0.0)


def _relabel(key, **options):
    return Case(key, picks_of("prune4rel", 60, turns="/bal/" in key, **options), same_order)


def _loss_curvature():
    for peer, eps in (("worst_eps0.05", 0.05), ("worst_eps0.01", 0.01), ("grad_l2", 0.0)):
        for rate in (0.1, 0.3):
            yield Case(f"lcmat/scale1/{peer}/bal/f{rate}_indices", _of_classes(rate, eps), as_near(eps))
    yield Case("lcmat/scale1/class3/worst_eps0.05_order12", _in_class_3(12), as_near(0.05))


def _of_classes(rate, eps):
    return picks_of("lcmat", rate=rate, balance=True, eps=eps, reach=10.0)


def _in_class_3(budget):
    def compute(package, inputs):
        return inputs.rows_of(3)[picks_of("lcmat", budget, rows=3, reach=10.0)(package, inputs)]
    return compute


def as_near(eps):
    def rule(actual, expected, inputs):
        """as many of each class, within 0.001 as near to all, 0.9 of a whole set the same (ties, the peer's float32)"""
        assert len(actual) == 12 or np.isin(actual, expected).mean() >= 0.9
        for label in np.unique(inputs.labels[expected]):
            rows = inputs.rows_of(label)
            kernel = curvature_kernel(inputs, rows, eps)
            ours, peers = (np.flatnonzero(np.isin(rows, picks)) for picks in (actual, expected))
            assert len(ours) == len(peers)
            assert cover(kernel, ours) == _near(cover(kernel, peers), 1e-3)
    return rule


def curvature_kernel(inputs, rows, eps):
    """The peer's similarities of a class, 10 less the distances, at least 0, in float64."""
    gradients = gradient_rows(inputs, rows)
    p, features = softmax(inputs["logits"][rows].astype(float)), inputs["emb"][rows].astype(float)
    bent = p * (1 - p)
    bent = np.column_stack([bent, (bent[:, :, None] * features[:, None, :]**2).reshape(len(rows), -1)])
    bent = bent[:, np.argsort(-bent.var(axis=0), kind="stable")[:100]]
    distances = np.linalg.norm(gradients[:, None] - gradients[None], axis=2)
    return np.maximum(10 - distances - eps * np.abs(bent[:, None] - bent[None]).sum(axis=2), 0)


def _coverage_of_planes():
    for neighbors, atol in ((1000, 1e-3), (50, 0.1)):
        yield Case(f"zcore/nsamp2000_nn{neighbors}_rng0_raw", score_values("zcore", draws=2000, neighbors=neighbors),
                   on_a_line(atol))


def on_a_line(atol):
    def rule(actual, expected, inputs):
        away = np.abs(expected - np.polyval(np.polyfit(actual, expected, 1), actual))
        near = away <= np.quantile(away, 0.98)
        away = np.abs(expected - np.polyval(np.polyfit(actual[near], expected[near], 1), actual))
        assert np.quantile(away, 0.98) <= atol and np.corrcoef(actual, expected)[0, 1] > 0.98
    rule.__doc__ = (f"the same before it is brought to [0, 1], to {atol:g}, of 98 % of the samples (which of equally "
                    "near ones loses, the peer's sort leaves open)")
    return rule


CASES = [case for group in (_moderate, _geometry, _rank, _strata, _submodular, _craig, _matching, _cords, _glister,
                            _attacks,
                            _uncertain_over_time, _loss_correlations, _several_models, _geometric_medians, _prototypes,
                            _beta_draws, _quotas, _extrapolated, _messages, _coverage_of_planes, _relabeled,
                            _loss_curvature)
         for case in group()]

# Patterns of keys, and why nothing is compared with them. A key of CASES is compared whatever stands here.
NOT_COMPARED = {
    "*/gain_evaluations": "the peer's cost, not a result",
    "dc/class3_positions": "positions that other keys refer to",
    "dc/class3_gradcos_kernel": "a kernel is not a result of select; compared with torch_ref alone, and by its picks",
    "*/gradients*_first5": "gradients are never written out; compared with torch_ref alone, and by norms and picks",
    "dc/Cal/*/knn": "neighbours are not a result; the scores made of them are compared",
    "dc/gradmatch_fn/lam0.5/*": "DeepCore's selector ignores lam and has 1, and so has variant='deepcore'",
    "dc/gradmatch_fn/lam0.001/*": "DeepCore's selector ignores lam and has 1, and so has variant='deepcore'",
    "dc/Glister/scale1/gains_all_after_3_50_77": "gains after given picks are not a result; the order of picks is",
    "dc/DeepFool/r2_float64": "needs the network: compared in test_deepfool",
    "cords/Glister/PerClass_Naive_f0.1_eta0.1/order": "CORDS: the same for its first class; the validation gradient of "
                                                      "the later ones is not what the formula gives",
    "cords/Craig_PerClass/as_is_quirk_shuffled_seed0/*": "CORDS maps shuffled rows with unshuffled indices: a bug",
    "moderate/median": "a class's centre is not a result; it is compared with the distances to it",
    "ccs/targets": "labels",
    "ccs/last_correctness": "not a score of ours",
    "ccs/alloc/crafted_bins": "sizes that other keys refer to",
    "ccs/alloc/crafted_k0": "nothing to select is an error with us",
    "ccs/alloc/crafted_k500": "more than there is is an error with us",
    "ccs/stratified/*/bin_sizes": "CCS closes the last stratum at 1.0001 times the maximum, in float32; ours at it",
    "ccs/stratified/*/picked_torchseed0": "drawn with torch's generator; ours with NumPy's",
    "submodlib/LogDet_cos01_lam0/*": "a singular kernel without regularisation: rounding decides",
    "d2/graph/*/start_density": "what picks begin with is not a result; the picks are compared",
    "d2/alloc/crafted_k0": "nothing to select is an error with us",
    "tdds/*/argsort": "the order of scores that are compared",
    "dual/tdds*": "DUAL's code takes logarithms of logits, in the same window again and again",
    "dual/aum_quirk_lastepoch": "counts the last epoch alone",
    "dualbeta/win6/argsort": "the order of scores that are compared",
    "dualbeta/win6/cd4_prune*/alpha_beta": "not a result; the draws by it are compared",
    "dualbeta/win6/cd4_prune*/p": "chances are not a result; the draws by them are compared",
    "dualbeta/win6/cd4_prune*/size": "int((1 - r) n), 59 of 600 for r = 0.9 by float arithmetic; ours is rounded",
    "gm/*/geometric_median_f64": "a class's center is not a result; it is compared with the picks by it",
    "gm/*/vardi_f64": "the same point by another algorithm",
    "gm/*/gm_matching_target_moment_*": "every step of the peer moves the geometric median, too: a bug",
    "gm/*/gm_matching_random_*": "begins with a sample that torch's generator draws; ours with NumPy's",
    "in/*": "what other keys were computed from",
    "cld/validation_rows": "what is held out, which other keys refer to",
    "drop/*recall*": "what quotas are computed from; other keys are",
    "drop/crafted_sizes": "what quotas are computed from; other keys are",
    "drop/*/k*/quota": "the authors' code leaves out classes' sizes, and cuts remainders off; ours is the paper",
    "drop/*/k*/int_quota_times_k": "as drop/*/k*/quota, in whole numbers",
    "drop/real/k*/uniform_quota": "set by set another key: the crafted ones are compared",
    "drop/real/k*/normalize_quota": "set by set another key: compared in test_quota_vectors",
    "drop/real/k*/picked_by_el2n_npseed0": "filled up at random with what the quotas leave unassigned",
    "drop/scorer_*": "its windows are one epoch shorter, and its prototypes are class means; not scores of ours",
    "prune4rel/f64/*/k*_sorted": "set by set another key: compared in test_budget_vectors",
    "prune4rel/f16/*": "in half precision gains are 0 after a few picks, and the lowest place wins; ours are as in f64",
    "lcmat/scale1/gradients_first5": "gradients are never written out; the picks by them are compared",
    "lcmat/scale1/hessian_diag_first5": "curvatures are not a result; compared in test_budget_vectors with the twin's",
    "lcmat/scale1/class3/K100_dims": "compared in test_budget_vectors, of both packages, for curvatures are no result",
    "lcmat/scale1/class3/variances": "what the columns above are chosen by",
    "lcmat/scale1/class3/l*": "distances are not a result; the picks by them are compared",
    "lcmat/quirkB128/*": "the mean over a batch: gradients of a smaller last batch weigh more",
    "lcmat/scale1/adacore*": "a division by 0 wherever a feature is 0, and little but 0 elsewhere: not ours",
    "rs2/*": "RS2 is not a method of ours",
    "sslproto/labels": "clusters by its own draws, which other keys refer to",
    "sslproto/*_cosine_f0.3": "by the cosine with the mean of the features as given; ours is with that of directions",
    "infobatch/*": "InfoBatch is not a method of ours",
    "extrapolate/scored_rows": "what other keys were computed from",
    "extrapolate/*/pearson*": "by scores that were not given; ours tells how well the given ones are met",
    "rho/*": "RHO-loss is not a method of ours",
    "vog/*": "VoG is not a method of ours",
    "d2pre/*/start_density": "what picks begin with is not a result; the picks are compared",
    "d2pre/*/k*_sorted": "set by set another key: compared in test_budget_vectors",
    "rcap/*": "RCAP is not a method of ours",
    "zcore/live_columns": "which features differ is not a result; the scores are by these alone",
    "zcore/loop_nsamp500_nn50_npseed0_raw": "NumPy's former generator, one draw at a time; the same sums as its others",
    "attacks/clean_logits": "answers of the network that is attacked",
    "attacks/PGD_random_torchseed0_start": "drawn with torch's generator; a starting place that another key refers to",
    "attacks/DeepFool*": "it clips to the range of images and overshoots; ours is a distance",
}


def table():
    """Compare everything with both packages: lines of a Markdown table of arrays, rules and outcomes."""
    import ms_coreset
    import torch_ref

    ms_coreset.set_device("CPU")
    yield "| array of the peer | compared by | ms_coreset | torch_ref |"
    yield "|---|---|---|---|"
    for case in CASES:
        outcomes = [_outcome(case, package, SETS) for package in (ms_coreset, torch_ref)]
        yield f"| `{case.key}` | {case.rule_name} | {' | '.join(outcomes)} |"
    for pattern, reason in NOT_COMPARED.items():
        yield f"| `{pattern}` | not compared: {reason} | | |"


def _outcome(case, package, folders):
    try:
        for folder in folders:
            inputs, peers = load(folder)
            case.rule(case.compute(package, inputs), peers[case.key], inputs)
    except AssertionError:
        return "differs"
    return "agrees"
