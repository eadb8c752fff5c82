"""A run is a folder: what was asked for, where it ran, its checkpoint and log; and from it, its record."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fercourse.environment import environment
from fercourse.errors import FercourseError, one_line
from fercourse.experiments import holds_out_val
from fercourse.files import clear_temporary, locked, write_text

if TYPE_CHECKING:
    import torch
    from torch import nn

    from fercourse.data.faces import Faces
    from fercourse.recipes import TrainConfig
    from fercourse.train import Fit

RUN = "run.json"
LOCK = ".lock"
CHECKPOINT_SECONDS = "FERCOURSE_CHECKPOINT_SECONDS"


def layout_of(faces: Faces) -> str:
    """Return the layout a record names: that of the files, or 'synthetic' with its preset."""
    preset = faces.details.get("preset")
    return faces.layout if preset in (None, "standard") else f"{faces.layout}-{preset}"


def build_model(config: TrainConfig) -> nn.Module:
    """Return the configured network with the weights that its seed draws."""
    import torch

    from fercourse.models import create_model

    torch.manual_seed(config.seed)
    return create_model(config.model, **config.model_options)


def train_run(
    config: TrainConfig,
    faces: Faces,
    out: str | os.PathLike[str],
    *,
    resume: bool = False,
    device: str | None = None,
    progress: bool = True,
    tensorboard: bool = False,
    wait: float = 0.0,
    on_epoch: Callable[[list[dict[str, float]]], None] | None = None,
) -> tuple[nn.Module, Fit]:
    """Train a configuration on a data set into a folder; return the best epoch's model and the history.

    The folder gets ``run.json`` (configuration, environment, data), the checkpoints and logs of
    `fercourse.train.fit`; the runs of its teachers, where it has any, lie beside it. It is locked meanwhile:
    two trainings cannot share it. The state is saved every 60 seconds, or as often as the environment
    variable FERCOURSE_CHECKPOINT_SECONDS says.

    Args:
        wait: seconds to wait for a process that holds the folder.
        on_epoch: called with the history after every epoch.

    Raises:
        FercourseError: the folder cannot be written, is in use or holds another run, and whatever `fit`
            raises.
    """
    from fercourse.device import pick_device

    place = pick_device(device)
    with locked(Path(out) / LOCK, f"{out} is being trained in", timeout=wait):
        clear_temporary(out)
        return _train_run(config, faces, Path(out), resume, place, progress, tensorboard, on_epoch)


def _train_run(
    config: TrainConfig,
    faces: Faces,
    folder: Path,
    resume: bool,
    place: torch.device,
    progress: bool,
    tensorboard: bool,
    on_epoch: Callable[[list[dict[str, float]]], None] | None,
) -> tuple[nn.Module, Fit]:
    import torch

    from fercourse.data.votes import vote_shares
    from fercourse.device import describe_device
    from fercourse.teachers import load_teachers
    from fercourse.train import check_sizes, fit
    from fercourse.transfer import start_from

    asked = {
        "config": config.to_dict(),
        "data": {
            "layout": layout_of(faces),
            "fingerprint": faces.fingerprint,
            "sizes": {split.split: len(split) for split in faces},
        },
    }
    path = folder / RUN
    if path.exists():
        before = read_run(folder)
        if not resume:
            raise FercourseError(
                f"{folder} already holds a run of {before['config']['model']}: resume it (--resume), or name "
                "another folder."
            )
        for name in asked:
            if before[name] != asked[name]:
                raise FercourseError(
                    f"{folder} holds a run with another {name}: resume with the same, or name another folder."
                )
    # Whatever is missing is missed before anything is written.
    targets = None
    if config.soft_labels != "none":
        fitted = (faces.train,) if config.fit_on == "train" else (faces.train, faces.val)
        targets = np.concatenate([vote_shares(split) for split in fitted])
    teachers = load_teachers(config, faces.fingerprint, folder.resolve().parent)
    model = start_from(build_model(config), config)
    check_sizes(model, config, torch.device("cpu"))
    if not path.exists():
        where = {"device": describe_device(place), "device_kind": place.type}
        run = {**asked, "environment": {**environment(), **where}}
        write_text(path, json.dumps(run, indent=1) + "\n")
    result = fit(
        model,
        faces.train,
        faces.val,
        config,
        targets=targets,
        teachers=teachers,
        out=folder,
        resume=resume,
        device=place,
        progress=progress,
        tensorboard=tensorboard,
        checkpoint_seconds=_checkpoint_seconds(),
        on_epoch=on_epoch,
    )
    return model, result


def _checkpoint_seconds() -> float:
    text = os.environ.get(CHECKPOINT_SECONDS, "60")
    try:
        return float(text)
    except ValueError as error:
        raise FercourseError(f"{CHECKPOINT_SECONDS} is {text!r}; expected a number of seconds.") from error


#: What is asked of a run by those who know nothing else of it.
_TEXTS = {"config": "model recipe", "data": "layout fingerprint", "environment": "commit device_kind"}


def read_run(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """Return a run folder's ``run.json``.

    Raises:
        FercourseError: the folder holds no run, or the file is damaged.
    """
    path = Path(folder) / RUN
    try:
        run = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise FercourseError(
            f"{folder} holds no run ({RUN} is missing): name a folder that `fercourse train --out` wrote."
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise FercourseError(f"{path} cannot be read ({one_line(error)}): restore or retrain it.") from error
    parts = run if isinstance(run, dict) else {}
    for part, keys in _TEXTS.items():
        values = parts.get(part)
        if not isinstance(values, dict) or not all(isinstance(values.get(key), str) for key in keys.split()):
            raise FercourseError(
                f"{path} is not a run of fercourse: expected {part} with {keys.replace(' ', ', ')}; restore "
                "it or train again."
            )
    return run


def load_best(folder: str | os.PathLike[str]) -> tuple[nn.Module, dict[str, Any]]:
    """Return a run's model with the weights of its best epoch, and the checkpoint's facts.

    The facts are identity (configuration, data, precision), epoch, val_accuracy (None where val was trained
    on), history, batch_losses.

    Raises:
        FercourseError: the folder holds no run, or its checkpoint is damaged or of another network.
    """
    from fercourse.checkpoint import load_checkpoint
    from fercourse.recipes import config_from_dict
    from fercourse.train.state import BEST, check_facts

    run, best = read_run(folder), Path(folder) / BEST
    tensors, facts = load_checkpoint(best)
    identity = facts.get("identity")
    if not isinstance(identity, dict) or identity.get("config") != run["config"]:
        raise FercourseError(
            f"{best} belongs to another configuration than {RUN} beside it: restore the folder or train "
            "again."
        )
    held_out = holds_out_val(run["config"])
    check_facts(best, facts, *(["val_accuracy"] if held_out else []), held_out=held_out)
    model = build_model(config_from_dict(run["config"]))
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise FercourseError(
            f"{best} holds weights of another {run['config']['model']} than this version of fercourse builds"
            f": evaluate it with commit {run['environment']['commit']}."
        ) from error
    return model.eval(), facts


def evaluate_run(
    folder: str | os.PathLike[str],
    faces: Faces,
    splits: tuple[str, ...] = ("val",),
    *,
    device: str | None = None,
    tta: str = "none",
    progress: bool = True,
) -> dict[str, dict[str, Any]]:
    """Return `fercourse.evaluate.metrics` of a run's best weights on splits of a data set, by split.

    Each also has ``logits``, float32 (N, 7), and where the data have FER+ votes ``ferplus``: the ``images``
    whose voters agree, and the ``accuracy`` on them by their label (`fercourse.data.votes.majority_labels`).
    Computed in fp32 whatever the training's precision; ``tta`` is that of `fercourse.evaluate.predict`.

    Raises:
        FercourseError: the data are not those the run was trained on, a split is empty or unlabelled, or it
            is val and the run was trained on it too.
    """
    from fercourse.data.audit import twins
    from fercourse.data.votes import majority_labels
    from fercourse.device import pick_device, pick_precision
    from fercourse.evaluate import metrics, predict

    run = read_run(folder)
    if run["data"]["fingerprint"] != faces.fingerprint:
        raise FercourseError(
            f"{folder} was trained on other data ({run['data']['layout']}, fingerprint "
            f"{run['data']['fingerprint'][:12]}) than {faces.source} ({faces.fingerprint[:12]}): name "
            "the data set that it was trained on, or the accuracy would not be that of a held-out split."
        )
    if "val" in splits and not holds_out_val(run["config"]):
        raise FercourseError(
            f"{folder} was trained on train and val together: its accuracy on val is not that of a held-out "
            "split. Measure it on test (--split test), if final.yml lists it."
        )
    model, _ = load_best(folder)
    place = pick_device(device)
    # The layout it was trained in is several times faster on a CPU than the one a file is read into.
    layout = pick_precision(model, place, "fp32").memory_format
    model.to(place, memory_format=layout)  # type: ignore[call-overload]
    repeated = twins(faces)
    results = {}
    for split in splits:
        labels = faces[split].labels
        if not len(labels) or labels.min() < 0:
            raise FercourseError(
                f"The {split} split of {faces.source} is empty or unlabelled: nothing to measure."
            )
        images = faces[split].images
        logits = predict(model, images, device=place, tta=tta, progress=progress)
        results[split] = {
            **metrics(labels, logits=logits, twins=repeated[split] if split != "train" else None),
            "logits": logits,
        }
        if faces[split].votes is not None:
            agreed = majority_labels(faces[split])
            hits = (logits.argmax(1) == agreed)[agreed >= 0]
            if len(hits):
                results[split]["ferplus"] = {"images": len(hits), "accuracy": float(hits.mean())}
    return results


def check_finished(
    folder: str | os.PathLike[str], config: Mapping[str, Any], facts: Mapping[str, Any]
) -> None:
    """Refuse a run whose epochs are not all done; arguments from `read_run` and `load_best`.

    To be asked before test is opened for a record, too: weights that are still being trained may be others
    than those whose history the record would hold in the end.
    """
    if len(facts["history"]) < config["epochs"]:
        raise FercourseError(
            f"{folder} has finished {len(facts['history'])} of {config['epochs']} epochs: resume it first."
        )


def make_record(
    folder: str | os.PathLike[str], results: dict[str, dict[str, Any]], *, tta: str = "none"
) -> dict[str, Any]:
    """Return the record (see `fercourse.records`) of a finished run from what `evaluate_run` returned.

    ``tta`` is what it was called with.

    Raises:
        FercourseError: the training is not finished, or val was held out and not evaluated.
    """
    from fercourse.records import is_shortened, kept_history, kept_split, pack_floats, record_name

    run = read_run(folder)
    config = run["config"]
    model, facts = load_best(folder)
    check_finished(folder, config, facts)
    if "val" not in results and holds_out_val(config):
        raise FercourseError("A record holds the predictions on val: evaluate that split too.")
    environment = run["environment"]
    record = {
        "format": 1,
        "name": record_name(config, run["data"]["layout"], environment["device_kind"], tta),
        "shortened": is_shortened(config),
        "config": config,
        "parameters": sum(p.numel() for p in model.parameters()),
        "environment": {**environment, "precision": facts["identity"]["precision"]},
        "data": run["data"],
        "history": kept_history(facts["history"]),
        "best_epoch": facts["epoch"],
        "batch_losses": pack_floats(facts["batch_losses"]),
        "train_accuracy": results["train"]["accuracy"] if "train" in results else None,
    }
    if tta != "none":
        record["tta"] = tta
    for split in ("val", "test"):
        if split in results:
            record[split] = kept_split(results[split])
    return record
