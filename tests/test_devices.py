"""Accelerators without one: by MindSpore's documentation, on a CPU that says it is an Ascend, and by what is set.

What MindSpore itself refuses on Ascend 910B it refuses here, too; what only the device would refuse, ``ascend`` does.
"""

import ast
import ctypes
import ctypes.util
import importlib
import re
from pathlib import Path
from types import SimpleNamespace

import mindspore
import numpy as np
import pytest
from distributed_job import OPTIONS, RATE, evidence
from mindspore import Tensor, ops
from mindspore._c_expression import MSContext

import ms_coreset as mc
from ms_coreset import device
from ms_coreset.distributed import ranks
from ms_coreset.distributed.of_mindspore import MindSporeCollectives
from ms_coreset.errors import MsCoresetError
from ms_coreset.identity import network_identity
from ms_coreset.jobs.versions import version_notes
from ms_coreset.networks.inception import _pool_conv
from ms_coreset.perturbations.attack import attack, on_pixels
from ms_coreset.training.optimizer import _clip
from ms_coreset.training.step import Compiled

mc.set_device("CPU")
PACKAGE = Path(mc.__file__).parent


# By documentation

# Names of which MindSpore does not tell that they are for Ascend, GPU and CPU, and why they are used.
UNTOLD = {
    **dict.fromkeys(("mindspore.Tensor", "mindspore.Parameter", "mindspore.ParameterTuple"), "data, no operation"),
    "mindspore.float32": "a type", "mindspore.__version__": "a text",
    "mindspore.save_checkpoint": "of the host", "mindspore.train.checkpoint_pb2.Checkpoint": "of the host",
    "mindspore.dataset.GeneratorDataset": "of the host", "mindspore.dataset.config.get_prefetch_size": "of the host",
    "mindspore.dataset.config.set_prefetch_size": "of the host",
    "mindspore.device_context": "asked of the device that it is for", "mindspore.get_current_device": "of no device",
    "mindspore.set_device": "of no device", "mindspore.set_deterministic": "set on accelerators only",
    "mindspore.runtime.launch_blocking": "set on a CPU only",
    "mindspore.ops.SparseSoftmaxCrossEntropyWithLogits": "not taken on Ascend: device.mean_cross_entropy",
    "mindspore.amp.auto_mixed_precision": "puts casts around layers",
    "mindspore.ops.Assign": "by ops.assign, which is for all, but announced to go",
    "mindspore.ops.AllGather": "runs on a CPU, too: test_distributed",
}
# Names that can do less on Ascend, and why that is enough; ``ascend`` refuses the first two.
LIMITED = {
    "mindspore.nn.Conv2d": "grouped only by channel", "mindspore.ops.MatMul": "no float64: kernels.float_type",
    "mindspore.Parameter": "arguments that are not given",
    "mindspore.nn.Dense": "for more than six dimensions: here two",
    "mindspore.jit": "of a backend that is not used",
    "mindspore.nn.ZeroPad2d": "no negative padding, five dimensions: here 1 and four",
}
# Names that are announced to change after 2.9, and what of it concerns us.
CHANGING = {
    "mindspore.nn.BatchNorm2d": "momentum: test_training would notice",
    **dict.fromkeys(("mindspore.nn.Conv2d", "mindspore.nn.MaxPool2d", "mindspore.nn.Dense", "mindspore.nn.HSigmoid",
                     "mindspore.nn.HSwish"), "names or arguments go: no network could be built"),
    **dict.fromkeys(("mindspore.nn.AvgPool2d", "mindspore.nn.Flatten", "mindspore.nn.SiLU", "mindspore.nn.Sigmoid",
                     "mindspore.nn.ZeroPad2d", "mindspore.ops.amax", "mindspore.ops.cat", "mindspore.ops.chunk",
                     "mindspore.ops.silu", "mindspore.ops.zeros"), "arguments that are not given by name"),
}
RANKS = {f"mindspore.communication.{name}": "by the device's own: HCCL, NCCL, MCCL"
         for name in ("get_group_size", "get_local_rank_size", "get_rank", "init", "release")}


