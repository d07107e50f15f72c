"""GLISTER: samples whose training step lowers the loss of all samples, or of a validation set."""

import math

import numpy as np
import torch

from torch_ref.evidence import Evidence, check_choice, require
from torch_ref.gradient_task import VARIANTS, judges_of, pool_gradients
from torch_ref.last_layer_gradients import batch_sizes, last_layer_gradients, one_hot
from torch_ref.quota import Picks, best_in_turn, budgets, join, pools


def glister(evidence: Evidence, rate: float, balance: bool, seed: int, eta: float = 0.1, aggregate: str = "mean",
            rounds: int | None = None, variant: str = "paper", batch_size: int = 128) -> Picks:
    """Samples whose gradient agrees most with that of the validation samples, after a step on those picked so far.

    gain_i = <G_i, mean_v G_v(theta_S)>, after one step of the last layer, theta - eta agg_{j in S} G_j, with agg the
    mean or the sum. The validation samples v are ``evidence.validation`` (balanced: those of the same class), or else
    the samples to choose from. Scores are the gains before the first pick.

    Source: Killamsetty et al., GLISTER, AAAI 2021, eq. 7.

    Args:
        evidence: arrays about the n samples.
        rate: share of the samples to keep, in (0, 1].
        balance: whether the rate applies to each class by itself.
        seed: of the random generator.
        eta: rate of the step.
        aggregate: "mean" or "sum" of the picks' gradients.
        rounds: number of times that the gains are computed, each time for ceil(k / rounds) picks; None: after each
            pick.
        variant: "paper", or "deepcore", which divides gradients by the size of their batch and takes no steps.
        batch_size: size of the batches of consecutive samples, for the variant "deepcore".

    Returns:
        (indices, weights, scores): places of the picks in pick order; weights of the picks, or None; scores of all
        samples, or None.
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
    return join(parts), None, scores


def _agreement(evidence: Evidence, rows: np.ndarray, balance: bool, picked: list[int], eta: float, aggregate: str,
               variant: str, batch_size: int) -> torch.Tensor:
    """<G_i, mean_v G_v> of each of ``rows``, where v's logits have made the step on the ``picked`` of them."""
    pool = pool_gradients(evidence, rows, variant, batch_size)
    judge, members = judges_of(evidence, rows, balance)
    logits, features = (tensor[members] for tensor in require(judge, "logits", "features"))
    if picked:
        step = pool[picked].mean(dim=0) if aggregate == "mean" else pool[picked].sum(dim=0)
        bias, weight = step[:logits.shape[1]], step[logits.shape[1]:].reshape(logits.shape[1], -1)
        logits = logits - eta * (bias + features @ weight.T)
    error = torch.softmax(logits, dim=1) - one_hot(np.asarray(judge.labels)[members], logits.shape[1])
    towards = last_layer_gradients(error, features)
    if variant == "deepcore":
        towards = towards / batch_sizes(len(towards), batch_size)
    return pool @ towards.mean(dim=0)
