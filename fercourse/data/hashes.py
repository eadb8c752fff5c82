"""Which official image is this? A committed table of hashes of every FER-2013 image, and look-ups in it.

A re-encoded image (a JPEG of an official face) has other pixels, so a plain hash cannot know it again. Each
row of the table holds eight bytes that move by little when pixels move by little: the image's mean and seven
projections of it onto fixed random signs. Three have one sign for each block of 8x8 pixels: JPEG hardly
moves them, other faces, turned or mirrored ones do. Two have a sign for each pixel, and two the same behind
a Laplacian: they see fine detail, which blurring and resizing take away. Values are kept modulo 256 steps,
so that even similar faces differ in most bytes, and are sums of whole numbers, so that equal pixels give
equal bytes everywhere. Two more bytes, of a checksum, tell exact pixels from very near ones. No image can be
put together again from ten bytes.
"""

from __future__ import annotations

import functools
import zlib
from dataclasses import dataclass
from importlib import resources

import numpy as np

from fercourse.data.faces import SPLITS

#: Images of the official splits, in the file's order.
OFFICIAL_SIZES = {"train": 28709, "val": 3589, "test": 3589}
#: SHA-256 of the official images and labels, as `Faces.fingerprint` forms it.
OFFICIAL_FINGERPRINT = "d8854dda6bda4f1d7fcd6e76df1eed68482cb5d87442e86ed1a0153230318392"
#: The bytes of a signature: the mean, projections by block, by pixel, and of fine detail.
MEAN, BLOCKS, PIXEL, FINE = slice(0, 1), slice(1, 4), slice(4, 6), slice(6, 8)
#: Grey levels (for projections: root mean square over the pixels) that one step of each byte stands for.
STEPS = np.array([0.25, 2, 2, 2, 1, 1, 0.5, 0.5])
#: How far JPEG of quality 75, the roughest copy still accepted, moves each value (standard deviation).
NOISE = np.array([0.2, 2.5, 2.5, 2.5, 5, 5, 6, 6])
#: Signatures further apart than this many `NOISE` have nothing to do with each other.
REACH = 11.0
#: The split code of an image of which only this is known.
VAL_OR_TEST = -2


@dataclass(frozen=True, eq=False)
class Official:
    """The table: for each of the 35,887 rows its signature, checksum, label, split code and pixel group.

    Attributes:
        signatures: uint8, shape (35887, 8).
        checks: uint16, shape (35887,).
        labels: int64, shape (35887,).
        splits: int64, shape (35887,), places in `SPLITS`.
        groups: int64, shape (35887,): rows with equal pixels share a number.
        first: int64, shape (G,): the first row of each group.
    """

    signatures: np.ndarray
    checks: np.ndarray
    labels: np.ndarray
    splits: np.ndarray
    groups: np.ndarray
    first: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class Match:
    """What images are in the official data set; arrays with first axis N.

    Attributes:
        groups: int64, the official pixel group nearest to each image, -1 where none is near.
        others: int64 of shape (N, 2), the next nearest groups where nearly as near, else -1.
        exact: bool, the pixels are the official ones.
        distance: float64, from the image's signature to the group's, in units of `NOISE`; below 4 for JPEG.
        difference: float64 of shape (N, 8), signature minus official signature, in grey levels.
    """

    groups: np.ndarray
    others: np.ndarray
    exact: np.ndarray
    distance: np.ndarray
    difference: np.ndarray


@functools.lru_cache(maxsize=1)
def official() -> Official:
    """Read the committed table (once)."""
    with resources.files("fercourse.data").joinpath("hashes.npz").open("rb") as file, np.load(file) as stored:
        signatures, checks, labels = stored["signatures"], stored["checks"], stored["labels"].astype(np.int64)
    splits = np.repeat(np.arange(len(SPLITS)), list(OFFICIAL_SIZES.values()))
    _, first, groups = np.unique(_exact_keys(signatures, checks), return_index=True, return_inverse=True)
    return Official(signatures, checks, labels, splits, groups.reshape(-1), first)


def signatures(images: np.ndarray, projections: np.ndarray | None = None) -> np.ndarray:
    """Eight bytes an image that change little when its pixels do: uint8 (N, 48, 48) to uint8 (N, 8)."""
    planes = _weights() if projections is None else projections
    flat = images.reshape(len(images), 48 * 48)
    out = np.empty((len(flat), 8), np.uint8)
    for start in range(0, len(flat), 2048):
        # Sums stay below 2**24, so that float32 holds them exactly, in whatever order they are added.
        sums = (flat[start : start + 2048].astype(np.float32) @ planes).astype(np.int64)
        out[start : start + len(sums)] = sums // DIVISORS % 256
    return out


def checksums(images: np.ndarray) -> np.ndarray:
    """The low 16 bits of each image's CRC-32: uint8 (N, 48, 48) to uint16 (N,)."""
    flat = np.ascontiguousarray(images).reshape(len(images), 48 * 48)
    return np.fromiter((zlib.crc32(image.data) & 0xFFFF for image in flat), np.uint16, len(flat))


