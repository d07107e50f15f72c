"""Every public function with wrong arguments: one or two of a right call's are replaced by something else.

The functions of plain values, arrays and files refuse what they can't use with ``MsCoresetError`` (a ``ValueError``);
so do those that take objects of this library's classes, for an object of another class. ``TypeError`` is left to
Python, for a call that does not fit a function's signature.
"""

import contextlib
import dataclasses
import functools
import io
import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from . import outcomes, readers, strange

of = dict  # arguments, spelled as in a call
N, CLASSES = 12, 3
LABELS = np.arange(N) % CLASSES
_RNG = np.random.RandomState(3)
FEATURES, LOGITS = _RNG.rand(N, 4).astype(np.float32), _RNG.randn(N, CLASSES).astype(np.float32)
IMAGES = _RNG.randint(0, 256, (N, 8, 8, 1)).astype(np.uint8)


@dataclass(frozen=True)
class Function:
    """A public function: ``arguments()`` are those of a right call; ``wrong(result)`` says what is wrong with a result
    that no argument may bring about, or None; ``kept``: arguments that stay, callables whose own errors are theirs."""

    name: str
    arguments: Callable
    wrong: Callable = lambda result: None
    share: float = 1.0
    kept: tuple = ()


def dynamics():
    import ms_coreset as mc

    values = {name: _RNG.rand(4, N).astype(np.float32) for name in (
        "probability", "margin", "logit_margin", "error_norm", "loss", "divergence", "validation_loss")}
    return mc.TrainingDynamics(**values, correct=values["loss"] > 0.5)


@functools.cache
def evidence():
    import ms_coreset as mc

    return mc.Evidence(labels=LABELS, features=FEATURES, logits=LOGITS, dynamics=dynamics(), boundary=FEATURES[:, 0],
                       imported=FEATURES[:, 0],
                       validation=mc.Evidence(labels=LABELS, features=FEATURES, logits=LOGITS))


@functools.cache
def split(train=True):
    import ms_coreset as mc

    return mc.Split("mine", IMAGES, LABELS, classes=("a", "b", "c"), mean=(0.5,), std=(0.2,), train=train)


@functools.cache
def network():
    import ms_coreset as mc

    return mc.create_network("mlp", CLASSES, 1, image_size=8, width=4)


@functools.cache
def recipe():
    import ms_coreset as mc

    return mc.Recipe(arch="mlp", width=4, epochs=1, batch_size=8)


def _not_a_coreset(coreset):
    k = len(coreset.indices)
    if coreset.indices.dtype != np.int64 or len(np.unique(coreset.indices)) != k or not k:
        return f"indices {coreset.indices}"
    if coreset.indices.min() < 0 or coreset.indices.max() >= coreset.n or coreset.keep_mask.sum() != k:
        return f"indices {coreset.indices} of {coreset.n}"
    return None


def _not_scores(values):
    right = isinstance(values, np.ndarray) and values.dtype == np.float64 and values.ndim == 1
    return None if right and np.isfinite(values).all() else f"scores {values!r}"[:200]


def _not_noise(result):
    noisy, manifest = result
    return None if noisy.dtype == np.int64 and manifest["n"] == len(noisy) else f"{noisy.dtype}, {manifest}"[:200]


def _not_images(result):
    images = result[0]
    return None if images.dtype == np.uint8 and images.ndim == 4 else f"{images.dtype} {images.shape}"


def _pixels():
    return IMAGES.transpose(0, 3, 1, 2).astype(np.float32) / 255


def _logits():
    import ms_coreset as mc

    return mc.on_pixels(network(), (0.5,), (0.2,))


_SPLIT = of(name="mine", images=IMAGES, labels=LABELS, classes=("a", "b", "c"), mean=(0.5,), std=(0.2,), train=True,
              clean_labels=LABELS, bad=LABELS > 0, bad_kinds=LABELS.astype(np.int8), manifest={}, known={})
