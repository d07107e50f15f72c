"""Every reader of files: small whole files that it reads, and how they are damaged.

A reader of a format with a checksum may refuse a damaged file or give what the undamaged one gives; without one it may
also give other values of the right types, shapes and ranges, which no reader could tell from right ones.
"""

import gzip
import io
import json
import pickle
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from . import hostile, strange
from .damage import damage

ROWS = 4
_RNG = np.random.RandomState(7)
PIXELS = _RNG.randint(0, 256, (ROWS, 8, 8, 3)).astype(np.uint8)
LABELS = np.array([1, 0, 1, 0])
FEATURES = _RNG.rand(ROWS, 3).astype(np.float32)
DIGITS = _RNG.randint(0, 256, (ROWS, 28, 28))


@dataclass(frozen=True)
class Reader:
    """A reader of files.

    build: writes whole files into a folder; files: those of them that are damaged
    read: ``folder -> value``, see ``same`` and ``plausible``
    sealed: whether checksums of the format cover all that is read
    inside: (take apart, put together) for damage below a checksum: ``bytes -> [bytes]`` and back, or None
    forms: ``(rng, canary) -> (file, content)`` that write a file anew with strange content
    imports: what takes long to import, before memory is limited
    """

    name: str
    build: Callable
    files: tuple
    read: Callable
    sealed: bool = False
    inside: tuple | None = None
    forms: tuple = ()
    imports: tuple = ("ms_coreset.datasets",)

    def harm(self, rng, whole, canary):
        """(file, content) of one case: whole files are {name: bytes}."""
        draw = rng.random_sample()
        if self.forms and draw < 0.35:
            return self.forms[rng.randint(len(self.forms))](rng, canary), False
        file = self.files[rng.randint(len(self.files))]
        if draw < 0.40:
            others = sorted(whole)
            return (file, whole[others[rng.randint(len(others))]]), False
        if self.inside and draw < 0.65:
            return (file, self._inside(rng, whole[file])), False
        return (file, damage(rng, whole[file])), self.sealed

    def _inside(self, rng, content):
        apart, together = self.inside
        parts = apart(content)
        place = rng.randint(len(parts))
        parts[place] = damage(rng, parts[place])
        return together(content, parts)