def name_of_call(node, imported):
    """The full name that an expression has in MindSpore, or None."""
    if isinstance(node, ast.Name):
        return imported.get(node.id)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in (
            "_mindspore", "require_mindspore"):
        return "mindspore"
    start = name_of_call(node.value, imported) if isinstance(node, ast.Attribute) else None
    return start and f"{start}.{node.attr}"


def annotations(tree):
    """What a module says of types, which runs nowhere."""
    for node in ast.walk(tree):
        for kind in (getattr(node, "annotation", None), getattr(node, "returns", None)):
            yield from ast.walk(kind) if kind else ()


def names_of_mindspore(source):
    """The full names of all of MindSpore that a module's text uses."""
    tree, imported = ast.parse(source), {"mindspore": "mindspore"}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "mindspore":
            imported |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    types = set(map(id, annotations(tree)))
    names = {name_of_call(node, imported) for node in ast.walk(tree) if id(node) not in types} - {None, "mindspore"}
    return {name for name in names if not any(other.startswith(f"{name}.") for other in names)}


USED = sorted(set().union(*(names_of_mindspore(path.read_text()) for path in PACKAGE.rglob("*.py"))))


def documentation(name):
    """The documentation of what has a full name, in one line."""
    found, parts = mindspore, name.split(".")[1:]
    for place, part in enumerate(parts, 1):
        if not hasattr(found, part):
            importlib.import_module(".".join(["mindspore", *parts[:place]]))
        found = getattr(found, part)
    return " ".join((found.__doc__ or "").split())


def platforms(text):
    """The devices that a documentation names as supported."""
    return set(re.findall(r"\w+", "".join(re.findall(r"Supported Platforms: ((?:``\w+`` ?)*)", text))))


def limits(text):
    """The sentences of a documentation that say what Ascend can't do."""
    refusal = r"[Oo]nly support|[Oo]nly .* supported|(not|n't) be supported|not supported|cannot"
    return [sentence for sentence in re.split(r"(?<=\.) ", text) if "Ascend" in sentence
            and re.search(refusal, sentence.partition("Supported Platforms")[0])]


def test_names_are_found_wherever_they_are_used():
    source = """
import mindspore
from mindspore import Tensor as T, ops, nn
def _f(x: mindspore.Parameter) -> nn.Dense:
    mindspore.set_device("CPU"), ops.sort(T(1)), _mindspore().ops.MatMul(), nn.Cell().construct
"""
    assert names_of_mindspore(source) == {"mindspore.set_device", "mindspore.ops.sort", "mindspore.Tensor",
                                          "mindspore.ops.MatMul", "mindspore.nn.Cell"}
    assert {"mindspore.ops.MatMul", "mindspore.nn.Conv2d", "mindspore.value_and_grad"} <= set(USED)


def test_platforms_and_limits_are_read():
    assert platforms(documentation("mindspore.ops.SparseSoftmaxCrossEntropyWithLogits")) == {"GPU", "CPU"}
    assert limits(documentation("mindspore.ops.sort")) and not limits(documentation("mindspore.ops.relu"))


@pytest.mark.parametrize("name", USED)
def test_mindspore_says_that_it_is_for_every_device(name):
    text = documentation(name)
    assert platforms(text) == {"Ascend", "GPU", "CPU"} or name in UNTOLD | RANKS
    assert not limits(text) or name in LIMITED or name == "mindspore.set_device", limits(text)


@pytest.mark.parametrize("name", USED)
def test_mindspore_does_not_announce_its_end(name):
    text = documentation(name)
    assert not re.search(r"(interface|api) (is|will be) deprecated", text, re.IGNORECASE)
    assert name in CHANGING or not re.search(r"after version \d", text, re.IGNORECASE)


def test_no_reason_is_given_for_what_is_not_used():
    assert UNTOLD.keys() | LIMITED.keys() | CHANGING.keys() | RANKS.keys() <= set(USED)


# On a CPU that says it is an Ascend 910B