def match(images: np.ndarray) -> Match:
    """Look every image up in the table: by exact pixels first, then by the nearest signature."""
    from scipy.spatial import cKDTree

    table = official()
    found, checks = signatures(images), checksums(images)
    keys = _exact_keys(table.signatures[table.first], table.checks[table.first])
    own = _exact_keys(found, checks)
    place = np.minimum(np.searchsorted(keys, own), len(keys) - 1)
    exact = keys[place] == own
    groups = np.where(exact, place, -1)
    distance = np.where(exact, 0.0, np.inf)
    others = np.full((len(images), 2), -1)
    rest = np.flatnonzero(~exact)
    if len(rest):
        scale = STEPS / NOISE
        tree = cKDTree(table.signatures[table.first] * scale, boxsize=256 * scale)
        gap, near = tree.query(found[rest] * scale, k=3, distance_upper_bound=REACH, workers=-1)
        hit = np.isfinite(gap[:, 0])
        groups[rest[hit]] = near[hit, 0]
        distance[rest[hit]] = gap[hit, 0]
        others[rest] = np.where(gap[:, 1:] < gap[:, :1] + 2, near[:, 1:], -1)  # beyond reach, gap is inf
    difference = np.full((len(images), 8), np.nan)
    known = groups >= 0
    stored = table.signatures[table.first[groups[known]]]
    difference[known] = (found[known] - stored).view(np.int8) * STEPS
    return Match(groups, others, exact, distance, difference)


def fine_detail(groups: np.ndarray, difference: np.ndarray) -> float:
    """How much of the official images' fine detail is left: 1 where all of it, 0.3 after a blur of radius 1.

    The regression of the fine projections on the official ones; noise, as JPEG adds, leaves it near 1.
    """
    table = official()
    stored = table.signatures[table.first[groups]][:, FINE].view(np.int8) * STEPS[FINE]
    usable = np.abs(stored) < 48  # others may have wrapped around
    stored = np.where(usable, stored, 0.0)
    total = float((stored**2).sum())
    return 1 + float((stored * difference[:, FINE]).sum()) / total if total else 1.0


def assign_rows(
    found: Match, labels: np.ndarray, splits: np.ndarray, hints: np.ndarray | None = None
) -> np.ndarray:
    """Give each image one official row of its pixel group, none to two images.

    Of the rows an image may take it gets the one its hint names, else one with its label and split, else with
    its label, else any. Copies beyond the official number, and images without a group, get -1.

    Args:
        found: what `match` says of the images.
        labels, splits, hints: int64 (N,); split codes and hints are -1 where not known, and a split may be
            `VAL_OR_TEST` where a copy mixes the two.
    """
    table = official()
    order = np.argsort(table.groups, kind="stable")
    starts = np.searchsorted(table.groups[order], np.arange(len(table.first) + 1))
    rows = np.full(len(labels), -1)
    taken = np.zeros(len(table), bool)
    known = found.groups >= 0
    # Groups that only one image asks for, and that have one row, need no thought.
    wanted = np.bincount(
        np.concatenate((found.groups[known], found.others[found.others >= 0])), minlength=len(table.first)
    )
    plain = known & (np.diff(starts) == 1)[found.groups] & (wanted == 1)[found.groups]
    plain &= (found.others < 0).all(axis=1)
    rows[plain] = table.first[found.groups[plain]]
    taken[rows[plain]] = True
    left = {
        image: np.concatenate(
            [
                order[starts[group] : starts[group + 1]]
                for group in (found.groups[image], *found.others[image])
                if group >= 0
            ]
        )
        for image in np.flatnonzero(known & ~plain).tolist()
    }
    for rule in ("hint", "label and split", "label", "any"):
        for image, candidates in list(left.items()):
            free = candidates[~taken[candidates]]
            if rule == "hint":
                free = free[free == (-1 if hints is None else hints[image])]
            if rule == "label and split":
                mine = table.splits[free]
                free = free[mine > 0 if splits[image] == VAL_OR_TEST else mine == splits[image]]
            if rule in ("label and split", "label") and labels[image] >= 0:
                free = free[table.labels[free] == labels[image]]
            if len(free):
                rows[image] = free[0]
                taken[free[0]] = True
                del left[image]
    return rows


#: What the sums are divided by: the number of pixels or the length of the weights, times the step.
DIVISORS = np.array([2304 // 4, 96, 96, 96, 48, 48, 107, 107])


def packed_signs() -> np.ndarray:
    """The signs of the projections, a bit a pixel: uint8 (7, 288), as `weights` takes them."""
    with resources.files("fercourse.data").joinpath("hashes.npz").open("rb") as file, np.load(file) as stored:
        return stored["signs"]


@functools.lru_cache(maxsize=1)
def _weights() -> np.ndarray:
    return weights(packed_signs())


def weights(packed: np.ndarray) -> np.ndarray:
    """Make the projections, float32 of shape (2304, 8), from stored signs, a bit a pixel (uint8 (7, 288))."""
    signs = np.unpackbits(packed, axis=1).reshape(7, 48, 48).astype(np.int64) * 2 - 1
    fine = 4 * signs[5:]
    for axis in (1, 2):
        fine -= np.roll(signs[5:], 1, axis) + np.roll(signs[5:], -1, axis)
    planes = np.concatenate((np.ones((1, 48, 48)), signs[:5], fine))
    return planes.reshape(8, -1).T.astype(np.float32)


def _exact_keys(signatures: np.ndarray, checks: np.ndarray) -> np.ndarray:
    """One sortable key an image, of signature and checksum."""
    check_bytes = checks.astype("<u2").view(np.uint8).reshape(-1, 2)
    return np.ascontiguousarray(np.column_stack((signatures, check_bytes))).view("S10").reshape(-1)
