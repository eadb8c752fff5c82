"""Training: `loop`, its optimiser and loss weights (`optim`), what it remembers (`state`), `failures`."""

from fercourse.train.loop import Fit, Labelled, fit, train_one_epoch
from fercourse.train.optim import class_weights, log_prior, make_optimizer, make_scheduler, set_log_prior
from fercourse.train.sampling import epoch_order

__all__ = [
    "Fit",
    "Labelled",
    "class_weights",
    "epoch_order",
    "fit",
    "log_prior",
    "make_optimizer",
    "make_scheduler",
    "set_log_prior",
    "train_one_epoch",
]