class Pretended:
    """Whether MindSpore says that it computes on an Ascend, and the shapes that its kernels were given there."""

    def __init__(self):
        self.device, self.shapes = "Ascend", set()

    def on_cpu(self, make):
        """What ``make()`` returns on a CPU that says so."""
        self.device = "CPU"
        try:
            return make()
        finally:
            self.device = "Ascend"

    def batches(self):
        """The numbers of rows that kernels were given on Ascend."""
        return {shape[0] for shape in self.shapes}

    def refusing(self, call, reason):
        """The function ``call``, which on Ascend raises where ``reason(*its arguments)`` tells one."""
        def check(*operands, **options):
            if self.device == "Ascend" and (why := reason(*operands, **options)):
                raise RuntimeError(f"on Ascend: {why}")
            return call(*operands, **options)
        return check

    def multiplying(self, kernel, *operands):
        """Why a kernel of convolution or products would refuse its operands."""
        self.shapes.add(operands[0].shape)
        if any(operand.dtype == mindspore.float64 for operand in operands):
            return "float64"
        groups = getattr(kernel, "group", 1)
        return "groups of channels" if groups not in (1, operands[0].shape[1]) else None


@pytest.fixture
def ascend(monkeypatch):
    """MindSpore says it computes on an Ascend 910B, and refuses what it can't do there; the CPU computes."""
    pretended, context = Pretended(), mindspore.context.get_context
    monkeypatch.setattr(device, "_compiling", [device.OFF])  # a graph would go past what is refused here

    def note_shape(key):
        return pretended.device if key == "device_target" else context(key)

    for owner in (mindspore.context, mindspore):
        monkeypatch.setattr(owner, "get_context", note_shape)
    monkeypatch.setattr(mindspore, "get_current_device", lambda: SimpleNamespace(device_target=pretended.device))
    monkeypatch.setattr(MSContext, "get_ascend_soc_version", lambda self: "ascend910b")  # what MindSpore 2.7 asks
    monkeypatch.setattr(MSContext, "ascend_soc_supports_feature", lambda self, name: "classic" not in name,
                        raising=False)
    for kernel in (ops.Conv2D, ops.MatMul, ops.BatchMatMul):
        monkeypatch.setattr(kernel, "__call__", pretended.refusing(kernel.__call__, pretended.multiplying))
    sparse = ops.SparseSoftmaxCrossEntropyWithLogits
    monkeypatch.setattr(sparse, "__call__", pretended.refusing(sparse.__call__, lambda *_: "no kernel"))
    for owner, name in ((ops, "sort"), (ops, "argsort"), (Tensor, "sort"), (Tensor, "argsort")):
        monkeypatch.setattr(owner, name, pretended.refusing(getattr(owner, name), other_axis))
    return pretended


def other_axis(tensor, axis=-1, *_, **__):
    return None if axis in (-1, tensor.ndim - 1) else f"sorting along axis {axis}"


def test_it_refuses_what_ascend_does(ascend):
    one = Tensor(np.ones((2, 2)))
    with pytest.raises(RuntimeError, match="on Ascend: float64"):
        ops.MatMul()(one, one)
    with pytest.raises(RuntimeError, match="on Ascend: float64"):
        ops.Conv2D(1, 1)(one.reshape(1, 1, 2, 2), one[:1, :1].reshape(1, 1, 1, 1))
    with pytest.raises(RuntimeError, match="on Ascend: groups of channels"):
        mindspore.nn.Conv2d(4, 4, 1, group=2)(Tensor(np.ones((1, 4, 2, 2), np.float32)))
    with pytest.raises(RuntimeError, match="on Ascend: sorting along axis 0"):
        ops.sort(one, axis=0)
    with pytest.raises(RuntimeError, match="on Ascend: no kernel"):
        ops.SparseSoftmaxCrossEntropyWithLogits()(one.astype(mindspore.float32), Tensor(np.zeros(2, np.int32)))
    with pytest.raises(ValueError, match="910B"):
        mindspore.nn.AvgPool2d(3, 1, pad_mode="pad", padding=1)
    ascend.on_cpu(lambda: ops.sort(one, axis=0))


