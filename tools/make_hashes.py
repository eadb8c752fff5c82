"""Make fercourse/data/hashes.npz, the table of image hashes, from the official fer2013.csv.

    python tools/make_hashes.py path/to/fer2013.csv

Needed only if the signature itself changes. The file's MD5 is checked first; the table holds no image.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import numpy as np

from fercourse.data import hashes
from fercourse.data.fer2013 import MD5, read_csv, split_table
from fercourse.files import atomic_path

TABLE = Path(hashes.__file__).with_name("hashes.npz")


def make_signs() -> np.ndarray:
    """Seven fixed patterns, each with as many +1 as -1, packed to bits: uint8 of shape (7, 288).

    The first three are constant over blocks of 8x8 pixels, JPEG's own.
    """
    generator = np.random.default_rng(2013)
    blocks = [
        np.kron(generator.permutation(np.arange(36) % 2).reshape(6, 6), np.ones((8, 8))) for _ in range(3)
    ]
    pixels = [generator.permutation(np.arange(48 * 48) % 2) for _ in range(4)]
    return np.stack([np.packbits(pattern.reshape(-1).astype(np.uint8)) for pattern in (*blocks, *pixels)])


def main(source: str) -> None:
    with open(source, "rb") as file:
        digest = hashlib.file_digest(file, "md5").hexdigest()
    if digest not in MD5.values():
        sys.exit(f"{source} has MD5 {digest}; the table is made from the official file only ({MD5}).")
    table = read_csv(source)
    faces = split_table(table, layout="fer2013.csv", source=source)
    if faces.fingerprint != hashes.OFFICIAL_FINGERPRINT:
        sys.exit(f"The fingerprint is {faces.fingerprint}; put it into hashes.OFFICIAL_FINGERPRINT.")
    packed = make_signs()
    with atomic_path(TABLE) as temporary:
        np.savez_compressed(
            temporary,
            signs=packed,
            signatures=hashes.signatures(table.images, hashes.weights(packed)),
            checks=hashes.checksums(table.images),
            labels=table.labels.astype(np.uint8),
        )
    hashes.official.cache_clear()
    distinct = len(np.unique(table.images.reshape(len(table.images), -1).view("V2304")))
    groups = len(hashes.official().first)
    print(f"{TABLE}: {TABLE.stat().st_size:,} bytes, {groups:,} groups of {distinct:,} distinct images")
    if groups != distinct:
        sys.exit("Two different images share a hash: change the seed of make_signs.")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
