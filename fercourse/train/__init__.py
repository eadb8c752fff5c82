"""Training: `loop`, `epoch`, `step`, teachers (`lesson`), optimiser and loss (`optim`), memory (`state`)."""

from fercourse.train.epoch import train_one_epoch
from fercourse.train.failures import TrainingFailed, check_sizes
from fercourse.train.lesson import Lesson, Teachers
from fercourse.train.loop import Fit, Labelled, fit
from fercourse.train.optim import class_weights, log_prior, make_optimizer, make_scheduler, set_log_prior
from fercourse.train.sampling import epoch_order, mixup_shares
from fercourse.train.step import StepGraphs, Totals, graphs_wanted, step_graphs, train_step

__all__ = [
    "Fit",
    "Labelled",
    "Lesson",
    "StepGraphs",
    "Teachers",
    "Totals",
    "TrainingFailed",
    "check_sizes",
    "class_weights",
    "epoch_order",
    "fit",
    "graphs_wanted",
    "log_prior",
    "make_optimizer",
    "make_scheduler",
    "mixup_shares",
    "set_log_prior",
    "step_graphs",
    "train_one_epoch",
    "train_step",
]