@pytest.mark.parametrize("name", mc.list_scores())
def test_scores(name, ascend):
    for options in OPTIONS.get(name, [{}]):
        found = mc.score(name, evidence(), **options)
        expected = ascend.on_cpu(lambda given=options: mc.score(name, evidence(), **given))
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("balance", [False, True])
@pytest.mark.parametrize("name", mc.list_methods())
def test_methods(name, balance, ascend):
    for options in OPTIONS.get(name, [{}]):
        coreset = mc.select(name, evidence(), RATE, balance=balance, seed=3, **options)
        assert len(np.unique(coreset.indices)) == len(coreset.indices) > 0
        assert coreset.indices.max() < 500


def pictures(n=10, size=8, channels=1, classes=3):
    rng = np.random.RandomState(0)
    images, labels = rng.randint(0, 256, (n, size, size, channels)).astype(np.uint8), np.arange(n) % classes
    return mc.Split("toy", images, labels, classes=tuple("abc"), mean=(0.4,) * channels, std=(0.3,) * channels)


def test_evidence_of_patches_is_the_hosts(ascend):
    found, expected = mc.patch_evidence(pictures(60)), ascend.on_cpu(lambda: mc.patch_evidence(pictures(60)))
    np.testing.assert_array_equal(found.logits, expected.logits)


LARGE = ("vgg", "wrn", "resnet34", "resnet50", "resnet101", "resnet152", "wide_resnet", "efficientnet", "inception",
         "googlenet", "alexnet", "shufflenet", "mobilenet_v3_large")
SIZES = (32, 75)  # of both variants; Inception takes no less


def networks():
    """(name, side of the images, options), the narrowest."""
    for name in mc.list_networks():
        options = {"width": 4} if "resnet" in name or name in ("senet18", "mlp", "airbench") else {}
        for size in SIZES:
            marks = [pytest.mark.slow] if name.startswith(LARGE) or size != SIZES[0] else []
            marks += [pytest.mark.exhaustive] if name.startswith("vgg") and size != SIZES[0] else []
            yield pytest.param(name, size, options, id=f"{name}-{size}", marks=marks)


@pytest.mark.parametrize(("name", "size", "options"), list(networks()))
def test_networks_answer_and_learn(name, size, options, ascend):
    split = pictures(4, size, 3)
    network = mc.create_network(name, 3, 3, image_size=size, **options)
    found = mc.extract(network, split, batch_size=4)
    expected = ascend.on_cpu(lambda: mc.extract(network, split, batch_size=4))
    for field in ("features", "logits"):
        wanted = getattr(expected, field)
        np.testing.assert_allclose(getattr(found, field), wanted, rtol=0, atol=1e-4 * np.abs(wanted).max())
    before = network.head.weight.asnumpy().copy()
    mc.train(network, split, mc.Recipe(arch=name, epochs=1, batch_size=4, lr=0.01))
    assert np.isfinite(network.head.weight.asnumpy()).all() and (network.head.weight.asnumpy() != before).any()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", [name for name in mc.list_networks() if name.startswith(LARGE)])
def test_networks_are_built(name, size, ascend, monkeypatch):
    """What MindSpore refuses on Ascend when a layer is made; weights are not drawn, which would take most of it."""
    for family in ("resnet", "wide_resnet", "alexnet", "vgg", "mobilenet_v3", "inception", "googlenet", "efficientnet",
                   "shufflenet"):
        module = importlib.import_module(f"ms_coreset.networks.{family}")
        monkeypatch.setattr(module, "initialize", lambda network, *_, **__: network)
    assert mc.create_network(name, 3, 3, image_size=size).variant in (None, "cifar", "imagenet")


def test_padded_average_pooling_is_mindspores():
    images = Tensor(np.random.RandomState(0).randn(2, 3, 5, 7).astype(np.float32))
    found, expected = (value_and_gradient(pool, images) for pool in (
        _pool_conv(8)["pool"][1], mindspore.nn.AvgPool2d(3, 1, pad_mode="pad", padding=1)))
    np.testing.assert_array_equal(found, expected)


