"""`fercourse predict`: which of the seven labels for a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fercourse.cli.options import Json, Quiet, app, print_json
from fercourse.errors import FercourseError

if TYPE_CHECKING:
    import numpy as np

    from fercourse.predict import Network, Square

#: How faces are found.
FACES = ("auto", "whole", "haar")


@app.command(short_help="Say which label a network gives to faces in pictures.")
def predict(
    images: Annotated[
        list[Path], typer.Argument(help="Pictures, or folders: all pictures in them and below.")
    ],
    model: Annotated[
        Path | None,
        typer.Option(
            help="A folder that `fercourse train` wrote, or an ONNX file. Default: our small network."
        ),
    ] = None,
    faces: Annotated[
        str,
        typer.Option(
            help="haar: every face that OpenCV finds; whole: the largest square in the middle; auto: haar "
            "where OpenCV is installed and finds one, else whole."
        ),
    ] = "auto",
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Say which label a network gives to the faces in pictures, and how sure it is.

    Labels, not feelings: it was trained on words that strangers gave to photographs, and it answers whatever
    it is shown. Do not use it to judge, sort or watch anybody. Try it on your own face, on drawn ones, on
    people who agreed. The model card, fercourse/small/README.md, says how often it is wrong.

    With --json, one JSON document for all pictures. A picture that cannot be read is told at the end, the
    others are answered, and the exit status is 1.
    """
    from tqdm import tqdm

    from fercourse.errors import nearest
    from fercourse.predict import load_network, missing_cascade
    from fercourse.predict.pictures import picture_files

    if faces not in FACES:
        raise FercourseError(f"--faces {faces!r} is not one of {', '.join(FACES)}{nearest(faces, FACES)}.")
    if faces == "haar" and (reason := missing_cascade()):
        raise FercourseError(f"--faces haar: {reason}; or take --faces whole.")

    def say(line: str) -> None:
        if not quiet:
            typer.echo(line, err=True)

    files = picture_files(images)
    network = load_network(model)
    if faces == "auto" and (reason := missing_cascade()):
        say(f"Faces are not looked for: {reason}. The largest square in the middle of each picture is taken.")
        faces = "whole"
    results: list[dict[str, Any]] = []
    errors: list[dict[str, str]] = []
    stopped = False
    with tqdm(files, unit="picture", disable=quiet or len(files) < 2, leave=False) as bar:
        try:
            for path in bar:
                try:
                    picture, squares, prepared = look(path, faces)
                except FercourseError as error:
                    errors.append({"file": str(path), "error": str(error)})
                    continue
                # A network that cannot be run ends the command: the next picture would not help.
                results.append({**picture, "faces": answer(squares, prepared, network)})
        except KeyboardInterrupt:
            stopped = True
    if as_json:
        print_json(document(network, results, errors))
    else:
        from fercourse.reports import predictions

        if results:
            typer.echo(predictions(results))
        say(caution(network))
    alone = [
        row["file"] for row in results if row["found_by"] == "whole" and is_large(row["width"], row["height"])
    ]
    if alone and faces == "auto":
        more = f" and {len(alone) - 3} others" if len(alone) > 3 else ""
        say(f"No face was found in {', '.join(alone[:3])}{more}: the largest square in the middle was taken.")
    for told in errors:
        typer.echo(f"fercourse: {told['error']}", err=True)
    if errors:
        typer.echo(f"fercourse: {len(errors)} of {len(files)} pictures could not be read.", err=True)
    if stopped:
        done = len(results) + len(errors)
        typer.echo(f"Stopped after {done} of {len(files)} pictures.", err=True)
    if stopped or errors:
        raise typer.Exit(130 if stopped else 1)


def look(path: Path, how: str) -> tuple[dict[str, Any], list[Square], list[np.ndarray]]:
    """Return what is said of a picture, the squares of its faces, and these as the networks see them."""
    from fercourse.predict import centred_square, find_faces, prepare, read_picture

    picture = read_picture(path)
    looked = how == "haar" or (how == "auto" and is_large(*picture.size))
    squares = find_faces(picture) if looked else []
    found_by = "haar" if squares or how == "haar" else "whole"
    if found_by == "whole":
        squares = [centred_square(picture.size)]
    told = {"file": str(path), "width": picture.width, "height": picture.height, "found_by": found_by}
    return told, squares, [prepare(picture, square) for square in squares]


def answer(squares: list[Square], faces: list[np.ndarray], network: Network) -> list[dict[str, Any]]:
    """Return each face's square, label and probabilities."""
    from fercourse.data.faces import EMOTIONS
    from fercourse.predict import predict

    return [
        {
            "square": square._asdict(),
            "label": EMOTIONS[row.argmax()],
            "probabilities": {
                name: round(float(value), 4) for name, value in zip(EMOTIONS, row, strict=True)
            },
        }
        for square, row in zip(squares, predict(faces, network), strict=True)
    ]


def is_large(width: int, height: int) -> bool:
    """Whether a picture is larger than the training images: others are faces that were cut already."""
    return min(width, height) > 48


def caution(network: Network) -> str:
    """Return what to keep in mind, with how often the network is wrong where that is known."""
    text = "Labels, not feelings."
    if network.accuracy is not None:
        text += (
            f" {network.name} is wrong about {100 * (1 - network.accuracy):.0f} of 100 of FER-2013's own "
            "test pictures, and more often about others."
        )
    return text


def document(network: Network, results: list[dict[str, Any]], errors: list[dict[str, str]]) -> dict[str, Any]:
    """Return the JSON document of a call."""
    from fercourse.data.faces import EMOTIONS

    return {
        "network": network.name,
        "caution": caution(network),
        "classes": list(EMOTIONS),
        "pictures": results,
        "errors": errors,
    }
