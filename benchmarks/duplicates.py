"""How many altered copies of real pictures ``duplicates`` finds, and what else it calls alike, by its threshold.

    OMP_NUM_THREADS=1 python -m benchmarks.duplicates --dataset CIFAR10 --data data --samples 10000 --sheet others.png

Of so many pictures of a training split, 100 (--each) are copied for each alteration. Pairs of pictures that nobody
copied are told, too: public data have duplicates of their own, so that not all of these are mistakes; the sheet shows
60 of those above the default threshold, drawn at random.
"""

import argparse
import io

import numpy as np
from PIL import Image

import ms_coreset as mc
from ms_coreset.perturbations.contact_sheet import Band, write_contact_sheet
from ms_coreset.selectors.near_duplicates import THRESHOLDS

SHOWN, COLUMNS = 60, 15
STEPS = (0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)


def jpeg(picture, quality):
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=quality)
    return Image.open(stream).convert(picture.mode)


def crop(picture, pixels):
    side = picture.width
    return picture.crop((pixels, pixels, side - pixels, side - pixels)).resize((side, side), Image.Resampling.BILINEAR)


def shift(picture, pixels):
    array = np.asarray(picture)
    around = [(pixels, pixels)] * 2 + [(0, 0)] * (array.ndim - 2)
    return Image.fromarray(np.pad(array, around, "reflect")[:picture.height, 2 * pixels:][:, :picture.width])


def smaller(picture, share):
    side = round(share * picture.width)
    return picture.resize((side, side), Image.Resampling.BILINEAR).resize(picture.size, Image.Resampling.BICUBIC)


ALTERATIONS = {
    "the same": lambda picture: picture,
    "JPEG, quality 90": lambda picture: jpeg(picture, 90), "JPEG, 60": lambda picture: jpeg(picture, 60),
    "JPEG, 30": lambda picture: jpeg(picture, 30),
    "mirrored": lambda picture: picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "values x 1.1": lambda picture: picture.point(lambda value: min(255, 1.1 * value)),
    "values x 1.3": lambda picture: picture.point(lambda value: min(255, 1.3 * value)),
    "values x 0.7": lambda picture: picture.point(lambda value: 0.7 * value),
    "shifted by 1": lambda picture: shift(picture, 1), "shifted by 2": lambda picture: shift(picture, 2),
    "1 pixel cut off all around": lambda picture: crop(picture, 1), "2 pixels": lambda picture: crop(picture, 2),
    "resized to 3/4 and back": lambda picture: smaller(picture, 0.75),
    "grey": lambda picture: picture.convert("L").convert(picture.mode),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--dataset", default="CIFAR10")
    parser.add_argument("--data", default="data")
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--each", type=int, default=100, help="copies by each alteration (default: 100)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cache", default="cache")
    parser.add_argument("--sheet", help="PNG file of pairs that nobody copied")
    arguments = parser.parse_args()
    split = mc.load_dataset(arguments.dataset, arguments.data)
    rng = np.random.RandomState(arguments.seed)
    pictures = np.asarray(split.images[np.sort(rng.permutation(len(split))[:arguments.samples])])
    sources, copies, kinds = [], [], []
    for kind, alter in ALTERATIONS.items():
        for source in rng.permutation(len(pictures))[:arguments.each]:
            sources.append(source)
            copies.append(np.asarray(alter(Image.fromarray(pictures[source].squeeze()))).reshape(pictures[source].shape))
            kinds.append(kind)
    report(pictures, np.stack(copies), np.array(sources), np.array(kinds), arguments)


def report(pictures, copies, sources, kinds, arguments):
    from ms_coreset.extraction.picture_features import picture_features
    from ms_coreset.selectors.near_duplicates import whitened
    from ms_coreset.selectors.norms import rows_in_metric

    both = np.concatenate([pictures, copies])
    split = mc.Split("copied", both, np.zeros(len(both), np.int64), classes=("any",), mean=(0.5,) * both.shape[3],
                     std=(0.25,) * both.shape[3])
    rows = rows_in_metric(whitened(picture_features([split], cache=arguments.cache)[0]), "cosine")
    originals = rows[:len(pictures)].astype(np.float32)
    found = np.einsum("ij,ij->i", rows[len(pictures):], rows[sources])
    cosines = np.triu(originals @ originals.T, 1)
    print("| threshold | " + " | ".join(f"{step:g}" for step in STEPS) + " |")
    print("|---|" + "---|" * len(STEPS))
    for kind in ALTERATIONS:
        print(f"| {kind} | " + " | ".join(f"{(found[kinds == kind] >= step).mean():.2f}" for step in STEPS) + " |")
    everything = [(found >= step).mean() for step in STEPS]
    print("| all copies | " + " | ".join(f"{share:.3f}" for share in everything) + " |")
    others = [int((cosines >= step).sum()) for step in STEPS]
    print(f"| pairs that nobody copied, of {len(pictures):,} pictures | " + " | ".join(f"{n:,}" for n in others) + " |")
    if arguments.sheet:
        draw(arguments.sheet, pictures, cosines)


def draw(path, pictures, cosines):
    pairs = np.argwhere(cosines >= THRESHOLDS["whitened"])
    pairs = pairs[np.random.RandomState(0).permutation(len(pairs))[:SHOWN]]
    pairs = pairs[np.argsort(cosines[tuple(pairs.T)])]
    bands = [Band("", [("one", pictures[part[:, 0]]), ("other", pictures[part[:, 1]])],
                  [f"{cosines[i, j]:.2f}" for i, j in part])
             for part in (pairs[begin:begin + COLUMNS] for begin in range(0, len(pairs), COLUMNS))]
    write_contact_sheet(path, bands)
    print(f"{path}: {len(pairs)} pairs, the least alike first")


if __name__ == "__main__":
    main()
