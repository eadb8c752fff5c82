"""`fercourse export`: a run's network for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fercourse.cli.options import Json, app, print_json


@app.command(short_help="Write a trained network as an ONNX file, checked.")
def export(
    run: Annotated[Path, typer.Argument(help="A folder that `fercourse train` wrote.")],
    path: Annotated[Path, typer.Argument(help="The file to write, such as model.onnx.")],
    maps: Annotated[
        bool,
        typer.Option(
            "--maps", help="Also give class activation maps, as the output `maps`; for pooled heads."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Write a run's best weights as an ONNX model, checked against PyTorch.

    Takes float32 images (N, 1, 48, 48) in [0, 1] and returns logits (N, 7); the file's metadata name model,
    recipe, seed, classes, data and commit. Needs onnx, onnxscript and onnxruntime.
    """
    from fercourse.export import export_onnx

    facts = export_onnx(run, path, maps=maps)
    if as_json:
        print_json(facts)
    else:
        typer.echo(
            f"{facts['path']}: {facts['bytes'] / 1e6:.1f} MB, logits within {facts['max_difference']:.1e} of "
            f"PyTorch's on {facts['images']} images."
        )