def put(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def load_quietly(name, root, train=True, **options):
    """A split of a data set, without downloads and words."""
    from ms_coreset.datasets import load_dataset

    return load_dataset(name, root, train, download=False, log=lambda line: None, **options)


# Formats


def dump(save, *arguments, **options):
    """What a function that writes to a stream writes."""
    stream = io.BytesIO()
    save(stream, *arguments, **options)
    return stream.getvalue()


def gunzip(content):
    return [gzip.decompress(content)]


def gzip_of(_, parts):
    return gzip.compress(parts[0], 1, mtime=0)


def unzip(content):
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return [archive.read(name) for name in archive.namelist()]


def rezip(content, parts):
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as new:
        for entry, part in zip(old.infolist(), parts, strict=True):
            new.writestr(entry.filename, part, entry.compress_type)
    return stream.getvalue()


def idx(array, code=8):
    kind = {8: ">u1", 12: ">i4"}[code]
    return bytes((0, 0, code, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.astype(kind).tobytes()


def mat(compressed=True, **variables):
    import scipy.io

    return dump(scipy.io.savemat, variables, do_compression=compressed)


def inflate(content):
    """The elements of a compressed .mat file."""
    parts, place = [], 128
    while place < len(content):
        _, length = struct.unpack("<II", content[place:place + 8])
        parts.append(zlib.decompress(content[place + 8:place + 8 + length]))
        place += 8 + length
    return parts


def deflate(content, parts):
    packed = [zlib.compress(part) for part in parts]
    return content[:128] + b"".join(struct.pack("<II", 15, len(part)) + part for part in packed)


def yaml_text(value):
    import yaml

    return yaml.dump(value, Dumper=_Lax, allow_unicode=True).encode("utf-8", "surrogatepass")


def json_text(value):
    return json.dumps(value).encode()


def _lax_dumper():
    import yaml

    class Lax(yaml.SafeDumper):
        """Writes what it does not know as a text."""

    Lax.add_representer(None, lambda dumper, value: dumper.represent_str(repr(value)))
    return Lax


_Lax = _lax_dumper()


def alter(rng, value, odd=strange.plain):
    """A plain value in which one thing, anywhere within it, is another."""
    if isinstance(value, dict) and value and rng.randint(8):
        keys = list(value)
        key = keys[rng.randint(len(keys))]
        if not rng.randint(6):
            return {name: entry for name, entry in value.items() if name != key}
        return {**value, key: alter(rng, value[key], odd)}
    if isinstance(value, list) and value and rng.randint(3):
        place = rng.randint(len(value))
        return [*value[:place], alter(rng, value[place], odd), *value[place + 1:]]
    if isinstance(value, np.ndarray) and rng.randint(2):
        return strange.nearly(rng, value)
    return odd(rng)


def pickle_with(file, value):
    """A form: the value with something else in it, or a hostile pickle."""
    def form(rng, canary):
        if not rng.randint(3):
            harmful = hostile.pickles(canary)
            return file, harmful[sorted(harmful)[rng.randint(len(harmful))]]
        protocol = rng.randint(pickle.HIGHEST_PROTOCOL + 1)
        return file, pickle.dumps(alter(rng, value, strange_or_array), protocol)
    return form


def strange_or_array(rng):
    return strange.array(rng) if rng.randint(2) else strange.plain(rng)


def pickle_in_zip_with(file, value):
    """A form: the same where torch.save puts it."""
    plain = pickle_with(file, value)

    def form(rng, canary):
        name, content = plain(rng, canary)
        return name, hostile.in_zip(content)
    return form


def npz_with(file, arrays, save=np.savez):
    """A form: arrays one of which is another, or has a strange companion."""
    def form(rng, _):
        names = sorted(arrays)
        name = names[rng.randint(len(names))] if rng.randint(8) else "more"
        odd = strange.nearly(rng, arrays[name]) if name in arrays and rng.randint(2) else strange.array(rng)
        return file, dump(save, **{**arrays, name: odd})
    return form


def text_with(file, value, write):
    """A form: a value of plain things with something else in it, as text."""
    def form(rng, _):
        return file, write(alter(rng, value))
    return form


# Data sets


def _cifar(folder, members, meta, label_key, names_key, classes):
    batch = {"data": _RNG.randint(0, 256, (ROWS, 3072)).astype(np.uint8), label_key: LABELS.tolist()}
    names = {names_key: [f"class {number}" for number in range(classes)]}

    def build(root):
        for member in members:
            put(root / folder / member, pickle.dumps(batch, 2))
        put(root / folder / meta, pickle.dumps(names, 2))

    files = (f"{folder}/{members[0]}", f"{folder}/{meta}")
    return build, files, (pickle_with(files[0], batch), pickle_with(files[1], names))


def _mnist(root, suffix="", pack=bytes):
    put(root / f"MNIST/raw/train-images-idx3-ubyte{suffix}", pack(idx(DIGITS)))
    put(root / f"MNIST/raw/train-labels-idx1-ubyte{suffix}", pack(idx(LABELS)))


def _idx_claims(file, dimensions, pack):
    """A form: headers that claim any number of rows, with a few bytes behind them."""
    def form(rng, _):
        claims = [(ROWS, 28, 0, 1, 2**31, 2**32 - 1)[rng.randint(6)] for _ in range(dimensions)]
        header = bytes((0, 0, (8, 12, 13)[rng.randint(3)], dimensions)) + struct.pack(f">{dimensions}I", *claims)
        return file, pack(header + bytes(rng.randint(0, 4000)))
    return form


def _gzip(content):
    return gzip.compress(content, 1, mtime=0)


SVHN = {"X": PIXELS[:, :1, :1].repeat(32, 1).repeat(32, 2).transpose(1, 2, 3, 0), "y": LABELS[:, None]}


def _svhn(compressed):
    def build(root):
        put(root / "svhn/train_32x32.mat", mat(compressed, **SVHN))
    return build


def _mat_with(file, variables):
    def form(rng, _):
        from scipy.io.matlab import MatWriteError

        names = sorted(variables)
        name = names[rng.randint(len(names))]
        odd = strange.nearly(rng, variables[name]) if rng.randint(2) else strange.array(rng)
        try:
            return file, mat(bool(rng.randint(2)), **{**variables, name: odd})
        except (TypeError, ValueError, MatWriteError):  # what MATLAB has no type for
            return file, mat(**{name: "text"})
    return form


WNIDS = ("n00000001", "n00000002")
SYNSETS = np.array([(number, wnid, "crane, bird", "long words", 0, [], 0, 0)
                    for number, wnid in enumerate(WNIDS, 1)],
                   [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O"), ("gloss", "O"), ("num_children", "O"),
                    ("children", "O"), ("wordnet_height", "O"), ("num_train_images", "O")])[:, None]
_KIT = "imagenet/ILSVRC2012_devkit_t12/data"


def _imagenet(root):
    for wnid in WNIDS:
        put(root / f"imagenet/train/{wnid}/a.png", image("PNG"))
    for name in ("a.png", "b.png"):
        put(root / f"imagenet/val/{name}", image("PNG"))
    put(root / f"{_KIT}/meta.mat", mat(synsets=SYNSETS))
    put(root / f"{_KIT}/ILSVRC2012_validation_ground_truth.txt", b"2\n1\n")


def _synsets_with(rng, _):
    fields = SYNSETS.dtype.names
    odd = SYNSETS.copy()
    odd[rng.randint(2), 0][fields[rng.randint(3)]] = strange_or_array(rng) if rng.randint(2) else "ab"
    try:
        return f"{_KIT}/meta.mat", mat(bool(rng.randint(2)), synsets=odd)
    except Exception:  # what MATLAB has no type for
        return f"{_KIT}/meta.mat", mat(synsets=LABELS)


def image(kind, size=8, mode="RGB", **options):
    from PIL import Image

    picture = Image.fromarray(PIXELS[0]).resize((size, size)).convert(mode)
    return dump(picture.save, kind, **options)


KINDS = {"BMP": "bmp", "GIF": "gif", "PPM": "ppm", "TIFF": "tif", "WEBP": "webp"}


def _folder(kinds):
    def build(root):
        for number, (kind, suffix) in enumerate(kinds.items()):
            put(root / f"photos/{'ab'[number % 2]}/{number}.{suffix}", image(kind))
        for name in "ab":
            put(root / f"photos/{name}/other.png", image("PNG"))
    return build


def _photos(root):
    """As 8 x 8 and as 16 x 16 pixels: the second decodes and resizes."""
    first = load_quietly("folder", root / "photos", image_size=8)
    second = load_quietly("folder", root / "photos", image_size=16)
    return first, np.asarray(second.images)


def _image_with(kinds):
    """A form: images of odd sizes and modes, whole ones among them."""
    modes = ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I", "F", "I;16", "HSV")

    def form(rng, _):
        from PIL import Image

        names = sorted(kinds)
        number = rng.randint(len(names))
        kind = names[number]
        size = [(1, 2, 8, 3000)[rng.randint(4)] if rng.randint(2) else 1 for _ in range(2)]
        place = f"photos/{'ab'[list(kinds).index(kind) % 2]}/{list(kinds).index(kind)}.{kinds[kind]}"
        try:
            picture = Image.new(modes[rng.randint(len(modes))], size)
            return place, dump(picture.save, kind)
        except Exception:  # a mode that the format lacks
            return place, dump(Image.new("RGB", size).save, kind)
    return form


def _chunks(content):
    """The chunks of a PNG file without their lengths and checksums."""
    parts, place = [], 8
    while place < len(content):
        length, = struct.unpack(">I", content[place:place + 4])
        parts.append(content[place + 4:place + 8 + length])
        place += 12 + length
    return parts


def _png_of(content, parts):
    return content[:8] + b"".join(struct.pack(">I", max(0, len(part) - 4)) + part + struct.pack(">I", zlib.crc32(part))
                                  for part in parts)


def _tiny(root):
    folder = root / "tiny-imagenet-200"
    for wnid in WNIDS:
        put(folder / f"train/{wnid}/images/{wnid}_0.JPEG", image("JPEG"))
    for name in ("val_0.JPEG", "val_1.JPEG"):
        put(folder / f"val/images/{name}", image("JPEG"))
    put(folder / "val/val_annotations.txt", "".join(
        f"val_{row}.JPEG\t{wnid}\t0\t0\t7\t7\n" for row, wnid in enumerate(WNIDS)).encode())
    put(folder / "words.txt", "".join(f"{wnid}\tcrane, bird\n" for wnid in WNIDS).encode())


ARRAYS = {"labels": LABELS, "images": PIXELS, "features": FEATURES, "test_images": PIXELS[:2],
          "test_labels": LABELS[:2], "classes": np.array(["ant", "bee"]), "mean": np.array([0.5, 0.5, 0.5]),
          "std": np.array([0.2, 0.2, 0.2])}


def _arrays(root):
    put(root / "mine.npz", dump(np.savez_compressed, **ARRAYS))


def _both_splits(root):
    return load_quietly("arrays", root / "mine.npz"), load_quietly("arrays", root / "mine.npz", train=False)


# What this library writes


COMPLETE = {"indices": np.array([3, 0]), "weights": np.array([1.0, 0.5]), "scores": np.linspace(0, 1, ROWS)}
MANIFEST = {"n": ROWS, "rate": 0.5, "method": "el2n", "options": {"balance": False}, "seed": 0, "indices": "kept",
            "labels": "00", "kept": 2}


def _coreset(root):
    put(root / "some.npz", dump(np.savez_compressed, manifest=np.array(json.dumps(MANIFEST)), **COMPLETE))


def _load_coreset(root):
    from ms_coreset import Coreset

    coreset = Coreset.load(root / "some.npz")
    return {**vars(coreset), "dropped": coreset.dropped}


def _manifest_with(rng, _):
    text = json.dumps(alter(rng, MANIFEST))
    return "some.npz", dump(np.savez, manifest=np.array(text), **COMPLETE)


def _read_dropped(root):
    from ms_coreset.coreset import read_dropped

    return read_dropped(root / "some.bin", 10)


HUMAN = {"clean_label": LABELS, "worse_label": LABELS[::-1].copy(), "aggre_label": LABELS, "random_label1": LABELS}


def _human(root):
    from ms_coreset.datasets.overlays.human_labels import read_human_labels
    from ms_coreset.datasets.split import Split

    clean = Split("CIFAR10", PIXELS, LABELS, classes=("a", "b"), mean=(0.5,) * 3, std=(0.2,) * 3)
    return read_human_labels(clean, root)[0]


def _overlay(letter):
    def build(root):
        from ms_coreset.datasets import make_corruption, make_label_noise

        _arrays(root)
        make = {"N": make_label_noise, "C": make_corruption}[letter]
        make(load_quietly("arrays", root / "mine.npz"), root, 0.5)
    return build


def _load_overlay(letter):
    """The samples with what was done to them; that a manifest says more of it, no checksum covers."""
    def read(root):
        from ms_coreset import Coreset

        split = load_quietly(f"arrays{letter}", root / "mine.npz")
        Coreset(np.array([0]), ROWS, 0.5, method="random").summary(split)
        return np.asarray(split.images), split.labels, split.clean_labels, split.bad, split.bad_kinds
    return read


def _noise_with(rng, _):
    odd = strange.nearly(rng, LABELS) if rng.randint(2) else strange.array(rng)
    return "noisy/arrays.npy", dump(np.save, odd)


def _dynamics(root):
    for name, values in (("loss", np.ones((2, ROWS), np.float32)), ("correct", np.ones((2, ROWS), bool))):
        put(root / f"dynamics/{name}.npy", dump(np.save, values))


def _load_dynamics(root):
    from ms_coreset import Evidence, TrainingDynamics, score

    dynamics = TrainingDynamics.load(root / "dynamics")
    return {"forgetting": score("correctness", Evidence(labels=LABELS, dynamics=dynamics)),
            **{name: np.array(value) for name, value in vars(dynamics).items() if value is not None}}


def _write_streamed(root):
    for name in ("aum", "dual"):
        put(root / f"dynamics/streamed/{name}.npy", dump(np.save, np.ones(ROWS)))


def _load_streamed(root):
    from ms_coreset import Evidence, StreamedDynamics, score

    dynamics = StreamedDynamics.load(root / "dynamics")
    return {"score": score("aum", Evidence(labels=LABELS, dynamics=dynamics)),
            **{name: np.array(values) for name, values in dynamics.streamed.items()}}


def _npy_with(file, wanted):
    def form(rng, _):
        return file, dump(np.save, strange.nearly(rng, wanted) if rng.randint(2) else strange.array(rng))
    return form


def _cache(root):
    from ms_coreset.extraction.cache import ExtractionStore

    store = ExtractionStore({"features": FEATURES.shape}, root / "cache")
    store.write(np.arange(ROWS), features=lambda: FEATURES)
    store.finish()


def _load_cache(root):
    """What is taken from the cache, and what would be made anew."""
    from ms_coreset.extraction.cache import ExtractionStore

    store = ExtractionStore({"features": FEATURES.shape}, root / "cache")
    assert 0 <= store.done <= ROWS, f"{store.done} of {ROWS} rows"
    return np.array(store.arrays["features"][:store.done])


# Checkpoints


def _ckpt(root):
    from ms_coreset import create_network, save_weights

    put(root / "net.ckpt", b"")
    save_weights(create_network("mlp", 2, 1, image_size=4, width=3), root / "net.ckpt")


def _load_network(file):
    def read(root):
        from ms_coreset import network_from_weights

        network = network_from_weights(root / file, 4, 1)
        return {parameter.name: parameter.asnumpy() for parameter in network.get_parameters()}
    return read


def _ckpt_with(rng, _):
    from mindspore.train.checkpoint_pb2 import Checkpoint

    from ms_coreset import create_network

    message = Checkpoint()
    arrays = {entry.name: entry.asnumpy() for entry in create_network("mlp", 2, 1, image_size=4,
                                                                      width=3).get_parameters()}
    odd = sorted(arrays)[rng.randint(len(arrays))]
    for name, array in arrays.items():
        value = message.value.add()
        value.tag = name
        array = strange.nearly(rng, array) if name == odd and rng.randint(2) else array
        array = np.asarray(array, order="C")
        value.tensor.dims.extend(array.shape)
        value.tensor.tensor_type = "Float32"
        value.tensor.tensor_content = array.astype("f4", casting="unsafe").tobytes() if array.dtype.kind in "fiub" \
            else b"abc"
        if name == odd:
            _alter_entry(rng, value)
    notes = message.value.add()
    notes.tag = "notes"
    text = json.dumps(alter(rng, {"network": {"arch": "mlp", "num_classes": 2, "in_channels": 1, "image_size": 4,
                                              "width": 3}})) if rng.randint(2) else "{}"
    notes.tensor.tensor_type, notes.tensor.tensor_content = "str", text.encode("utf-32-le")
    notes.tensor.dims.append(0)
    return "net.ckpt", message.SerializeToString()


def _alter_entry(rng, value):
    """Something about a tensor that its bytes do not bear out."""
    kind = rng.randint(5)
    if kind == 0:
        value.tensor.dims.append((-1, 0, 3, 10**12, 2**62)[rng.randint(5)])
    elif kind == 1 and value.tensor.dims:
        value.tensor.dims[0] = (-1, 0, 10**6, 10**12, 2**62)[rng.randint(5)]
    elif kind == 2:
        value.tensor.tensor_type = ("Float64", "Int8", "str", "Nothing", "", "BFloat16", "Bool")[rng.randint(7)]
    elif kind == 3:
        value.tensor.tensor_content = value.tensor.tensor_content[:rng.randint(9)]
    else:
        value.tag = ("", "fc1", "notes", "fc9.weight", "../x")[rng.randint(5)]


def _state(rng=None):
    import torch

    shapes = {"fc1.weight": (3, 16), "fc1.bias": (3,), "fc2.weight": (3, 3), "fc2.bias": (3,), "fc3.weight": (2, 3),
              "fc3.bias": (2,)}
    return {name: torch.full(shape, 0.5) for name, shape in shapes.items()}


def _pth(legacy):
    def build(root):
        import torch

        put(root / "net.pth", dump(lambda stream: torch.save(_state(), stream,
                                                             _use_new_zipfile_serialization=not legacy)))
    return build


def _odd_tensor(rng):
    import torch

    makers = (lambda: torch.zeros(0), lambda: torch.zeros(3, 16, dtype=torch.float64),
              lambda: torch.zeros(3, 16, dtype=torch.bfloat16), lambda: torch.zeros(3, 16, dtype=torch.complex64),
              lambda: torch.zeros(1).expand(10**6, 10**6), lambda: torch.eye(3).to_sparse(),
              lambda: torch.full((3, 16), float("nan")), lambda: torch.zeros(3, 16, device="meta"),
              lambda: torch.quantize_per_tensor(torch.zeros(3, 16), 0.1, 0, torch.qint8),
              lambda: torch.nn.Parameter(torch.ones(3, 16)), lambda: torch.ones(3, 16, dtype=torch.int64),
              lambda: torch.ones(16, 3).T, lambda: torch.zeros(3, 16, dtype=torch.bool), lambda: "text",
              lambda: {"a": torch.zeros(1)}, lambda: None, lambda: 1)
    return makers[rng.randint(len(makers))]()


def _pth_with(legacy):
    def form(rng, canary):
        import torch

        if not rng.randint(3):
            harmful = hostile.pickles(canary)
            content = harmful[sorted(harmful)[rng.randint(len(harmful))]]
            return "net.pth", (hostile.in_legacy if legacy else hostile.in_zip)(content)
        state = _state()
        names = [*state, "layer.running_mean", "module.fc1.weight", "x.num_batches_tracked", 3, "state_dict"]
        state[names[rng.randint(len(names))]] = _odd_tensor(rng)
        if not rng.randint(4):
            state = {("state_dict", "model", "net", "other")[rng.randint(4)]: state}
        return "net.pth", dump(lambda stream: torch.save(state, stream,
                                                         _use_new_zipfile_serialization=not legacy))
    return form


def safetensors(arrays):
    """A .safetensors file of float32 arrays."""
    header, content = {}, b""
    for name, array in arrays.items():
        raw = array.astype("<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [len(content),
                                                                                     len(content) + len(raw)]}
        content += raw
    return _with_header(header, content)


def _with_header(header, content):
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + content


def _weights():
    return {name: tensor.numpy() for name, tensor in _state().items()}


def _header_and_content(content):
    begin = 8 + struct.unpack("<Q", content[:8])[0]
    return [content[8:begin], content[begin:]]


def _safetensors_of(_, parts):
    return struct.pack("<Q", len(parts[0])) + parts[0] + parts[1]


def _safetensors_with(rng, _):
    """A header that the numbers do not bear out."""
    text, content = _header_and_content(safetensors(_weights()))
    header = json.loads(text)
    name = sorted(header)[rng.randint(len(header))]
    entry, kind = header[name], rng.randint(5)
    if kind == 0:
        entry["dtype"] = ("F64", "BF16", "I8", "BOOL", "F8_E5M2", "", None, 3)[rng.randint(8)]
    elif kind == 1:
        entry["shape"] = ([], [-1], [0], [10**12], [2**62, 4], "3", None, [1.5], [[3]])[rng.randint(9)]
    elif kind == 2:
        entry["data_offsets"] = ([0, 0], [0, 10**12], [-8, 8], [8, 0], [0], None, ["a", "b"], [0, 8])[rng.randint(8)]
    elif kind == 3:
        header[("", "fc9.weight", "__metadata__", "../x", "module.fc1.weight")[rng.randint(5)]] = header.pop(name)
    else:
        header[name] = (None, [], 1, {}, "x")[rng.randint(5)]
    return "net.safetensors", _with_header(header, content)


def _training_notes(rng, _):
    import mindspore

    notes = alter(rng, {"run": {"lr": 0.1}, "epoch": 2, "epochs": 2, "history": [{"epoch": 1, "loss": 0.5}],
                          "network": None})
    from .worker import scratch_file

    path = scratch_file("last.ckpt")
    mindspore.save_checkpoint([{"name": "a", "data": mindspore.Tensor(FEATURES)}], str(path),
                              append_dict={"notes": json.dumps(notes)})
    return "run/last.ckpt", path.read_bytes()


def _training(root):
    import mindspore

    (root / "run").mkdir(parents=True, exist_ok=True)
    put(root / "run/best.ckpt", b"x")
    notes = {"run": {"lr": 0.1}, "epoch": 2, "epochs": 2, "history": [], "network": None}
    mindspore.save_checkpoint([{"name": "a", "data": mindspore.Tensor(FEATURES)}], str(root / "run/last.ckpt"),
                              append_dict={"notes": json.dumps(notes)}, crc_check=True)


def _is_training_finished(root):
    from ms_coreset.training.loop import is_finished

    return bool(is_finished(root / "run"))


# Texts


RECIPE = {"arch": "resnet18", "epochs": 2, "batch_size": 8, "lr": 0.1, "schedule": "multistep", "milestones": [1],
          "crop_padding": 4, "flip": True, "momentum": 0.9, "nesterov": True, "validation": 0.1, "clip_norm": None}
STUDY = {"datasets": ["digits"], "methods": ["random", {"ccs": {"mis_ratio": 0.3}}, "full"], "rates": [0.1, 0.2],
         "seeds": [0, 1], "recipe": "digits", "balance": True, "label": {"digits": "Digits"}, "train-archs": ["own"],
         "protocols": ["epochs"], "data": "data", "epochs": 1}


TAGS = ("!!python/object/apply:os.system ['touch {canary}']", "!!python/object/new:os.system ['touch {canary}']",
        "!!python/name:os.system", "!!python/module:os", "a: &a [*a]", "!!binary aGk=", "a: 1\na: 2", "? [1, 2]\n: 3",
        "2020-01-01: 1", "- a\n- b", "just text", "a: !!set {{b, c}}", "<<: {{a: 1}}", "a: [" * 50, "[" * 5000,
        "a: &b [x, x]\nb: &c [*b, *b]\nc: &d [*c, *c]\nd: [*d, *d]", "%YAML 9.9\n---\na", "--- a\n--- b", "\0", "a:\tb")


def _yaml_with_tags(file):
    """A form: YAML that names Python objects, refers to itself, or is no mapping of plain keys."""
    def form(rng, canary):
        return file, TAGS[rng.randint(len(TAGS))].format(canary=canary).encode()
    return form


def _texts(file, value, write):
    def build(root):
        put(root / file, write(value))
    return build


def _load_recipe(root):
    from ms_coreset import load_recipe

    return load_recipe(root / "some.yaml").as_dict()


def _plan(root):
    import contextlib

    from ms_coreset.cli.experiment import job_of, parser
    from ms_coreset.errors import MsCoresetError
    from ms_coreset.experiment.study_plan import plan_runs

    with contextlib.redirect_stderr(io.StringIO()):
        try:
            arguments = parser("experiment").parse_args(["--config", str(root / "study.yaml")])
        except SystemExit as error:  # argparse's own way to refuse
            assert error.code == 2, error.code
            raise MsCoresetError("refused by the parser") from error
    return [run.place() for run in plan_runs(job_of(arguments).plan, "CPU")]


RUN = {"key": "a1", "work": "b2", "status": "done", "dataset": "digits", "method": "el2n", "rate": 0.5, "seed": 0,
       "variant": None, "label": "Digits", "data": "00", "pool": None, "n": 100, "options": {"last": 5},
       "balance": True, "k": 50, "select_arch": "mlp", "train_arch": "mlp", "protocol": "epochs",
       "recipe": {"lr": 0.1, "epochs": 2, "schedule": "multistep", "milestones": [1]}, "indices": "indices/a.npz",
       "accuracy": {"last": 0.5, "best": 0.6, "best_epoch": 1, "chosen_by": "test split",
                    "per_class": {"0": 0.5, "1": None}},
       "bad": {"available": 0.2, "kept": 0.1, "kinds": {}}, "per_class": [25, 25],
       "seconds": {"base": 1.0, "extract": 0.1, "select": 0.1, "train": 1.0}, "peak_mb": {"select": 10},
       "versions": {"numpy": "1.26"}, "revision": "abc", "device": "CPU", "command": "experiment",
       "finished": "2026-01-01T00:00:00+00:00", "base_accuracy": 0.7}


def _runs():
    return [{**RUN, "key": f"{method}{seed}", "method": method, "seed": seed} for method in ("el2n", "random")
            for seed in (0, 1)]


def _study(root):
    put(root / "study/runs.jsonl", b"".join(json_text(run) + b"\n" for run in _runs()))
    put(root / "study/study.yaml", yaml_text({"methods": ["el2n", "random"], "rates": [0.5], "seeds": [0, 1]}))


def _report(root):
    """The numbers of runs that are read; the page is made of them, too."""
    from ms_coreset.experiment.report import write_report
    from ms_coreset.experiment.store import Store

    sections = write_report(root / "study", output=root / "page.html", data=root / "no data").sections
    return len(Store(root / "study").records), sections


def _runs_with(rng, _):
    runs = _runs()
    place = rng.randint(len(runs))
    runs[place] = alter(rng, runs[place])
    return "study/runs.jsonl", b"".join(json_text(run) + b"\n" for run in runs)


def _plan_with(rng, _):
    return "study/study.yaml", yaml_text(alter(rng, {"methods": ["el2n:last=5"], "rates": [0.5], "seeds": [0, 1]}))


# Archives


def _archive(kind):
    def build(root):
        stream = io.BytesIO()
        if kind == "zip":
            with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
                for name in ("top/a.txt", "top/sub/b.txt"):
                    archive.writestr(name, name * 20)
        else:
            with tarfile.open(fileobj=stream, mode="w:gz") as archive:
                for name in ("top/a.txt", "top/sub/b.txt"):
                    info = tarfile.TarInfo(name)
                    info.size = len(name) * 20
                    archive.addfile(info, io.BytesIO(name.encode() * 20))
        put(root / f"archive.{kind}", stream.getvalue())
    return build


def _unpack(kind):
    def read(root):
        from ms_coreset.datasets.readers.archive import unpack

        unpack(root / f"archive.{kind}", root / "top")
        return {str(path.relative_to(root)): path.read_bytes() for path in sorted((root / "top").rglob("*"))
                if path.is_file()}
    return read


def _extract(root):
    from ms_coreset.datasets.readers.archive import extract

    extract(root / "archive.tar.gz", root / "out", ["top/a.txt", "top/sub/b.txt"])
    return {name: (root / "out" / name).read_bytes() for name in ("top/a.txt", "top/sub/b.txt")}


def _archive_with(kind):
    def form(rng, canary):
        made = (hostile.zips if kind == "zip" else hostile.tars)(Path(canary).parent)
        return f"archive.{kind}", made[sorted(made)[rng.randint(len(made))]]
    return form


_GZIP, _ZIP = (gunzip, gzip_of), (unzip, rezip)
_CIFAR10 = _cifar("cifar-10-batches-py", [f"data_batch_{number}" for number in range(1, 6)], "batches.meta", "labels",
                  "label_names", 10)
_CIFAR100 = _cifar("cifar-100-python", ["train"], "meta", "fine_labels", "fine_label_names", 100)
_IMAGES, _IDX_LABELS = "MNIST/raw/train-images-idx3-ubyte", "MNIST/raw/train-labels-idx1-ubyte"
_QMNIST = "QMNIST/raw/qmnist-train-images-idx3-ubyte.gz", "QMNIST/raw/qmnist-train-labels-idx2-int.gz"
_HEAVY = ("ms_coreset.networks.weights", "mindspore")


def _qmnist(root):
    put(root / _QMNIST[0], _gzip(idx(DIGITS)))
    put(root / _QMNIST[1], _gzip(idx(np.column_stack([LABELS] + [LABELS] * 7), 12)))


SCORES = "path,score\n" + "".join(f"a/{i}.png,{i / 7}\n" for i in range(ROWS))


def _tensors(root):
    import torch

    put(root / "scores.pkl", pickle.dumps({"a": torch.arange(4.0), "b": torch.arange(8)[::2]}, 2))


def _scores(file):
    def read(root):
        from ms_coreset.jobs.score_files import read_scores

        found = read_scores(str(root / file))
        return {"names": found.names, "places": found.places, **found.columns}
    return read


READERS = (
    Reader("CIFAR-10 pickles", *_CIFAR10[:2], lambda root: load_quietly("CIFAR10", root), forms=_CIFAR10[2]),
    Reader("CIFAR-100 pickles", *_CIFAR100[:2], lambda root: load_quietly("CIFAR100", root), forms=_CIFAR100[2]),
    Reader("IDX", _mnist, (_IMAGES, _IDX_LABELS), lambda root: load_quietly("MNIST", root),
           forms=(_idx_claims(_IMAGES, 3, bytes), _idx_claims(_IDX_LABELS, 1, bytes))),
    Reader("IDX, gzip", lambda root: _mnist(root, ".gz", _gzip), (f"{_IMAGES}.gz", f"{_IDX_LABELS}.gz"),
           lambda root: load_quietly("MNIST", root), sealed=True, inside=_GZIP,
           forms=(_idx_claims(f"{_IMAGES}.gz", 3, _gzip), _idx_claims(f"{_IDX_LABELS}.gz", 1, _gzip))),
    Reader("IDX of integers, gzip (QMNIST)", _qmnist, _QMNIST, lambda root: load_quietly("QMNIST", root), sealed=True,
           inside=_GZIP, forms=(_idx_claims(_QMNIST[1], 2, _gzip),)),
    Reader(".mat (SVHN)", _svhn(False), ("svhn/train_32x32.mat",), lambda root: load_quietly("SVHN", root),
           forms=(_mat_with("svhn/train_32x32.mat", SVHN),)),
    Reader(".mat, compressed (SVHN)", _svhn(True), ("svhn/train_32x32.mat",), lambda root: load_quietly("SVHN", root),
           sealed=True, inside=(inflate, deflate), forms=(_mat_with("svhn/train_32x32.mat", SVHN),)),
    Reader("meta.mat and truth (ImageNet)", _imagenet, (f"{_KIT}/meta.mat", f"{_KIT}/meta.mat",
           f"{_KIT}/ILSVRC2012_validation_ground_truth.txt"), lambda root: load_quietly("ImageNet", root, train=False,
           image_size=8), forms=(_synsets_with,), imports=("ms_coreset.datasets", "scipy.io")),
    Reader("JPEG", _folder({"JPEG": "jpg"}), ("photos/a/0.jpg",), _photos, forms=(_image_with({"JPEG": "jpg"}),)),
    Reader("PNG", _folder({"PNG": "png"}), ("photos/a/0.png",), _photos, sealed=True, inside=(_chunks, _png_of),
           forms=(_image_with({"PNG": "png"}),)),
    Reader("BMP GIF PPM TIFF WEBP", _folder(KINDS), tuple(
        f"photos/{'ab'[number % 2]}/{number}.{suffix}" for number, suffix in enumerate(KINDS.values())), _photos,
        forms=(_image_with(KINDS),)),
    Reader("Tiny ImageNet's texts", _tiny, ("tiny-imagenet-200/val/val_annotations.txt", "tiny-imagenet-200/words.txt"),
           lambda root: load_quietly("TinyImageNet", root, train=False)),
    Reader(".npz of arrays", _arrays, ("mine.npz",), _both_splits, sealed=True, inside=_ZIP,
           forms=(npz_with("mine.npz", ARRAYS), npz_with("mine.npz", ARRAYS, np.savez_compressed))),
    Reader("CIFAR-N .pt", lambda root: put(root / "cifar-n/CIFAR-10_human.pt", hostile.in_zip(pickle.dumps(HUMAN, 2))),
           ("cifar-n/CIFAR-10_human.pt",), _human, sealed=True, inside=_ZIP,
           forms=(pickle_with("cifar-n/CIFAR-10_human.pt", HUMAN),
                  pickle_in_zip_with("cifar-n/CIFAR-10_human.pt", HUMAN))),
    Reader("index .bin", lambda root: put(root / "some.bin", pickle.dumps(np.arange(3, 9), 4)), ("some.bin",),
           _read_dropped, forms=(pickle_with("some.bin", np.arange(3, 9)),), imports=("ms_coreset.coreset",)),
    Reader("scores .csv", lambda root: put(root / "scores.csv", SCORES.encode()), ("scores.csv",),
           _scores("scores.csv"), imports=("ms_coreset.jobs.score_files",)),
    Reader("scores .pkl of tensors", _tensors, ("scores.pkl",), _scores("scores.pkl"),
           forms=(pickle_with("scores.pkl", {"a": np.arange(4.0)}),), imports=("torch", "ms_coreset.jobs.score_files")),
    Reader("coreset .npz", _coreset, ("some.npz",), _load_coreset, sealed=True, inside=_ZIP,
           forms=(npz_with("some.npz", {**COMPLETE, "manifest": np.array(json.dumps(MANIFEST))}), _manifest_with),
           imports=("ms_coreset.coreset",)),
    Reader("label noise .npy, .json", _overlay("N"), ("noisy/arrays-mine.npy", "noisy/arrays-mine.json"),
           _load_overlay("N"), sealed=True, forms=(_npy_with("noisy/arrays-mine.npy", LABELS),)),
    Reader("corrupted images .npy, .json", _overlay("C"), ("corrupt/arrays-mine.npy", "corrupt/arrays-mine.kinds.npy",
           "corrupt/arrays-mine.json"), _load_overlay("C"), sealed=True,
           forms=(_npy_with("corrupt/arrays-mine.npy", PIXELS), _npy_with("corrupt/arrays-mine.kinds.npy",
                                                                          np.zeros(ROWS, np.int8)))),
    Reader("training dynamics .npy", _dynamics, ("dynamics/loss.npy", "dynamics/correct.npy"), _load_dynamics,
           forms=(_npy_with("dynamics/loss.npy", np.ones((2, ROWS), np.float32)),
                  _npy_with("dynamics/correct.npy", np.ones((2, ROWS), bool)))),
    Reader("streamed scores .npy", _write_streamed, ("dynamics/streamed/aum.npy", "dynamics/streamed/dual.npy"),
           _load_streamed, forms=(_npy_with("dynamics/streamed/aum.npy", np.ones(ROWS)),)),
    Reader("evidence cache .npy, .json", _cache, ("cache/features.npy", "cache/features.json"), _load_cache,
           forms=(_npy_with("cache/features.npy", FEATURES),
                  text_with("cache/features.json", {"rows": ROWS, "shape": [ROWS, 3]}, json_text))),
    Reader("recipe YAML", _texts("some.yaml", RECIPE, yaml_text), ("some.yaml",), _load_recipe,
           forms=(text_with("some.yaml", RECIPE, yaml_text), _yaml_with_tags("some.yaml")),
           imports=("ms_coreset.training.recipe",)),
    Reader("experiment YAML", _texts("study.yaml", STUDY, yaml_text), ("study.yaml",), _plan,
           forms=(text_with("study.yaml", STUDY, yaml_text), _yaml_with_tags("study.yaml")),
           imports=("ms_coreset.cli.experiment", "mindspore")),
    Reader("runs.jsonl, study.yaml", _study, ("study/runs.jsonl", "study/study.yaml"), _report,
           forms=(_runs_with, _runs_with, _plan_with), imports=("ms_coreset.experiment.report", "mindspore")),
    Reader(".tar.gz, unpacked", _archive("tar.gz"), ("archive.tar.gz",), _unpack("tar.gz"), sealed=True,
           inside=_GZIP, forms=(_archive_with("tar.gz"),)),
    Reader(".tar.gz, members", _archive("tar.gz"), ("archive.tar.gz",), _extract, sealed=True, inside=_GZIP,
           forms=(_archive_with("tar.gz"),)),
    Reader(".zip, unpacked", _archive("zip"), ("archive.zip",), _unpack("zip"), sealed=True, inside=_ZIP,
           forms=(_archive_with("zip"),)),
    Reader(".ckpt", _ckpt, ("net.ckpt",), _load_network("net.ckpt"), sealed=True, forms=(_ckpt_with,), imports=_HEAVY),
    Reader("last.ckpt of a training", _training, ("run/last.ckpt",), _is_training_finished, sealed=True,
           forms=(_training_notes,), imports=("ms_coreset.training.loop", *_HEAVY)),
    Reader(".pth", _pth(False), ("net.pth",), _load_network("net.pth"), sealed=True, inside=_ZIP,
           forms=(_pth_with(False),), imports=("torch", *_HEAVY)),
    Reader(".safetensors", lambda root: put(root / "net.safetensors", safetensors(_weights())), ("net.safetensors",),
           _load_network("net.safetensors"), inside=(_header_and_content, _safetensors_of), forms=(_safetensors_with,),
           imports=("torch", *_HEAVY)),
    Reader(".pth, legacy", _pth(True), ("net.pth",), _load_network("net.pth"), forms=(_pth_with(True),),
           imports=("torch", *_HEAVY)),
)
