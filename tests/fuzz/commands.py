"""Every command with wrong options, within this process: exit code 0, or 2 and one ``error:`` line on stderr."""

import contextlib
import io
import os
import shutil
from dataclasses import dataclass

import numpy as np

from . import outcomes, readers
from .damage import damage

VALUES = (
    "", "0", "-1", "1", "2", "1e9", "1e999", "nan", "inf", "x", "0.5", "-0.5", "10000000000000000000000", "1,2", "[1",
    "{a: 1", "!!python/name:os.system", "&a [*a]", "../..", "/", "/dev/null", "/nowhere/x", ".", "a b", "ü", "\udcff",
    "a\nb", "a\x1b[2J", "\x9b31m\u202e",
    "CPU", "GPU", "true", "no", "arrays", "digits", "digitsN@@", "CIFAR10", "folder", "arraysN", "mlp",
    "resnet18-w2", "lenet", "net.ckpt", "net.pth", "some.npz", "some.bin", "mine.npz", "study", "some.yaml",
    "damaged.npz", "damaged.ckpt", "damaged.pth", "damaged.yaml", "damaged.bin", "el2n", "ccs", "strata", "2G", "-")
_TINY = "--recipe tiny.yaml --device CPU"


@dataclass(frozen=True)
class Command:
    """A command and words that go well with it."""

    name: str
    words: str
    share: float = 1.0


COMMANDS = (
    Command("train", f"--dataset arrays --data mine.npz {_TINY} --model-dir ckpt --seed 0"),
    Command("train", f"--dataset arrays --data mine.npz {_TINY} --coreset some.npz --no-save --result r.json"),
    Command("train", f"--dataset arrays --data mine.npz {_TINY} --prune some.bin --no-save --result r.json"),
    Command("select", f"--dataset arrays --data mine.npz {_TINY} --rate 0.5 --method moderate --save index --seed 0"),
    Command("select", f"--dataset arrays --data mine.npz {_TINY} --rate 0.5 --score el2n --rule strata --strata 3 "
                      "--mis-ratio 0.1 --ckpt net.ckpt --cutoff-score el2n --memory 1G --pool 3"),
    Command("score", f"--dataset arrays --data mine.npz {_TINY} --scores el2n entropy --ckpt net.ckpt --save scores"),
    Command("experiment", "--config some.yaml --recipe tiny.yaml --device CPU --save study --dry-run --rates 0.5 "
                          "--seeds 0 1 --methods el2n:last=5"),
    Command("coreset", "show some.npz --no-data --classes --export kept.csv"),
    Command("coreset", "diff some.npz other.npz --dataset arrays --data mine.npz"),
    Command("report", "study --output page.html --rate 0.5 --accuracy last --data nothing --sheets el2n", 0.6),
    Command("label-noise", "--dataset arrays --data mine.npz --ratio 0.5 --seed 1 --noise asymmetric --force"),
    Command("corrupt", "--dataset arrays --data mine.npz --shares fog=0.3 --mode paper --seed 1 --force"),
    Command("attack", f"--dataset arrays --data mine.npz {_TINY} --ckpt net.ckpt --attack pgd --steps 1 --eps 4/255 "
                      "--force", 0.5),
    Command("convert-tiny", "--data tiny --copy"),
    Command("convert-checkpoint", "net.pth out.ckpt"),
    Command("convert-checkpoint", "net.ckpt out.pth"),
)
_RECIPE = {"arch": "mlp", "width": 3, "epochs": 1, "batch_size": 4}
_STUDY = {"datasets": ["digits"], "methods": ["random", "full"], "rates": [0.1], "seeds": [0]}