def value_and_gradient(pool, images):
    def total(x):
        return (pool(x) * images**2).sum()
    return np.stack([pool(images).asnumpy(), mindspore.grad(total)(images).asnumpy()])


@pytest.mark.parametrize("weights", [None, np.arange(1.0, 11)])
def test_training(weights, ascend):
    """Whole and last batches, weighted or not, a gradient that is clipped, batch normalisation."""
    recipe = mc.Recipe(arch="resnet18", epochs=2, batch_size=4, lr=0.01, clip_norm=0.1, validation=0.2)

    def train_network():
        network = mc.create_network("resnet18", 3, 1, image_size=8, width=4)
        mc.train(network, pictures(), recipe, weights=weights, test=pictures())
        return np.concatenate([parameter.asnumpy().ravel() for parameter in network.get_parameters()])
    np.testing.assert_allclose(train_network(), ascend.on_cpu(train_network), rtol=0, atol=1e-5)


def test_training_is_compiled_there_unless_told_otherwise(ascend, monkeypatch):
    """By ``auto``, weighted and not, and the same as without graphs there."""
    recipe = mc.Recipe(arch="airbench", epochs=2, batch_size=4, lr=0.01, clip_norm=0.1, validation=0.2)
    compiled, former = [], Compiled._compile
    monkeypatch.setattr(Compiled, "_compile", lambda self, shape, operands: compiled.append(self) or former(
        self, shape, operands))

    def train_network(mode, weights):
        monkeypatch.setattr(device, "_compiling", [mode])
        network = mc.create_network("airbench", 3, 1, image_size=12, width=4)
        mc.train(network, pictures(size=12), recipe, weights=weights)
        return np.concatenate([parameter.asnumpy().ravel() for parameter in network.get_parameters()])
    for weights in (None, np.arange(1.0, 11)):
        plain = train_network(device.OFF, weights)
        assert not compiled
        np.testing.assert_array_equal(train_network(device.AUTO, weights), plain)
        assert len(compiled) == 1 and not compiled.pop()._given_up


def test_gradients_are_clipped_as_mindspore_did():
    gradients = tuple(Tensor(np.random.RandomState(place).randn(*shape).astype(np.float32))
                      for place, shape in enumerate([(3, 4), (5,), (2, 3, 3, 3)]))
    for largest in (0.5, 100):
        for found, expected in zip(_clip(gradients, largest), ops.clip_by_norm(gradients, largest), strict=True):
            np.testing.assert_array_equal(found.asnumpy(), expected.asnumpy())


# A kernel is compiled for every new shape: last batches have that of the others.

def attack_images(kind):
    def ask(network, split):
        pixels = on_pixels(network, split.mean, split.std)
        return attack(pixels, split.images, split.labels, batch_size=4, attack=kind, eps=4 / 255)[0].astype(int)
    return ask


@pytest.mark.parametrize("ask", [
    pytest.param(lambda network, split: mc.extract(network, split, batch_size=4).logits, id="extract"),
    pytest.param(lambda network, split: mc.predict(network, split, batch_size=4), id="predict"),
    pytest.param(lambda network, split: mc.deepfool_distances(network, split, 20, batch_size=9), id="deepfool"),
    pytest.param(attack_images("gsa"), id="gsa"), pytest.param(attack_images("pgd"), id="pgd")])
def test_all_batches_have_one_shape(ask, ascend):
    network, split = mc.create_network("lenet", 3, 1, image_size=8), pictures()
    found = ask(network, split)
    assert len(ascend.batches()) == 1
    expected = ascend.on_cpu(lambda: ask(network, split))
    assert np.mean(np.abs(found - expected) > 1e-4 * np.abs(expected).max()) < 0.02  # the sign of a gradient of 0


# What is set, and when

