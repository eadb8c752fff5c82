"""The runs of trained networks that teach another one: who they are, and whether they may."""

from __future__ import annotations

from pathlib import Path

from fercourse.config import TrainConfig
from fercourse.errors import FercourseError
from fercourse.experiments import holds_out_val
from fercourse.runs import load_best, read_run
from fercourse.train.lesson import Teachers

#: Companies of teachers by name: the runs they are made of. Fixed before any of them was trained.
TEACHERS = {
    "strong": ("vgg19-strong-dropout=0.5-seed0", "se_resnet34-strong-seed0"),
}


def teacher_runs(config: TrainConfig) -> tuple[str, ...]:
    """Return the names of the runs that a configuration's ``teacher`` means; none for 'none'."""
    if config.teacher == "none":
        return ()
    return TEACHERS.get(config.teacher) or tuple(config.teacher.split("+"))


def load_teachers(config: TrainConfig, fingerprint: str, runs: Path) -> Teachers | None:
    """Return the configuration's teachers, from their run folders; None where it has none.

    Args:
        fingerprint: of the data that the student is trained on; the teachers must have been too.
        runs: the folder that holds the teachers' runs, by name.

    Raises:
        FercourseError: a teacher is not there or not finished, learnt from other data, has seen val, which
            the student holds out, or labels or pictures beside FER-2013's, which the student's track forbids.
    """
    members = []
    for name in teacher_runs(config):
        # A run on a CPU has that in its name.
        folder = next((path for path in (runs / name, runs / f"{name}-cpu") if path.is_dir()), None)
        if folder is None:
            raise FercourseError(
                f"The teacher {name} has no run in {runs}: train it first (`fercourse train --out "
                f"{runs / name}`, or the grid it is in), or name another teacher."
            )
        run = read_run(folder)
        theirs = run["config"]
        model, facts = load_best(folder)
        if len(facts["history"]) < theirs["epochs"]:
            raise FercourseError(
                f"The teacher {folder} has finished {len(facts['history'])} of {theirs['epochs']} epochs: "
                "train it to its end first."
            )
        if run["data"]["fingerprint"] != fingerprint:
            raise FercourseError(
                f"The teacher {folder} was trained on other data ({run['data']['layout']}) than the student "
                "is to be: name one that was trained on the same."
            )
        if config.fit_on == "train" and not holds_out_val(theirs):
            raise FercourseError(
                f"The teacher {folder} was trained on val too, which the student holds out: its accuracy on "
                "val would not be that of a held-out split."
            )
        if theirs["track"] == "extra" and config.track != "extra":
            raise FercourseError(
                f"The teacher {folder} is of the track 'extra': so is what it teaches (--set track=extra)."
            )
        members.append(model)
    return Teachers(members, config.teacher_temperature) if members else None


def stand_ins(config: TrainConfig) -> Teachers | None:
    """Return untrained networks in place of the teachers: as slow as they, for measuring the pace.

    A run's name begins with its network's; one that does not counts for nothing.
    """
    from fercourse.models import MODELS, create_model

    networks = [name.split("-")[0] for name in teacher_runs(config)]
    members = [create_model(name) for name in networks if name in MODELS]
    return Teachers(members, config.teacher_temperature) if members else None