class CommandCases:
    """The cases of a command, each in a folder with files as a user has them, and damaged ones."""

    imports = ("ms_coreset.datasets", "ms_coreset.selectors", "ms_coreset.training.loop", "mindspore", "torch",
               "ms_coreset.experiment.report")

    def __init__(self, name, folder, limits):
        self._commands = [command for command in COMMANDS if command.name == name]
        self._limits, self._folder = limits, folder / f"commands-{name}"
        self._pristine = folder / "commands-whole"
        with limits.lift():
            folder.mkdir(exist_ok=True)
            if not self._pristine.exists():
                _lay_out(self._pristine)
            self._renew()

    def run(self, rng):
        """(outcome, words, the command)."""
        from ms_coreset.cli import main

        name, typed = self._command_line(rng)
        out, err = io.StringIO(), io.StringIO()
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), contextlib.chdir(self._folder):
                code = main([name, *typed])
            outcome, words = _judge(code, out.getvalue(), err.getvalue())
        except SystemExit as error:
            outcome, words = _judge(error.code or 0, out.getvalue(), err.getvalue())
        except Exception as error:
            outcome, words = outcomes.of_error(error)
            outcome = "memory" if outcome == "memory" else "other error"
        if outcome in outcomes.GOOD:
            outcome, words = self._harmless(outcome, words, out.getvalue() + err.getvalue())
        self._renew()
        line = f"{name} {' '.join(map(repr, typed))}"
        return outcome, f"{line}: {words}", line

    def _command_line(self, rng):
        """(command, words), with a file damaged or a word mistyped."""
        command = self._commands[rng.randint(len(self._commands))]
        typed = command.words.split()
        harm = rng.randint(3)
        if harm:
            typed = _mistype(rng, typed)
        if harm < 2:
            _damage_one(rng, self._folder)
        return command.name, typed

    def _harmless(self, outcome, words, told):
        """(outcome, words), unless something was left behind, or what was ``told`` or written could move a cursor."""
        if (left := self._find_litter()) is not None:
            return "reached outside", left
        pages = [path.read_text(encoding="utf-8", errors="surrogateescape") for pattern in ("*.md", "*.html")
                 for path in self._folder.glob(pattern)]
        for text in (told, *pages):
            if (found := outcomes.control_characters(text)) is not None:
                return "control characters", found
            if "<script" in text and text is not told:
                return "control characters", "a script in a page"
        return outcome, words

    def _find_litter(self):
        return None

    def _renew(self):
        shutil.rmtree(self._folder, ignore_errors=True)
        shutil.copytree(self._pristine, self._folder)


def _judge(code, printed, told):
    """A mistake is told in one line that begins with error: (after argparse's usage), and has exit code 2.

    A study some of whose runs failed has 1, and says how many; so has a repetition that gave another coreset.
    """
    lines = [line for line in told.splitlines() if "error:" in line]
    other = "failed (--retry does them again)" in printed or "another coreset now" in printed
    if code in (0, None) or (code == 1 and other):
        return outcomes.OTHER, ""
    if code == 2 and len(lines) == 1 and "Traceback" not in told:
        after = told[told.index(lines[0]):].strip()
        return (outcomes.REFUSED, "") if after == lines[0].strip() else ("long message", told[-500:])
    return "other error", f"exit code {code}: {told[-500:]}"


def _mistype(rng, words):
    """The words with one or two of them replaced, values more often than options, left out or added."""
    words = list(words)
    for _ in range(1 + (rng.randint(3) == 0)):
        values = [place for place, word in enumerate(words) if not word.startswith("--")]
        place, kind = rng.randint(len(words) or 1), rng.randint(8)
        value = VALUES[rng.randint(len(VALUES))]
        if kind < 5 and values:
            words[values[rng.randint(len(values))]] = value
        elif kind == 5 and words:
            del words[place]
        else:
            words[place:place] = [OPTIONS[rng.randint(len(OPTIONS))], value] if kind == 6 else [value]
    return words


OPTIONS = ("--rate", "--dataset", "--data", "--arch", "--ckpt", "--seed", "--epochs", "--batch-size", "--lr", "--width",
           "--image-size", "--runs", "--pool", "--memory", "--record", "--resume", "--verify", "--top-m", "--cache",
           "--validation", "--crop-padding", "--crop-scale", "--test-resize", "--balance", "--list", "--iterations",
           "--recipe", "--nothing", "--preview", "--flip", "--warmup", "--whiten", "--eval-every",
           "--schedule", "--momentum", "--clip-norm")


def _lay_out(folder):
    import ms_coreset as mc

    folder.mkdir()
    readers.put(folder / "mine.npz", readers.dump(np.savez, **{
        name: readers.ARRAYS[name] for name in ("labels", "images", "test_images", "test_labels")}))
    network = mc.create_network("mlp", 2, 3, image_size=8, width=3)
    for name in ("net.ckpt", "net.pth"):
        mc.save_weights(network, folder / name)
    for name in ("some", "other"):
        coreset = mc.Coreset(readers.COMPLETE["indices"], readers.ROWS, 0.5, method="el2n", options={"balance": False},
                             weights=np.ones(2), scores=readers.COMPLETE["scores"], manifest={"dataset": "arrays"})
        coreset.save(folder / f"{name}.npz", dropped=folder / f"{name}.bin")
    readers.put(folder / "tiny.yaml", readers.yaml_text(_RECIPE))
    readers.put(folder / "some.yaml", readers.yaml_text(_STUDY))
    readers._study(folder)
    readers._tiny(folder / "tiny")
    rng = np.random.RandomState(5)
    for name in ("some.npz", "net.ckpt", "net.pth", "some.bin", "some.yaml"):
        readers.put(folder / f"damaged.{name.rpartition('.')[2]}", damage(rng, (folder / name).read_bytes()))


def _damage_one(rng, folder):
    """One of the files that the command may read is damaged."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    path = files[rng.randint(len(files))]
    content = damage(rng, path.read_bytes())
    with contextlib.suppress(OSError):
        os.chmod(path, 0o644)
        path.write_bytes(content)
