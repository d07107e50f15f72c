"""Methods that stand on the last layer's gradients: Craig, GradMatch and Glister."""

import math
from functools import partial

import numpy as np
import torch
from scipy.optimize import nnls

from torch_ref.extraction import Evidence
from torch_ref.pools import Picks, best_in_turn, budgets, first_best, joined, pools
from torch_ref.quantities import (
    batch_sizes,
    check_choice,
    distances,
    errors,
    last_layer_gradients,
    needed,
    one_hot,
)
from torch_ref.submodular import facility_location_gains, maximise

VARIANTS = ("paper", "deepcore")


def craig(evidence: Evidence, rate: float, balance: bool, seed: int, greedy: str = "lazy", epsilon: float = 0.1,
          beta: float = 0.9, variant: str = "paper", batch_size: int = 128) -> Picks:
    """Medoids of each class's gradients, weighted by how many samples they stand for.

    Facility location with s_ij = max d - d_ij + 1e-3 within a class, d_ij = ||G_i - G_j||, and 0 between classes.
    A pick's weight is the number of samples of its class that are most similar to it.
    variant: "deepcore" divides gradients by the size of their batch, and its weights are one more
    greedy, epsilon, beta: see ``submodular.maximise``

    Source: Mirzasoleiman et al., ICML 2020, algorithm 1.
    """
    check_choice("variant", variant, VARIANTS)
    labels, rng = np.asarray(evidence.labels), np.random.RandomState(seed)
    parts, weights = [], []
    for rows, k in budgets(labels, rate, balance):
        similarity = _nearness(_pool_gradients(evidence, rows, variant, batch_size), labels[rows])
        picked = maximise(partial(facility_location_gains, similarity), len(rows), k, rng, greedy, epsilon, beta)
        parts.append(rows[picked])
        weights.append(_stood_for(similarity, labels[rows], picked) + float(variant == "deepcore"))
    return joined(parts), joined(weights, np.float64), None


def _nearness(pool: torch.Tensor, labels: np.ndarray) -> torch.Tensor:
    """max d - d_ij + 1e-3, of the largest distance in the class, and 0 for samples of different classes."""
    similarity = torch.zeros(len(pool), len(pool), dtype=torch.float64)
    for members in pools(labels, balance=True):
        apart = distances(pool[members])
        similarity[np.ix_(members, members)] = apart.max() - apart + 1e-3
    return similarity


def _stood_for(similarity: torch.Tensor, labels: np.ndarray, picked: list[int]) -> np.ndarray:
    """How many samples are most similar to each pick, among the picks of their class; of equals the lowest has them."""
    counts = dict.fromkeys(picked, 0.0)
    for sample, label in enumerate(labels):
        centres = [pick for pick in sorted(picked) if labels[pick] == label]
        if centres:
            counts[first_best(similarity[sample], np.array(centres))] += 1
    return np.array(list(counts.values()))


def gradmatch(evidence: Evidence, rate: float, balance: bool, seed: int, lam: float = 0.5, refill: str = "projection",
              variant: str = "paper", batch_size: int = 128) -> Picks:
    """Orthogonal matching pursuit of the mean gradient b by weighted gradients of samples.

    Each pick has the largest <G_i, r>, r the residual of min_x ||sum_S x G - b||^2 + lam ||x||^2; in the end x is
    solved for once more with x >= 0. The weight of a single pick is 1.
    lam: above 0
    refill: samples whose weight came out as 0 are replaced by those with the highest <G_i, r>, with the smallest
        positive weight ("projection"), or not ("none")
    variant: "deepcore" divides gradients by the size of their batch, has lam = 1 but 0 after the first pick, minimises
        ||(K_SS + lam I) x - c_S|| in the end, and refills nothing

    The mean is that of the samples chosen from, or of ``evidence.validation`` (balanced: of the same class).
    Source: Killamsetty et al., GRAD-MATCH, ICML 2021, algorithm 2.
    """
    check_choice("variant", variant, VARIANTS)
    check_choice("refill", refill, ("projection", "none"))
    if not lam > 0:
        raise ValueError(f"lam is {lam}, must be above 0")
    parts, weights = [], []
    for rows, k in budgets(evidence.labels, rate, balance):
        pool = _pool_gradients(evidence, rows, variant, batch_size)
        judge, members = _judges(evidence, rows, balance)
        target = _pool_gradients(judge, members, variant, batch_size).mean(dim=0)
        if variant == "deepcore":
            picked, x = _deepcore_pursuit(pool, target, k)
        else:
            picked, x = _pursuit(pool, target, k, lam)
        kept, values = np.array(picked)[x > 0], x[x > 0]
        if variant == "paper" and refill == "projection":
            kept, values = _refilled(pool, target, kept, values, k)
        parts.append(rows[kept])
        weights.append(values)
    return joined(parts), joined(weights, np.float64), None


def _pursuit(pool: torch.Tensor, target: torch.Tensor, k: int, lam: float) -> tuple[list[int], np.ndarray]:
    """Picks and x = argmin_{x >= 0} ||sum_S x G - target||^2 + lam ||x||^2."""
    picked = best_in_turn(lambda chosen: pool @ _residual(pool[chosen], target, lam), len(pool), k)
    if k == 1:
        return picked, np.ones(1)
    stacked = torch.cat([pool[picked].T, math.sqrt(lam) * torch.eye(k, dtype=torch.float64)])
    return picked, nnls(stacked.numpy(), torch.cat([target, torch.zeros(k)]).numpy())[0]


