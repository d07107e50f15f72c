"""What became of a case, and whether that is what should."""

import hashlib

import numpy as np

REFUSED, SAME, OTHER = "refused", "same", "other"
GOOD = (REFUSED, SAME, OTHER)
BAD = ("wrong answer", "other error", "long message", "memory", "hang", "crash", "reached outside",
       "control characters")
MEANING = {
    REFUSED: "an MsCoresetError or ValueError of one line (commands: exit code 2 and one line)",
    SAME: "what the undamaged input gives",
    OTHER: "another value of the right types and ranges, which the format has nothing to tell by",
}


def of_error(error):
    """(outcome, words) of an exception."""
    chain = list(_chain(error))
    words = f"{type(error).__name__}: {error}"
    if any(isinstance(each, MemoryError) or "can't allocate memory" in str(each) for each in chain):
        return "memory", words
    if not isinstance(error, ValueError) or isinstance(error, UnicodeError):
        return "other error", words + _where(error)
    if "\n" in str(error).strip() or not str(error).strip():
        return "long message", words
    return REFUSED, words


def _chain(error):
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _where(error):
    last, traceback = None, error.__traceback__
    while traceback is not None:
        last, traceback = traceback, traceback.tb_next
    return f" ({last.tb_frame.f_code.co_filename}:{last.tb_lineno})" if last else ""


def checksum(value):
    """Of arrays, containers and objects of plain fields: equal for equal values."""
    total = hashlib.blake2b(digest_size=16)
    _feed(total, value)
    return total.hexdigest()


def _feed(total, value):
    if hasattr(value, "labels") and hasattr(value, "images"):  # a split, whose images may be decoded only now
        value = {**vars(value), "images": None if value.images is None else np.asarray(value.images[:])}
    if isinstance(value, dict):
        for key in value:
            total.update(f"key {key!r}".encode(errors="surrogatepass"))
            _feed(total, value[key])
    elif isinstance(value, list | tuple):
        total.update(f"{len(value)} of".encode())
        for entry in value:
            _feed(total, entry)
    elif isinstance(value, np.ndarray) and value.dtype != object:
        total.update(f"{value.dtype}{value.shape}".encode() + np.ascontiguousarray(value).tobytes())
    else:
        total.update(repr(value).encode(errors="surrogatepass"))


def implausible(value):
    """What is wrong with a value whatever file it came from, or None."""
    if isinstance(value, tuple):
        return next(filter(None, map(implausible, value)), None)
    if hasattr(value, "labels") and hasattr(value, "images"):
        return _implausible_split(value)
    return None


def _implausible_split(split):
    n, classes = len(split.labels), len(split.classes)
    if not n or split.labels.dtype != np.int64 or not 0 <= split.labels.min() <= split.labels.max() < classes:
        return f"labels {split.labels.dtype} {split.labels[:5]} of {classes} classes"
    images = None if split.images is None else np.asarray(split.images[:])
    if images is not None and (images.dtype != np.uint8 or images.ndim != 4 or len(images) != n or not images.size):
        return f"images {images.dtype} {images.shape} of {n} labels"
    if not all(isinstance(name, str) for name in split.classes):
        return f"classes {split.classes[:3]}"
    for numbers in (split.mean, split.std):
        if images is not None and (len(numbers) != images.shape[3] or not np.isfinite(numbers).all()):
            return f"mean or std {numbers}"
    return None


def control_characters(text):
    """The first character of a text that could move a terminal's cursor, with what stands before it, or None."""
    for place, letter in enumerate(text):
        if not letter.isprintable() and letter not in "\n\t":
            return repr(text[max(0, place - 60):place + 1])
    return None
