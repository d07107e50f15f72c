"""What recording costs: seconds of an epoch, bytes for ImageNet's size, and seconds of the scores over time.

    OMP_NUM_THREADS=1 taskset -c 0 python -m benchmarks.recording epochs|memory|scores

Of generated data, on one thread where it is called so. Epochs with everything recorded and with nothing take turns;
what the recorder and the pass over the validation share take of an epoch is timed within it, too, for the machine's own
unrest is larger.
"""

import argparse
import contextlib
import gc
import os
import statistics
import time
from functools import partial

import numpy as np

import ms_coreset as mc
from ms_coreset.training import loop
from ms_coreset.training.dynamics import RECORDS, FieldRecorder
from ms_coreset.training.streams import StreamRecorder

BATCH = 128
IMAGENET = {"n": 1_281_167, "classes": 1000, "epochs": 90}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("part", choices=("epochs", "memory", "scores"))
    parser.add_argument("--samples", type=int, default=5000, help="of the epochs that are timed (default: 5000)")
    parser.add_argument("--turns", type=int, default=5, help="epochs with and without (default: 5)")
    parser.add_argument("--networks", nargs="+", default=("lenet", "resnet18"), help="of these (default: both)")
    arguments = parser.parse_args()
    lines = {"epochs": lambda: epochs(arguments.samples, arguments.turns, arguments.networks), "memory": memory,
             "scores": scores}
    for line in lines[arguments.part]():
        print(line, flush=True)


# An epoch

def epochs(samples, turns, networks):
    mc.set_device("CPU")
    yield "| network | recorded | an epoch | over one without | recorder | validation share |"
    yield "|---|---|---|---|---|---|"
    for arch, width, classes, channels, size in (("lenet", None, 10, 1, 28), ("lenet", None, 100, 3, 32),
                                                 ("resnet18", 8, 10, 3, 32), ("resnet18", 8, 100, 3, 32)):
        if arch not in networks:
            continue
        rng = np.random.RandomState(0)
        images = rng.randint(0, 256, (samples, size, size, channels), np.uint8)
        split = mc.Split("generated", images, rng.randint(0, classes, samples),
                         classes=tuple(map(str, range(classes))), mean=(0.5,) * channels, std=(0.25,) * channels)
        for record in (RECORDS, "stream"):
            yield _compare(f"{arch}{f', width {width}' if width else ''}, {classes} classes", record, split,
                           partial(mc.create_network, arch, classes, channels, image_size=size, width=width), turns)


def _compare(name, record, split, network, turns):
    """The time of an epoch with a record over that of one without, and its parts, as shares of the rest."""
    with_, without, recorder, validation = [], [], [], []
    for _ in range(turns + 1):
        with (_stopwatch(FieldRecorder, "record", "flush") as whole,
              _stopwatch(StreamRecorder, "record", "flush") as stream, _stopwatch(loop, "_validate") as share):
            with_.append(_epoch(network(), split, record))
        rest = with_[-1] - whole[0] - stream[0] - share[0]
        recorder.append((whole[0] + stream[0]) / rest)
        validation.append(share[0] / rest)
        without.append(_epoch(network(), split, ()))
    epoch, plain, *parts = (statistics.median(each[1:]) for each in (with_, without, recorder, validation))
    return (f"| {name} | {'stream' if record == 'stream' else 'all'} | {epoch:.2f} s | {epoch / plain:.3f} | "
            + " | ".join(f"{part:.2%}" for part in parts) + " |")  # of all but the first, which compiles


def _epoch(network, split, record):
    recipe = mc.Recipe(epochs=1, batch_size=BATCH, lr=0.01, validation=0.1)
    gc.collect()
    began = time.perf_counter()
    mc.train(network, split, recipe, record=record)
    return time.perf_counter() - began


@contextlib.contextmanager
def _stopwatch(owner, *names):
    """[seconds] within functions of a class or module."""
    spent, originals = [0.0], {name: getattr(owner, name) for name in names}
    for name, function in originals.items():
        setattr(owner, name, _add_time(function, spent))
    try:
        yield spent
    finally:
        for name, function in originals.items():
            setattr(owner, name, function)


def _add_time(function, spent):
    def call(*arguments):
        began = time.perf_counter()
        found = function(*arguments)
        spent[0] += time.perf_counter() - began
        return found
    return call


# Memory

def memory():
    for record in (None, RECORDS, "stream"):
        yield f"ImageNet, 90 epochs, {_name(record)}: {mc.estimate_record(**IMAGENET, record=record)}"
    tenth = {**IMAGENET, "n": IMAGENET["n"] // 10}
    for record in (("divergence",), "stream"):
        before = _resident()
        recorder = _recorder(record, **tenth)
        _show(recorder, 2, **tenth)
        grown, told = _resident() - before, mc.estimate_record(**tenth, record=record, folder=record == "stream")
        yield (f"a tenth, {_name(record)}, 2 of 90 epochs: {grown / 2**20:,.0f} MB more resident, "
               f"{told.memory / 2**20:,.0f} MB were told")
        del recorder
        gc.collect()


def _name(record):
    return "as by default" if record is None else record if record == "stream" else " ".join(record)


def _recorder(record, n, classes, epochs):
    if record == "stream":
        return StreamRecorder(np.arange(n) % classes, epochs, True)
    return FieldRecorder(record, epochs, n)


def _show(recorder, shown, n, classes, epochs):
    rng = np.random.RandomState(0)
    logits = rng.randn(BATCH, classes).astype(np.float32)
    for epoch in range(shown):
        for start in range(0, n, BATCH):
            rows = np.arange(start, min(n, start + BATCH))
            recorder.record(epoch, rows, logits[:len(rows)], rows % classes)
        recorder.record_validation(epoch, np.arange(0, n, 10), np.ones(len(range(0, n, 10))))
        recorder.flush()


def _resident():
    with open("/proc/self/statm", encoding="ascii") as stream:
        return int(stream.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


# Scores

def scores():
    for n, epochs, classes, width in ((50_000, 200, 100, 512), (1_281_167, 30, 1000, 64)):
        rng = np.random.RandomState(0)
        labels = rng.randint(0, classes, n)
        values = rng.random_sample((epochs, n)).astype(np.float32)
        dynamics = mc.TrainingDynamics(probability=values, error_norm=values, divergence=values, loss=values,
                                       validation_loss=np.where(np.arange(n) % 10 == 0, values, np.nan))
        evidence = mc.Evidence(labels, rng.standard_normal((n, width)).astype(np.float32), dynamics=dynamics)
        for name in ("dyn_unc", "dual", "eva", "tdds", "cld", "ram_apl"):
            began = time.perf_counter()
            mc.score(name, evidence)
            of = f"{width} features, {classes} classes" if name == "ram_apl" else f"{epochs} epochs"
            yield f"| {name} | {n:,} samples, {of} | {time.perf_counter() - began:.2f} s |"


if __name__ == "__main__":
    main()
