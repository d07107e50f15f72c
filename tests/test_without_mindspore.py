"""What goes without MindSpore, and that it chooses the same; what does not, and what is said then."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from distributed_job import evidence

import ms_coreset as mc
from ms_coreset.errors import NEWEST_PYTHON

SCRIPTS = Path(mc.__file__).resolve().parents[1] / "scripts"
GET_IT = 'pip install "ms-coreset[mindspore]"'
# What is said on a Python that MindSpore is made for, and on one that it is not.
ADVICE = {(3, 12): f"MindSpore, which is not installed: {GET_IT}, on Python 3.11 or 3.12",
          (3, 13): f"MindSpore, which is not made for Python 3.13, where {GET_IT} leaves it out: install both on "
                   "Python 3.11 or 3.12"}
# What a new process does first: MindSpore can't be had, is there but not loaded, or computes.
BLOCKED = "import sys; sys.modules['mindspore'] = None\n"
IDLE = "import sys\n"
LOADED = "import mindspore; mindspore.set_device('CPU')\n"
STILL_IDLE = "\nassert sys.modules.get('mindspore') is None, 'MindSpore was loaded'\n"
STILL_IDLE += "assert 'matplotlib' not in sys.modules, 'what draws reports was loaded'\n"

CHOOSE = """
import numpy as np
import ms_coreset as mc
from distributed_job import RATE, by_arrays

np.savez(sys.argv[1], **by_arrays())
for name in mc.list_methods():
    mc.estimate(name, 500, 12, classes=6, rate=RATE)