@pytest.fixture
def calls(monkeypatch):
    """What MindSpore is asked for, in order, on a machine with all devices: one that says so, and does nothing."""
    note_shape = []

    def note(name):
        return lambda *values: note_shape.append((name, *values))

    monkeypatch.setattr(device, "_settings", {})
    monkeypatch.setattr(device, "available_devices", lambda: ["Ascend", "GPU", "CPU"])
    monkeypatch.setattr(mindspore, "get_current_device", lambda: SimpleNamespace(device_target="Ascend"))
    for owner, name in ((mindspore, "set_device"), (mindspore, "set_deterministic"),
                        (mindspore.runtime, "launch_blocking"), (mindspore.communication, "init")):
        monkeypatch.setattr(owner, name, note(name))
    for kind, type_ in (("ascend", "hf32"), ("gpu", "tf32")):
        for work in ("conv", "matmul"):
            name = f"{work}_allow_{type_}"
            monkeypatch.setattr(getattr(mindspore.device_context, kind).op_precision, name, note(name))
    for name, told in (("get_rank", 0), ("get_group_size", 1), ("get_local_rank_size", 1)):
        monkeypatch.setattr(mindspore.communication, name, lambda told=told: told)
    monkeypatch.setenv("RANK_SIZE", "2")
    process = ranks._Process()
    process.taking_part = True
    monkeypatch.setattr(ranks, "_process", process)
    return note_shape


@pytest.mark.parametrize(("name", "kind"), [("Ascend", "hf32"), ("GPU", "tf32")])
@pytest.mark.parametrize("precision", ["float32", "fast"])
def test_an_accelerator_is_set_up_before_ranks_meet(name, kind, precision, calls):
    assert mc.set_device(name, precision) == name
    assert calls == [("set_device", name), (f"conv_allow_{kind}", precision == "fast"), (f"matmul_allow_{kind}", False),
                     ("set_deterministic", True), ("init",)]


def test_a_cpu_is_set_up(calls):
    mc.set_device("cpu", "fast")
    assert calls == [("set_device", "CPU"), ("launch_blocking",), ("init",)]
    assert version_notes("CPU").keys() == {"versions", "revision", "device"}


def test_settings_are_made_once_and_told(calls):
    mc.set_device("auto")
    made = version_notes("Ascend")
    assert (made["device"], made["precision"], made["deterministic"]) == ("Ascend", "float32", True)
    before = len(calls)
    mc.set_device("Ascend")
    assert calls[before:] == [("set_device", "Ascend")]
    with pytest.raises(MsCoresetError, match="precision fast: MindSpore computes in float32 already"):
        mc.set_device("Ascend", "fast")


def test_what_the_program_has_set_is_left_or_refused(calls, monkeypatch):
    def already(_):
        raise RuntimeError("can not be set repeatedly.")

    with monkeypatch.context() as patch:
        patch.setattr(mindspore.device_context.ascend.op_precision, "conv_allow_hf32", already)
        with pytest.raises(MsCoresetError, match=r"precision float32: it was set otherwise already \(can not be"):
            mc.set_device("Ascend")
    monkeypatch.setattr(mindspore, "set_deterministic", already)
    mc.set_device("Ascend")
    assert device.device_settings() == {"precision": "float32", "deterministic": None}


def test_precision_is_part_of_a_networks_identity(calls):
    network = SimpleNamespace(description={"arch": "lenet"})
    before = network_identity(network)
    mc.set_device("GPU", "fast")
    assert before == {"arch": "lenet"} and network_identity(network) == {"arch": "lenet", "precision": "fast"}


def test_unknown_precision_is_refused():
    with pytest.raises(MsCoresetError, match="unknown precision 'half': there are float32, fast"):
        mc.set_device("CPU", "half")


# Which devices there are

