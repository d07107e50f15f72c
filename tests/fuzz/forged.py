"""Files that a stranger made for a command: manifests, studies, names of classes. What they spell runs nothing, is
written nowhere but where was typed, and moves no cursor of a terminal."""

import json
import os
import shutil

import numpy as np

from . import readers, strange
from .commands import CommandCases

ELSEWHERE, CANARY, PLUGIN = "elsewhere", "canary", "evil.py"  # none of the first two may ever be there
_CODE = f"open({CANARY!r}, 'w').close()\n"
_SIGNS = ("\x1b[2J", "\x1b]0;title\x07", "\x9b31m", "\r", "\n", "\x08" * 4, "\u202e", "\x7f", "\0", "\udcff",
          "<script>", "|", "`", "](x)", "$(touch canary)", "; touch canary", "'", '"', "&")
_PLACES = (ELSEWHERE, f"../{ELSEWHERE}", f"index/../{ELSEWHERE}", f"./{ELSEWHERE}/a", f"{{}}/{ELSEWHERE}", PLUGIN,
           f"{ELSEWHERE}.yaml", "tiny.yaml", "net.ckpt", "/dev/zero", "/dev/stdin", "pipe", "pipe.yaml", "study")
_FLAGS = ("--plugin", "--save", "--data", "--model-dir", "--cache", "--ckpt", "--config", "--recipe", "--preview",
          "--export", "--result", "--output", "--allow-plugins", "--from-manifest", "--force", "--plug")
ARGUMENTS = {"method": "random", "rate": 0.5, "balance": False, "seed": 0, "dataset": "arrays", "data": "mine.npz",
             "model-dir": "ckpt", "cache": "cache", "runs": 1, "device": "auto", "no-download": False, "verify": False}
STUDY = {"datasets": ["digits"], "methods": ["random", {"ccs": {"mis_ratio": 0.3}}, "full"], "rates": [0.1, 0.2],
         "seeds": [0, 1], "recipe": "digits", "balance": True, "label": {"digits": "Digits"}, "name": "mine",
         "prepare": ["label_noise --dataset digitsN --ratio 0.2"], "epochs": 1}
_OTHERS = ("plugin", "save", "ckpt", "recipe", "list", "config", "from-manifest", "allow-plugins", "score", "rule",
           "neighbors", "power", "width", "arch", "pool", "memory", "prepare", "name", "num-exp", "cross", "dry-run")


def text(rng, plain="a name"):
    """A text with a sign or two in it that mean something to a terminal, a page or a shell."""
    for _ in range(1 + rng.randint(3)):
        place = rng.randint(len(plain) + 1)
        plain = plain[:place] + _SIGNS[rng.randint(len(_SIGNS))] + plain[place:]
    return plain


def value(rng, right, folder):
    """A value that is right, but for what it spells beside."""
    place, flag = _PLACES[rng.randint(len(_PLACES))].format(folder), _FLAGS[rng.randint(len(_FLAGS))]
    if rng.randint(2):
        place = PLUGIN if flag.startswith("--plug") else f"{folder}/{ELSEWHERE}"
    words = [flag, place]
    makers = (lambda: [right, *words], lambda: words, lambda: "=".join(words), lambda: f"{right} {' '.join(words)}",
              lambda: place, lambda: [place], lambda: text(rng, str(right)), lambda: {str(right): words},
              lambda: {words[0]: place}, lambda: strange.plain(rng), lambda: f"corrupt {' '.join(words)}",
              lambda: 10**9, lambda: [10**9] * 3, lambda: list(range(1000)))
    return makers[rng.randint(len(makers))]()


def spoil(rng, values, folder):
    """A mapping of options in which one to three are others, or are added."""
    values = dict(values)
    if not rng.randint(3):
        name = ("plugin", "save", "prepare", "recipe", "data", "ckpt")[rng.randint(6)]
        return {**values, name: {"plugin": [PLUGIN], "prepare": f"corrupt --dataset digitsC --plugin {PLUGIN}"}.get(
            name, f"{folder}/{ELSEWHERE}")}
    for _ in range(1 + rng.randint(3)):
        names = [*values, *_OTHERS]
        name = names[rng.randint(len(names))]
        values[name] = value(rng, values.get(name, 1), folder)
    if not rng.randint(20):
        values[text(rng, "rate")] = 1
    return values