assert mc.set_device("auto") == "CPU"
"""


def run(program, *arguments, expected=0):
    """What a new process prints that runs a Python program beside the tests' own modules; its exit code is compared."""
    program = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n{program}"
    done = subprocess.run([sys.executable, "-c", program, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == expected, done.stderr
    return done


def choose(before, after, path):
    run(before + CHOOSE + after, path)
    with np.load(path) as found:
        return dict(found)


@pytest.fixture(scope="module")
def without(tmp_path_factory):
    """Name -> array: all scores, and what all methods choose, where MindSpore can't be had."""
    return choose(BLOCKED, "", tmp_path_factory.mktemp("without") / "found.npz")


def test_every_method_and_score_goes_by_arrays_alone(without):
    """None truly needs MindSpore: dynamics of training and distances to the boundary are arrays, too."""
    of_methods = {name.partition(".")[0] for name in without if name.endswith(".indices")}
    assert of_methods == set(mc.list_methods())
    assert {name.partition(".")[0] for name in without if name.endswith(".score")} == set(mc.list_scores())


@pytest.mark.mindspore
@pytest.mark.parametrize(("before", "after"), [(IDLE, STILL_IDLE), (LOADED, "")], ids=["installed", "loaded"])
def test_the_same_is_chosen_byte_for_byte_with_it(before, after, without, tmp_path):
    found = choose(before, after, tmp_path / "found.npz")
    assert found.keys() == without.keys()
    for name, array in found.items():
        assert array.dtype == without[name].dtype and array.tobytes() == without[name].tobytes(), name


COMMANDS = """
from ms_coreset.cli import main

for line in ("select --dataset arrays --data known.npz --method craig --rate 0.2",
             "select --dataset arrays --data known.npz --rate 0.2 --device cpu",
             "select --from-manifest index/arrays-known-craig-0.2.npz --data known.npz",
             "score --dataset arrays --data known.npz",
             "coreset show index/arrays-known-craig-0.2.npz",
             "coreset diff index/arrays-known-craig-0.2.npz index/arrays-known-moderate-0.2.npz",
             "select --dataset digitsN --rate 0.2 --pool 200",
             "corrupt --dataset digits"):
    assert main(line.split()) in (0, None), line
"""


@pytest.mark.parametrize("before", [BLOCKED, IDLE], ids=["blocked", "as it is"])
def test_commands_that_need_arrays_or_images_alone_do_not_load_it(before, here):
    known = evidence()
    np.savez("known.npz", labels=known.labels, features=known.features, logits=known.logits)
    printed = run(before + COMMANDS + STILL_IDLE).stdout
    assert "craig coreset of arrays-known, rate 0.2" in printed and "the same coreset now, byte for byte" in printed
    version = mc.Coreset.load("index/arrays-known-craig-0.2.npz").manifest["versions"]["mindspore"]
    assert (version is None) == (before == BLOCKED or not is_installed())


def is_installed():
    return run("import importlib.util; print(importlib.util.find_spec('mindspore') is not None)").stdout == "True\n"


def test_a_study_s_report_does_without(here):
    Path("study").mkdir()
    record = {"key": "a", "status": "failed", "dataset": "digits", "method": "random", "rate": 0.2, "seed": 0,
              "error": "it broke"}
    Path("study/runs.jsonl").write_text(json.dumps(record) + "\n")
    assert "study/report.html" in run(f"{BLOCKED}from ms_coreset.cli import main\nmain(['report', 'study'])").stdout


CALLS = """
import json
import numpy as np
import ms_coreset as mc

split = mc.Split("toy", np.zeros((4, 8, 8, 1), np.uint8), np.arange(4) % 2, classes=("a", "b"), mean=(0.4,), std=(0.3,))
pixels = np.zeros((1, 1, 8, 8), np.float32)
calls = {"create_network": lambda: mc.create_network("lenet", 2, 1, image_size=8), "Classifier": lambda: mc.Classifier,
         "initialize": lambda: mc.initialize, "train": lambda: mc.train(None, split, mc.load_recipe("digits")),
         "predict": lambda: mc.predict(None, split), "evaluate": lambda: mc.evaluate(None, split),
         "extract": lambda: mc.extract(None, split), "deepfool_distances": lambda: mc.deepfool_distances(None, split),
         "attack": lambda: mc.attack(len, split.images, split.labels), "on_pixels": lambda: mc.on_pixels(None, 0, 1),
         "gradient_sign": lambda: mc.gradient_sign(len, pixels),
         "projected_gradient": lambda: mc.projected_gradient(len, pixels, [0]),
         "make_attack": lambda: mc.make_attack(split, None, "data"), "load_weights": lambda: mc.load_weights(None, "x"),
         "save_weights": lambda: mc.save_weights(None, "x.ckpt"),
         "network_from_weights": lambda: mc.network_from_weights(sys.argv[1], 8), "GPU": lambda: mc.set_device("gpu"),
         "Ascend": lambda: mc.set_device("Ascend")}
said = {}
for name, call in calls.items():
    try:
        call()
    except mc.MsCoresetError as error:
        said[name] = str(error)
assert said.keys() == calls.keys(), calls.keys() - said.keys()
assert mc.available_devices() == ["CPU"]
print(json.dumps(said))
"""


def as_python(version):
    """A line of a program, after which the interpreter is said to be of this version."""
    return f"import platform; platform.python_version_tuple = lambda: {(*map(str, version), '0')}\n"


@pytest.mark.parametrize("version", ADVICE)
def test_what_needs_it_says_how_to_get_it(tmp_path, version):
    (tmp_path / "a.ckpt").write_bytes(b"\n" + bytes(20))
    program = BLOCKED + CALLS.replace("said = {}\n", "said = {}\n" + as_python(version))
    for name, text in json.loads(run(program, tmp_path / "a.ckpt").stdout).items():
        what = f"device {name}" if name in ("GPU", "Ascend") else "this"
        assert text.startswith(f"{what} needs {ADVICE[version]}"), name


def test_the_extra_is_of_the_versions_that_are_named():
    """pyproject.toml's markers leave MindSpore out where the advice says so, and only there."""
    requirements = pytest.importorskip("packaging.requirements")
    text = (SCRIPTS.parent / "pyproject.toml").read_text()
    extra = tomllib.loads(text)["project"]["optional-dependencies"]["mindspore"]
    for version in ((3, 11), *ADVICE, (3, 14)):
        python = {"python_version": ".".join(map(str, version))}
        names = [one.name for one in map(requirements.Requirement, extra)
                 if one.marker is None or one.marker.evaluate(python)]
        assert ("mindspore" in names) == (version <= NEWEST_PYTHON)


@pytest.mark.parametrize("version", ADVICE)
@pytest.mark.parametrize(("line", "environment"), [
    ("train --dataset digits", {}),
    ("select --dataset digits --rate 0.2 --method moderate", {}),
    ("score --dataset digits", {}),
    ("attack --dataset digits", {}),
    ("experiment --config digits", {}),
    ("convert-checkpoint a.ckpt b.pth", {}),
    ("select --dataset digits --rate 0.2 --device GPU", {}),
    ("select --dataset digitsN --rate 0.2", {"RANK_SIZE": "2", "RANK_ID": "0"}),
    ("select --dataset digitsN --rate 0.2", {"MS_ROLE": "MS_SCHED"})])
def test_commands_that_need_it_say_so_in_one_line(line, environment, version, here):
    Path("a.ckpt").write_bytes(b"\n" + bytes(20))
    program = (f"{BLOCKED}import os; os.environ |= {environment}\nfrom ms_coreset.cli import main\n"
               f"{as_python(version)}sys.exit(main({line.split()}))")
    done = run(program, expected=2)
    *notes, error = done.stderr.splitlines()
    assert error.startswith("error: ") and ADVICE[version] in error
    assert all(note.startswith("note: ") and "train" not in note for note in notes) and not done.stdout


def test_one_that_is_broken_is_told_from_none(tmp_path):
    (tmp_path / "mindspore").mkdir()
    (tmp_path / "mindspore" / "__init__.py").write_text("raise ImportError('libsomething.so: no such file')")
    done = run("sys.path.insert(0, sys.argv[1])\nimport ms_coreset as mc\ntry: mc.create_network('lenet', 2)\n"
               "except mc.MsCoresetError as error: print(error)", tmp_path)
    assert done.stdout == "MindSpore is installed, but can't be imported: libsomething.so: no such file\n"


@pytest.mark.mindspore
def test_a_cpu_that_was_asked_for_is_set_up_when_it_is_loaded():
    """Asynchronous dispatch, MindSpore's default, makes small operations slow at random."""
    done = run("""import ms_coreset as mc
mc.set_device("CPU")
assert 'mindspore' not in sys.modules
import mindspore
calls = []
for owner, name in ((mindspore, "set_device"), (mindspore.runtime, "launch_blocking")):
    setattr(owner, name, lambda *values, name=name: calls.append((name, *values)))
mc.create_network("lenet", 2, 1, image_size=8)
mc.create_network("lenet", 2, 1, image_size=8)
print(calls)""")
    assert done.stdout == "[('set_device', 'CPU'), ('launch_blocking',)]\n"