@pytest.fixture
def machine(monkeypatch):
    """A machine without compilers: ``libraries`` that can be loaded, ``numbers`` of devices that MindSpore tells, or
    the error that it raises, and ``gpus`` that NVIDIA's driver counts, or the error code that it returns, below 0."""
    found = SimpleNamespace(libraries=set(), numbers={}, gpus=0)

    def count_gpus(place):
        ctypes.cast(place, ctypes.POINTER(ctypes.c_int)).contents.value = 7 if found.gpus < 0 else found.gpus
        return max(0, -found.gpus)

    def load(library):
        if library not in found.libraries:
            raise OSError(library)
        return SimpleNamespace(cuInit=lambda flags: 0, cuDeviceGetCount=count_gpus)

    def count(kind):
        if isinstance(found.numbers.get(kind, 0), Exception):
            raise found.numbers[kind]
        return found.numbers.get(kind, 0)

    monkeypatch.setattr(ctypes.util, "find_library", lambda name: None)
    monkeypatch.setattr(ctypes, "CDLL", load)
    for kind in ("ascend", "gpu"):
        # As MindSpore 2.10 does: a plug-in that loads is enough.
        monkeypatch.setattr(mindspore.hal, "is_available", lambda kind: True)
        monkeypatch.setattr(getattr(mindspore.device_context, kind), "device_count", lambda kind=kind: count(kind))
    return found


def test_a_driver_is_found_where_no_linker_is(machine):
    assert mc.available_devices() == ["CPU"]
    machine.libraries, machine.numbers = {"libascendcl.so"}, {"ascend": 8, "gpu": 1}
    assert mc.available_devices() == ["Ascend", "CPU"]
    machine.libraries |= {"libcuda.so.1"}
    assert mc.available_devices() == ["Ascend", "GPU", "CPU"]


@pytest.mark.parametrize("number", [0, RuntimeError("no CUDA-capable device is detected")])
def test_a_toolkit_without_a_device_is_none_and_said(number, machine, caplog):
    machine.libraries, machine.numbers = {"libcuda.so.1"}, {"gpu": number}
    assert mc.set_device("auto") == "CPU"
    assert caplog.messages == ["there is a driver for GPU, but MindSpore can use no such device here: computing on the "
                               "CPU"]
    with pytest.raises(MsCoresetError, match="device GPU is not available here; available: CPU"):
        mc.set_device("GPU")


@pytest.mark.parametrize(("gpus", "told"), [(1, "there is 1 NVIDIA GPU"), (4, "there are 4 NVIDIA GPUs")])
@pytest.mark.parametrize("installed", [True, False])
def test_a_gpu_that_mindspore_knows_nothing_of_is_named_with_what_computes_on_it(gpus, told, installed, machine, caplog,
                                                                                 monkeypatch):
    machine.libraries, machine.numbers, machine.gpus = {"libcuda.so.1"}, {"gpu": 0}, gpus
    monkeypatch.setattr(device, "has_mindspore", lambda: installed)
    assert device._choose("auto") == "CPU"
    assert caplog.messages == [f"{told} here, which MindSpore can't use: computing on the CPU; --framework torch "
                               "--device cuda computes on it"]
    caplog.clear()
    assert device._choose("CPU") == "CPU"
    assert not caplog.messages


def test_a_driver_that_fails_counts_none(machine):
    assert device.nvidia_gpus() == 0
    machine.libraries, machine.gpus = {"libcuda.so.1"}, -100
    assert device.nvidia_gpus() == 0


# Between ranks

def test_ranks_send_nothing_but_int32(monkeypatch):
    """Of whole numbers, older backends of GPU gather int32 only."""
    sent = []

    class Gather:
        def __call__(self, tensor):
            assert tensor.dtype == mindspore.int32
            sent.append(tensor.size)
            return ops.cat([tensor, tensor])

    monkeypatch.setattr(ops, "AllGather", Gather)
    monkeypatch.setattr(ops, "AllReduce", lambda: None)
    for name, told in (("init", None), ("get_rank", 0), ("get_group_size", 2), ("get_local_rank_size", 2)):
        monkeypatch.setattr(mindspore.communication, name, lambda told=told: told)
    pair = ranks.Ranks(MindSporeCollectives(60))
    for array in (np.array([2**40, -3]), np.arange(7, dtype=np.uint8), np.empty((0, 3)), np.ones((2, 3), np.float32)):
        for part in pair.gather(array):
            np.testing.assert_array_equal(part, array)
            assert part.dtype == array.dtype
    assert pair.agree(2**33 + 1) == 2**33 + 1 and sent