def _manifest(rng, folder):
    notes = {"n": readers.ROWS, "rate": 0.5, "method": "random", "options": {"balance": False}, "seed": 0,
             "dataset": "arrays", "command": "select", "arguments": spoil(rng, ARGUMENTS, folder)}
    if rng.randint(2):
        name = ("dataset", "command", "recipe", "versions", "device", "data", "base", "options", "method")[
            rng.randint(9)]
        notes[name] = {text(rng): text(rng)} if rng.randint(2) else value(rng, "arrays", folder)
    if not rng.randint(8):
        notes["n"] = (10**9, 10**12)[rng.randint(2)]
    arrays = {"indices": readers.COMPLETE["indices"]} if rng.randint(2) else readers.COMPLETE
    readers.put(folder / "forged.npz", readers.dump(np.savez, manifest=np.array(json.dumps(notes)), **arrays))
    return (("select", "--from-manifest forged.npz --data mine.npz --device CPU --save index"),
            ("select", "--from-manifest forged.npz --data mine.npz --device CPU --save index --ckpt net.ckpt"),
            ("coreset", "show forged.npz --no-data --classes"), ("coreset", "diff forged.npz forged.npz --no-data"),
            ("coreset", "show forged.npz"))[rng.randint(5)]


def _study(rng, folder):
    if rng.randint(2):
        readers.put(folder / "forged.yaml", readers.yaml_text(spoil(rng, STUDY, folder)))
        return "experiment", "--config forged.yaml --dry-run --device CPU"
    runs = readers._runs()
    for run in runs:
        for name in rng.choice(sorted(run), 3, replace=False):
            run[name] = text(rng) if rng.randint(2) else value(rng, run[name], folder)
    readers.put(folder / "study/runs.jsonl", b"".join(readers.json_text(run) + b"\n" for run in runs))
    readers.put(folder / "study/study.yaml", readers.yaml_text(spoil(rng, STUDY, folder)))
    return (("report", "study --markdown tables.md --output page.html --data mine.npz"),
            ("experiment", "--config study/study.yaml --save study --dry-run --device CPU"))[rng.randint(2)]


def _names(rng, folder):
    """Hostile names of classes, files and methods' options, before commands that print them."""
    arrays = {name: readers.ARRAYS[name] for name in ("labels", "images", "test_images", "test_labels")}
    arrays["classes"] = np.array([text(rng, name).replace("\0", "") for name in ("a", "b")])
    name = text(rng, "mine").replace("\0", "").replace("/", "")
    readers.put(folder / "mine.npz", readers.dump(np.savez, **arrays))
    shutil.copy(folder / "some.npz", folder / f"{name}.npz")
    return (("coreset", ["show", f"{name}.npz", "--dataset", "arrays", "--data", "mine.npz", "--classes"]),
            ("coreset", ["diff", f"{name}.npz", "other.npz", "--dataset", "arrays", "--data", "mine.npz", "--classes"]),
            ("select", ["--dataset", "arrays", "--data", "mine.npz", "--method", "random", "--rate", "0.5", "--save",
                        name]),
            ("select", ["--dataset", name, "--method", text(rng), "--rate", text(rng, "0.5")]),
            ("label-noise", ["--dataset", f"arraysN@{name}", "--data", "mine.npz"]),
            ("corrupt", ["--dataset", "arrays", "--data", "mine.npz", "--force", "--shares", f"{name}=0.1"]),
            ("report", [name]), ("convert-checkpoint", [f"{name}.npz", "x.ckpt"]))[rng.randint(8)]


FORGERS = {"manifests": _manifest, "studies": _study, "names": _names}


class ForgedCases(CommandCases):
    """The cases of a forger, each before a command."""

    def __init__(self, name, folder, limits):
        self._forge = FORGERS[name]
        super().__init__(None, folder / f"forged-{name}", limits)

    def _command_line(self, rng):
        name, words = self._forge(rng, self._folder)
        return name, words.split() if isinstance(words, str) else words

    def _renew(self):
        super()._renew()
        readers.put(self._folder / PLUGIN, _CODE.encode())
        for name in ("pipe", "pipe.yaml"):  # that no one will ever write to
            os.mkfifo(self._folder / name)

    def _find_litter(self):
        """What is there that only the forged file asked for."""
        found = [path for path in self._folder.parent.rglob("*") if path.stem in (ELSEWHERE, CANARY)]
        for path in found:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        return f"left {found[0].relative_to(self._folder.parent)}" if found else None
