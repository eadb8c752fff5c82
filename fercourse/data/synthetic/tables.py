"""What a program in another language needs to draw the same faces: the renderer's tables, as plain JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from fercourse.data.faces import EMOTIONS
from fercourse.data.synthetic import parameters as par
from fercourse.data.synthetic.canvas import PIXELS_PER_UNIT
from fercourse.data.synthetic.dataset import portraits
from fercourse.data.synthetic.head import HEAD_V, STYLE_COLUMNS, STYLE_TABLE
from fercourse.data.synthetic.render import SIZES
from fercourse.data.synthetic.stream import Stream, keys
from fercourse.data.synthetic.units import LIMIT, PROTOTYPES, UNIT_MEANINGS

_SAMPLED = 2000  # faces that the usual range of a parameter is measured on
_DIGITS = 9  # of a float32: more change nothing


def drawing_tables(people: int = 12) -> dict[str, Any]:
    """Return the renderer's tables, made of lists, names and numbers only.

    Args:
        people: how many of the persons of `draw_faces` to include, from identity 0 on; at least 1.

    Returns:
        ``parameters``: their names, in order; ``units``: [name, meaning] of each action unit, in order;
        ``limit``: the greatest intensity of a unit; ``prototypes``: {emotion: [[probability, {unit:
        intensity}], ...]} in the order of EMOTIONS; ``presets``; ``styles``: a table a hair style, with its
        name; ``beards`` and ``glasses``: names; ``people``: all parameters of calm portraits at rest;
        ``ranges``: {parameter: [low, high]}, where it lies in 98% of the faces of the preset 'standard' and
        in a calm portrait;
        ``sizes``: least and greatest side of a picture in pixels; ``pixels_per_unit``, ``head_v``.
    """
    return {
        "parameters": list(par.PARAMETERS),
        "units": [[name, meaning] for name, meaning in UNIT_MEANINGS.items()],
        "limit": LIMIT,
        "prototypes": {
            emotion: [[chance, dict(units)] for chance, units in PROTOTYPES[emotion]] for emotion in EMOTIONS
        },
        "presets": {name: asdict(preset) for name, preset in par.PRESETS.items()},
        "styles": [
            {"name": name, **dict(zip(STYLE_COLUMNS, map(_short, row), strict=True))}
            for name, row in zip(par.STYLES, STYLE_TABLE, strict=True)
        ],
        "beards": list(par.BEARDS),
        "glasses": list(par.GLASSES),
        "people": [[_short(value) for value in row] for row in portraits({}, identity=range(people))],
        "ranges": _ranges(),
        "sizes": list(SIZES),
        "pixels_per_unit": PIXELS_PER_UNIT,
        "head_v": HEAD_V,
    }


def _short(value: np.floating) -> float:
    return float(f"{value:.{_DIGITS}g}")


def _ranges() -> dict[str, list[float]]:
    """Return where each parameter but the units lies in all faces but the outermost 1% at either end."""
    stream, preset = Stream(keys(0, "ranges", _SAMPLED)), par.PRESETS["standard"]
    ranges = {}
    for name, value in {**par.identity(stream, preset), **par.photograph(stream, preset)}.items():
        edges = [*np.quantile(value.astype(float), [0.01, 0.99])]
        edges += [par.STUDIO[name]] if name in par.STUDIO else []
        ranges[name] = [round(float(min(edges)), 2), round(float(max(edges)), 2)]
    return ranges