_COMMON = (
    Function("Coreset", lambda: of(indices=np.array([3, 1]), n=N, rate=0.5, method="random", options={}, seed=0,
                                     weights=np.ones(2), scores=np.zeros(N), pool=np.arange(N), manifest={}),
             _not_a_coreset),
    Function("Evidence", lambda: of(labels=LABELS, features=FEATURES, logits=LOGITS, dynamics=dynamics(),
                                      boundary=FEATURES[:, 0], imported=FEATURES[:, 0], runs=(evidence(),),
                                      validation=evidence())),
    Function("Split", lambda: {**_SPLIT}, outcomes.implausible),
    Function("TrainingDynamics", lambda: vars(dynamics()).copy()),
    Function("StreamedDynamics", lambda: of(dual=np.zeros(N), aum=np.ones(N))),
    Function("estimate_record", lambda: of(n=N, classes=3, epochs=4, record=("loss",), validated=True, folder=False)),
    Function("agreement", lambda: of(scores=_RNG.rand(2, N), rate=0.5)),
    Function("Recipe", lambda: of(arch="mlp", width=4, epochs=1, iterations=None, batch_size=8, lr=0.1, momentum=0.9,
                                    nesterov=True, weight_decay=5e-4, schedule="multistep", milestones=(1,), gamma=0.1,
                                    min_lr=0.0, clip_norm=1.0, crop_padding=1, padding_mode="zeros", flip=True,
                                    crop_scale=None, crop_size=None, test_resize=8, validation=0.1, eval_every=1)),
    Function("load_recipe", lambda: of(name="digits", lr=0.1, epochs=3, arch="mlp")),
    Function("select", lambda: of(method="moderate", evidence=evidence(), rate=0.5, balance=False, seed=0, memory=None,
                                    center="median"), _not_a_coreset, 2),
    Function("select ccs", lambda: of(method="ccs", evidence=evidence(), rate=0.5, seed=0, score="aum", strata=5,
                                        mis_ratio=0.1, cutoff_score="el2n"), _not_a_coreset),
    Function("select craig", lambda: of(method="craig", evidence=evidence(), rate=0.5, balance=True, seed=0,
                                          memory="1G"), _not_a_coreset),
    Function("select facility_location", lambda: of(method="facility_location", evidence=evidence(), rate=0.5,
                                                      balance=True), _not_a_coreset),
    Function("select glister", lambda: of(method="glister", evidence=evidence(), rate=0.5, rounds=2, eta=0.1),
             _not_a_coreset),
    Function("select k_center", lambda: of(method="k_center", evidence=evidence(), rate=0.5), _not_a_coreset),
    Function("select gradmatch", lambda: of(method="gradmatch", evidence=evidence(), rate=0.5), _not_a_coreset),
    Function("select cal", lambda: of(method="cal", evidence=evidence(), rate=0.5, neighbors=3), _not_a_coreset),
    Function("select_by", lambda: of(score="el2n", rule="strata", evidence=evidence(), rate=0.5, balance=False, seed=0,
                                       strata=3), _not_a_coreset),
    Function("score", lambda: of(name="forgetting", evidence=evidence()), _not_scores),
    Function("score el2n", lambda: of(name="el2n", evidence=evidence()), _not_scores),
    Function("describe", lambda: of(name="ccs")),
    Function("estimate", lambda: of(method="craig", n=1000, d=8, classes=3, rate=0.1, balance=True, memory="1G")),
    Function("list_datasets", lambda: of(pattern="*"), share=0.2),
    Function("list_methods", lambda: of(pattern="*"), share=0.2),
    Function("list_networks", lambda: of(pattern="*"), share=0.2),
    Function("list_scores", lambda: of(pattern="*"), share=0.2),
    Function("symmetric_noise", lambda: of(labels=LABELS, num_classes=CLASSES, ratio=0.2, seed=0, exact=True),
             _not_noise),
    Function("asymmetric_noise", lambda: of(labels=LABELS, targets=np.array([1, 2, 0]), ratio=0.2, seed=0, exact=True),
             _not_noise),
    Function("corrupt", lambda: of(images=IMAGES, shares=0.5, seed=0, mode="paper", random_occlusion=False),
             _not_images),
    Function("attack", lambda: of(logits=_logits(), images=IMAGES, labels=LABELS, seed=0, batch_size=8, attack="pgd",
                                    eps=0.1, alpha=0.05, steps=1, against="true", random_start=True), _not_images, 0.5,
             ("logits",)),
    Function("gradient_sign", lambda: of(logits=_logits(), images=_pixels(), labels=LABELS, eps=0.1), share=0.5,
             kept=("logits",)),
    Function("projected_gradient", lambda: of(logits=_logits(), images=_pixels(), labels=LABELS, eps=0.1, alpha=0.1,
                                                steps=1, start=_pixels()), share=0.5,
             kept=("logits",)),
    Function("on_pixels", lambda: of(network=network(), mean=(0.5,), std=(0.2,)), share=0.3),
    Function("create_network", lambda: of(name="lenet", num_classes=CLASSES, in_channels=1, image_size=28, width=None,
                                            seed=0), share=0.7),
    Function("create_network resnet18", lambda: of(name="resnet18", num_classes=3, in_channels=1, image_size=8,
                                                     width=2, seed=0, variant="cifar"), share=0.5),
    Function("create_network vgg11", lambda: of(name="vgg11", num_classes=3, in_channels=1, image_size=8, seed=0,
                                                  variant="cifar", batch_norm=True, side=1, dropout=0.1), share=0.1),
    Function("extract", lambda: of(network=network(), split=split(), need=("features", "logits"), batch_size=8,
                                     cache="cache"), share=0.7),
    Function("deepfool_distances", lambda: of(network=network(), split=split(), max_iter=2, overshoot=0.0, top_m=2,
                                                batch_size=8), share=0.4),
    Function("predict", lambda: of(network=network(), split=split(), batch_size=8), share=0.5),
    Function("evaluate", lambda: of(network=network(), split=split(), recipe=recipe()), share=0.5),
    Function("train", lambda: of(network=network(), split=split(), recipe=recipe(), seed=0, weights=np.ones(N),
                                   record=("loss",), folder="run", resume=False, test=split(False), save_interval=0),
             share=0.7),
    Function("load_dataset", lambda: of(name="arraysN", root="mine.npz", train=True, image_size=None, download=False,
                                          verify=False), outcomes.implausible),
    Function("make_label_noise", lambda: of(clean=split(), root="noise", ratio=0.2, seed=0, exact=True, force=True,
                                              variant="", noise="symmetric", next_class=False, human=None)),
    Function("make_corruption", lambda: of(clean=split(), root="corruption", shares=0.3, seed=0, mode="paper",
                                             random_occlusion=False, force=True, variant="")),
    Function("make_attack", lambda: of(clean=split(), network=network(), root="attack", seed=0, batch_size=8,
                                         force=True, variant="", notes={}), share=0.4),
    Function("load_weights", lambda: of(network=network(), path="net.ckpt"), share=0.5),
    Function("network_from_weights", lambda: of(path="net.ckpt", image_size=8, in_channels=1, arch="mlp"), share=0.5),
    Function("save_weights", lambda: of(network=network(), path="saved.ckpt"), share=0.5),
    Function("set_device", lambda: of(name="CPU"), share=0.2),
)
FUNCTIONS = _COMMON