def _deepcore_pursuit(pool: torch.Tensor, target: torch.Tensor, k: int) -> tuple[list[int], np.ndarray]:
    """DeepCore's: no lam after a single pick, and non-negative least squares on the normal equations."""
    picked = best_in_turn(lambda chosen: pool @ _residual(pool[chosen], target, float(len(chosen) > 1)), len(pool), k)
    if k == 1:
        return picked, np.ones(1)
    rows = pool[picked]
    return picked, nnls((rows @ rows.T + torch.eye(k, dtype=torch.float64)).numpy(), (rows @ target).numpy())[0]


def _residual(rows: np.ndarray, target: torch.Tensor, lam: float) -> torch.Tensor:
    """target - sum x G, for the x that minimises ||sum x G - target||^2 + lam ||x||^2."""
    if not len(rows):
        return target
    gram = rows @ rows.T + lam * torch.eye(len(rows), dtype=torch.float64)
    return target - (torch.linalg.pinv(gram, hermitian=True) @ rows @ target) @ rows


def _refilled(pool: torch.Tensor, target: torch.Tensor, kept: np.ndarray, weights: np.ndarray,
              k: int) -> tuple[np.ndarray, np.ndarray]:
    """k positions and weights: after those kept the others of highest <G_i, r>, one after the other."""
    towards = pool @ (target - torch.tensor(weights) @ pool[kept])
    left = np.setdiff1d(np.arange(len(pool)), kept)
    added = left[best_in_turn(lambda _: towards[left], len(left), k - len(kept))]
    smallest = weights.min() if len(weights) else 1.0
    return np.concatenate([kept, added]), np.concatenate([weights, np.full(len(added), smallest)])


def glister(evidence: Evidence, rate: float, balance: bool, seed: int, eta: float = 0.1, aggregate: str = "mean",
            rounds: int | None = None, variant: str = "paper", batch_size: int = 128) -> Picks:
    """Samples whose gradient agrees most with that of the validation samples, after a step on those picked so far.

    gain_i = <G_i, mean_v G_v(theta_S)>, where the last layer has made one step theta - eta agg_{j in S} G_j. The
    validation samples are ``evidence.validation`` (balanced: of the same class), or those chosen from.
    aggregate: "mean" or "sum" of the picks' gradients
    rounds: the gains are refreshed so many times, each time for ceil(k / rounds) picks; None: after each pick
    variant: "deepcore" divides gradients by the size of their batch and never steps

    Scores are the gains before the first pick. Source: Killamsetty et al., GLISTER, AAAI 2021, eq. 7.
    """
    check_choice("variant", variant, VARIANTS)
    check_choice("aggregate", aggregate, ("mean", "sum"))
    scores = np.full(len(evidence.labels), np.nan)
    for rows in pools(evidence.labels, balance):
        scores[rows] = _agreement(evidence, rows, balance, [], eta, aggregate, variant, batch_size)
    parts = []
    for rows, k in budgets(evidence.labels, rate, balance):
        each = 1 if rounds is None else math.ceil(k / rounds)

        def gains_of(picked: list[int], rows: np.ndarray = rows, each: int = each) -> torch.Tensor:
            stepped = [] if variant == "deepcore" else picked[:len(picked) // each * each]
            return _agreement(evidence, rows, balance, stepped, eta, aggregate, variant, batch_size)

        parts.append(rows[best_in_turn(gains_of, len(rows), k)])
    return joined(parts), None, scores


def _agreement(evidence: Evidence, rows: np.ndarray, balance: bool, picked: list[int], eta: float, aggregate: str,
               variant: str, batch_size: int) -> torch.Tensor:
    """<G_i, mean_v G_v> of each of ``rows``, where v's logits have made the step on the ``picked`` of them."""
    pool = _pool_gradients(evidence, rows, variant, batch_size)
    judge, members = _judges(evidence, rows, balance)
    logits, features = (tensor[members] for tensor in needed(judge, "logits", "features"))
    if picked:
        step = pool[picked].mean(dim=0) if aggregate == "mean" else pool[picked].sum(dim=0)
        bias, weight = step[:logits.shape[1]], step[logits.shape[1]:].reshape(logits.shape[1], -1)
        logits = logits - eta * (bias + features @ weight.T)
    error = torch.softmax(logits, dim=1) - one_hot(np.asarray(judge.labels)[members], logits.shape[1])
    towards = last_layer_gradients(error, features)
    if variant == "deepcore":
        towards = towards / batch_sizes(len(towards), batch_size)
    return pool @ towards.mean(dim=0)


def _judges(evidence: Evidence, rows: np.ndarray, balance: bool) -> tuple[Evidence, np.ndarray]:
    """The evidence and positions of the samples that decide for ``rows``."""
    validation = getattr(evidence, "validation", None)
    if validation is None:
        return evidence, rows
    if not balance:
        return validation, np.arange(len(validation.labels))
    label = evidence.labels[rows[0]]
    members = np.flatnonzero(np.asarray(validation.labels) == label)
    if not len(members):
        raise ValueError(f"validation has no sample of class {label}")
    return validation, members


def _pool_gradients(evidence: Evidence, rows: np.ndarray, variant: str, batch_size: int) -> torch.Tensor:
    """The gradients of ``rows``; DeepCore's are divided by the size of their batch among these."""
    pool = last_layer_gradients(errors(evidence)[rows], needed(evidence, "features")[rows])
    return pool / batch_sizes(len(rows), batch_size) if variant == "deepcore" else pool
