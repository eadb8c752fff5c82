"""Evaluation: logits once, every metric from them; paired tests between two networks; time over a test set.

scikit-learn and scipy do the arithmetic. Only `predict` and `time_inference` need torch; everything else
works on arrays read from a record. Labels and predicted classes are integers from 0 to 6, places in
``EMOTIONS``; the dictionaries that come back hold plain Python numbers and lists, ready for JSON.
"""

from __future__ import annotations

from fercourse.evaluate.inference import predict, time_inference
from fercourse.evaluate.metrics import BINS, metrics
from fercourse.evaluate.significance import (
    FEWEST_SEEDS,
    bootstrap_interval,
    compare,
    compare_seeds,
    mcnemar,
    paired_bootstrap,
    prediction_interval,
    welch_interval,
)

__all__ = [
    "BINS",
    "FEWEST_SEEDS",
    "bootstrap_interval",
    "compare",
    "compare_seeds",
    "mcnemar",
    "metrics",
    "paired_bootstrap",
    "predict",
    "prediction_interval",
    "time_inference",
    "welch_interval",
]
