"""From a picture to the probabilities of seven labels: the small network that travels with the package.

    from fercourse.predict import load_small, predict, prepare, read_picture

    face = prepare(read_picture("me.jpg"))  # uint8 (48, 48)
    predict([face])  # float32 (1, 7), in the order of EMOTIONS

What comes out are probabilities of *labels* that strangers gave to photographs; a face is not a feeling.
The model card beside the weights (``fercourse/small/README.md``) says how often they are wrong, and what they
must not be used for.
"""

from __future__ import annotations

from fercourse.predict.haar import find_faces, missing_cascade
from fercourse.predict.networks import Network, load_network, load_small, predict, small_facts
from fercourse.predict.pictures import Square, centred_square, prepare, read_picture

__all__ = [
    "Network",
    "Square",
    "centred_square",
    "find_faces",
    "load_network",
    "load_small",
    "missing_cascade",
    "predict",
    "prepare",
    "read_picture",
    "small_facts",
]
