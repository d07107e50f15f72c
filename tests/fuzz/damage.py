"""What can happen to the bytes of a file on a disk, on the way, or in someone's hands."""

import re
import struct

# Numbers that a header may claim: none, one, the ends of the usual types, and a great many rows.
CLAIMS = (0, 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 10**12, -1)
_FORMATS = ("<h", ">h", "<i", ">i", "<q", ">q")


def truncate(rng, content):
    return content[:rng.randint(0, max(1, len(content)))]


def flip(rng, content):
    """One to eight bits, anywhere."""
    damaged = bytearray(content)
    for _ in range(rng.randint(1, 9) if content else 0):
        damaged[rng.randint(len(damaged))] ^= 1 << rng.randint(8)
    return bytes(damaged)


def overwrite(rng, content):
    start, length = _stretch(rng, content)
    return content[:start] + rng.bytes(length) + content[start + length:]


def zero(rng, content):
    start, length = _stretch(rng, content)
    return content[:start] + bytes(length) + content[start + length:]


def insert(rng, content):
    start, length = _stretch(rng, content)
    return content[:start] + rng.bytes(length) + content[start:]


def remove(rng, content):
    start, length = _stretch(rng, content)
    return content[:start] + content[start + length:]


def double(rng, content):
    start, length = _stretch(rng, content)
    return content[:start + length] + content[start:]


def extend(rng, content):
    return content + rng.bytes(rng.randint(1, 200))


def empty(rng, content):
    return b""


def replace(rng, content):
    """Nothing of the old content: noise."""
    return rng.bytes(rng.randint(1, 300))


def claim(rng, content):
    """A number somewhere in the first kilobyte, as a header has it, becomes another."""
    damaged = bytearray(content)
    form = _FORMATS[rng.randint(len(_FORMATS))]
    size = struct.calcsize(form)
    if len(damaged) >= size:
        value = CLAIMS[rng.randint(len(CLAIMS))] & (256**size - 1)
        order = "little" if form[0] == "<" else "big"
        place = rng.randint(min(1024, len(damaged) - size + 1))
        damaged[place:place + size] = value.to_bytes(size, order)
    return bytes(damaged)


def renumber(rng, content):
    """A number written in digits becomes another, as in the header of an .npy file or a text."""
    found = list(re.finditer(rb"\d+", content))
    if not found:
        return flip(rng, content)
    match = found[rng.randint(len(found))]
    return content[:match.start()] + str(CLAIMS[rng.randint(len(CLAIMS))]).encode() + content[match.end():]


def _stretch(rng, content):
    start = rng.randint(len(content) + 1)
    return start, rng.randint(1, 2 + min(64, len(content)))


DAMAGES = (truncate, flip, flip, overwrite, zero, insert, remove, double, extend, empty, replace, claim, claim,
           renumber)


def damage(rng, content):
    """The content after one damage, now and then after two."""
    for _ in range(1 + (rng.randint(5) == 0)):
        content = DAMAGES[rng.randint(len(DAMAGES))](rng, content)
    return content
