"""Drawn faces as a data set, and single drawn faces for pages and pictures.

Accuracies on drawn faces say nothing about FER-2013; they serve to learn, to test and to demonstrate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from fercourse.data.faces import EMOTIONS, SPLITS, Faces, FaceSet
from fercourse.data.synthetic import parameters as par
from fercourse.data.synthetic.render import draw
from fercourse.data.synthetic.stream import Stream, keys, mix
from fercourse.data.synthetic.units import ACTION_UNITS, LIMIT, sample_units
from fercourse.errors import FercourseError, nearest

#: Changes whenever the same seed gives other pictures.
DATA_VERSION = "3"
#: Training images a class of FER-2013: how often each emotion is drawn.
CLASS_COUNTS = (3995, 436, 4097, 7215, 4830, 3171, 4965)
_POSE = ("yaw", "pitch", "roll")


def _split(
    name: str, size: int, preset: par.Preset, seed: int, label_noise: float, threads: int | None
) -> FaceSet:
    stream = Stream(keys(seed, name, size))
    labels = stream.choice("label", CLASS_COUNTS)
    intensity = stream.uniform("intensity", *preset.intensity)
    intensity = np.where(labels == EMOTIONS.index("neutral"), 0.0, intensity)
    units = sample_units(stream, labels, intensity)
    table = par.table(units, {**par.identity(stream, preset), **par.photograph(stream, preset)})
    corrupted = stream.uniform("corrupted") < label_noise
    other = (labels + 1 + stream.choice("wrong label", (1,) * (len(EMOTIONS) - 1))) % len(EMOTIONS)
    images = draw(table, threads=threads)
    assert isinstance(images, np.ndarray)
    return FaceSet(
        images=images,
        labels=np.where(corrupted, other, labels),
        split=name,
        rows=np.arange(size, dtype=np.int64),
        truth={
            "units": table[:, : len(ACTION_UNITS)].copy(),
            "intensity": intensity.astype(np.float32),
            **{angle: table[:, par.COLUMN[angle]].copy() for angle in _POSE},
            "clean_label": labels,
            "corrupted": corrupted,
            "parameters": table,
        },
    )


def synthetic_faces(
    preset: str = "standard",
    *,
    sizes: Sequence[int] = (6000, 1000, 2000),
    seed: int = 0,
    label_noise: float = 0.0,
    threads: int | None = None,
) -> Faces:
    """Draw train, val and test faces whose truth is known, with FER-2013's class imbalance.

    The same arguments give the same bytes whatever the machine or the number of threads, and the first 100
    faces of a split of 1,000 are those of a split of 100.

    Args:
        preset: 'easy', 'standard' or 'hard'.
        sizes: faces in train, val and test.
        seed: which faces; any integer from 0.
        label_noise: share of the training labels replaced by another class (val and test labels stay right).
        threads: how many threads draw; all processors if None.

    Returns:
        `Faces` of layout 'synthetic'. The ``truth`` of each split holds ``units`` (float32 (N, 15), columns
        `ACTION_UNITS`, 1 is full intensity), ``intensity`` of the expression (0 for neutral), ``yaw``,
        ``pitch`` and ``roll`` in radians (yaw and pitch are those of a stylised head), ``clean_label``
        (int64), ``corrupted`` (bool) and ``parameters`` (float32, columns `PARAMETERS`), from which `masks`
        and `draw` make the masks of each part and the picture at any size.

    Raises:
        FercourseError: unknown preset, sizes that are not three whole numbers, a noise outside 0 to 1.
    """
    chosen = par.preset_named(preset)
    if len(sizes) != len(SPLITS) or any(int(size) != size or size < 0 for size in sizes):
        raise FercourseError(f"Sizes of drawn faces are {sizes!r}; expected three whole numbers from 0 up.")
    if not 0.0 <= label_noise <= 1.0:
        raise FercourseError(f"Label noise is {label_noise}; expected a share from 0 to 1.")
    if int(seed) != seed or seed < 0:
        raise FercourseError(f"The seed of drawn faces is {seed!r}; expected a whole number from 0 up.")
    splits = {
        name: _split(name, int(size), chosen, int(seed), label_noise if name == "train" else 0.0, threads)
        for name, size in zip(SPLITS, sizes, strict=True)
    }
    return Faces(
        **splits,
        layout="synthetic",
        source=f"drawn faces, preset {preset}, seed {int(seed)}, version {DATA_VERSION}",
        notes=("These faces are drawn: an accuracy on them says nothing about FER-2013.",),
        details={"preset": preset, "seed": int(seed), "label_noise": label_noise, "version": DATA_VERSION},
    )


def masks(parameters: np.ndarray, *, size: int = 48) -> dict[str, np.ndarray]:
    """Return where each part of drawn faces is: {part: bool (N, size, size)} for each of `PARTS`.

    Args:
        parameters: ``truth['parameters']`` of drawn faces (or some rows of it).
        size: side of the masks in pixels.

    A pixel belongs to a part where the part's paint reaches it and no hair, scarf or object before the face
    hides it; 'head' is the whole head less such objects.
    """
    result = draw(parameters, size=size, masks=True)
    assert isinstance(result, tuple)
    return result[1]


def _units(units: Mapping[str, object] | np.ndarray | Sequence[float]) -> np.ndarray:
    if isinstance(units, Mapping):
        for name in units:
            if name not in ACTION_UNITS:
                raise FercourseError(
                    f"No action unit {name!r} is drawn{nearest(str(name), ACTION_UNITS)}. "
                    f"There are {', '.join(ACTION_UNITS)}."
                )
        given = {name: np.atleast_1d(np.asarray(value, dtype=np.float64)) for name, value in units.items()}
        sizes = {len(value) for value in given.values()} - {1}
        if len(sizes) > 1:
            raise FercourseError(
                f"Action units are given for {' and '.join(map(str, sorted(sizes)))} faces at once."
            )
        count = sizes.pop() if sizes else 1
        table = np.zeros((count, len(ACTION_UNITS)))
        for name, value in given.items():
            table[:, ACTION_UNITS.index(name)] = value
        return table
    table = np.atleast_2d(np.asarray(units, dtype=np.float64))
    if table.ndim != 2 or table.shape[1] != len(ACTION_UNITS):
        raise FercourseError(
            f"Action units have shape {table.shape}; expected (N, {len(ACTION_UNITS)}), as ACTION_UNITS."
        )
    return table


def portraits(
    units: Mapping[str, object] | np.ndarray | Sequence[float],
    *,
    identity: int | Sequence[int] | np.ndarray = 0,
    **parameters: object,
) -> np.ndarray:
    """Return the parameters (float32 (N, len(PARAMETERS))) that `draw_faces` draws, for `draw` and `masks`.

    Arguments and errors are those of `draw_faces`.
    """
    wanted = _units(units)
    people = np.atleast_1d(np.asarray(identity))
    if people.ndim != 1 or people.dtype.kind not in "iu" or (people < 0).any():
        raise FercourseError(f"An identity is a whole number from 0, or a list of them, not {identity!r}.")
    for name in parameters:
        if name not in par.COLUMN:
            raise FercourseError(
                f"Drawn faces have no parameter {name!r}{nearest(name, par.PARAMETERS)}. "
                f"There are {', '.join(par.PARAMETERS)}."
            )
    given = {name: np.atleast_1d(np.asarray(value, dtype=np.float64)) for name, value in parameters.items()}
    lengths = {len(wanted), len(people), *(len(value) for value in given.values())} - {1}
    if len(lengths) > 1:
        raise FercourseError(
            f"Units, identity and parameters are for {' and '.join(map(str, sorted(lengths)))} faces; "
            "expected the same number, or one for all."
        )
    count = lengths.pop() if lengths else 1
    stream = Stream(mix(mix(np.broadcast_to(people.astype(np.uint64), count)) ^ np.uint64(0x5EED)))
    values = par.identity(stream, par.PRESETS["standard"])
    values.update({name: np.full(count, value) for name, value in par.STUDIO.items()})
    values.update({name: np.broadcast_to(value, count) for name, value in given.items()})
    return par.table(np.broadcast_to(np.clip(wanted, 0.0, LIMIT), (count, len(ACTION_UNITS))), values)


def draw_faces(
    units: Mapping[str, object] | np.ndarray | Sequence[float],
    *,
    identity: int | Sequence[int] | np.ndarray = 0,
    size: int = 48,
    **parameters: object,
) -> np.ndarray:
    """Draw faces with these action units in a calm portrait: straight on, evenly lit, sharp, in plain view.

    Args:
        units: {unit: intensity or N intensities}, such as ``emotion_units('happy')``, or an array (15,) or
            (N, 15) with columns `ACTION_UNITS`; intensities beyond 0 to 1.2 are limited to that.
        identity: the person: a seed, or one for each of N faces.
        size: side of the pictures in pixels (the data set's is 48).
        parameters: other values by name (`PARAMETERS`), a number or N of them, such as ``yaw=0.3`` (positive
            turns the face to the left of the picture), ``pitch`` (positive: up), ``roll`` (radians),
            ``gaze_x``, ``light_x``, ``glasses=1``, ``beard=0``, ``noise=0.03``, ``back_tone=0.9``.

    Returns:
        uint8 of shape (N, size, size).

    Raises:
        FercourseError: an unknown unit or parameter, or lengths that do not fit together.
    """
    images = draw(portraits(units, identity=identity, **parameters), size=size)
    assert isinstance(images, np.ndarray)
    return images