def _odd(rng, right):
    """Something else than a right argument: often of its kind and nearly it."""
    if isinstance(right, np.ndarray) and rng.randint(3):
        return strange.nearly(rng, right)
    if isinstance(right, str) and not rng.randint(3):
        return right + "x" if rng.randint(2) else right.upper()
    if isinstance(right, tuple | list) and rng.randint(3):
        return [*right, strange.anything(rng)] if rng.randint(2) else [strange.anything(rng) for _ in right]
    if hasattr(right, "__dataclass_fields__") and rng.randint(2):
        return _change_one_array(rng, right)
    return strange.anything(rng)


def _change_one_array(rng, whole):
    """A record of this library's in which one array is another, if its own checks let it."""
    names = [name for name, value in vars(whole).items() if isinstance(value, np.ndarray)]
    if not names:
        return whole
    name = names[rng.randint(len(names))]
    try:
        return dataclasses.replace(whole, **{name: strange.nearly(rng, getattr(whole, name))})
    except ValueError:
        return whole


class FunctionCases:
    """The cases of a function, in a folder with the files that it may be told of."""

    imports = ("ms_coreset.datasets", "ms_coreset.selectors", "ms_coreset.training.loop", "mindspore")

    def __init__(self, function, folder, limits):
        import ms_coreset as mc

        self._function, self._limits = function, limits
        self._call = getattr(mc, function.name.partition(" ")[0])
        logging.disable(logging.CRITICAL)
        with limits.lift():
            mc.set_device("CPU")
            if not (folder / "mine.npz").exists():
                readers.put(folder / "mine.npz", readers.dump(np.savez, **readers.ARRAYS))
                mc.save_weights(network(), folder / "net.ckpt")
            with contextlib.redirect_stderr(io.StringIO()):
                self._call(**function.arguments())

    def run(self, rng):
        """(outcome, words, the arguments)."""
        arguments = self._function.arguments()
        names = sorted(arguments.keys() - set(self._function.kept))
        chosen = [names[rng.randint(len(names))] for _ in range(1 + (rng.randint(4) == 0))]
        for name in chosen:
            arguments[name] = _odd(rng, arguments[name])
        told = ", ".join(f"{name}={_show(arguments[name])}" for name in chosen)
        try:
            with contextlib.redirect_stderr(io.StringIO()):
                result = self._call(**arguments)
            wrong = self._function.wrong(result)
        except Exception as error:
            outcome, words = outcomes.of_error(error)
            return outcome, f"{told}: {words}", told
        return ("wrong answer" if wrong else outcomes.OTHER), f"{told}: {wrong}", told


def _show(value):
    with contextlib.suppress(Exception):
        return (f"{value.dtype} {value.shape} " if isinstance(value, np.ndarray) else "") + repr(value)[:150]
    return f"a {type(value).__name__}"
