"""Evaluation: against torchmetrics, scikit-learn, scipy and cases worked out by hand."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.transforms import functional as tv

from fercourse.augment import to_float
from fercourse.errors import FercourseError
from fercourse.evaluate import (
    BINS,
    bootstrap_interval,
    compare,
    compare_seeds,
    mcnemar,
    metrics,
    paired_bootstrap,
    predict,
    prediction_interval,
    time_inference,
)
from fercourse.evaluate.views import views


@pytest.fixture
def labels() -> np.ndarray:
    """400 labels with FER-2013's imbalance."""
    weights = np.array([491, 55, 528, 879, 594, 416, 626])
    return np.random.default_rng(0).choice(7, size=400, p=weights / weights.sum())


@pytest.fixture
def logits(labels: np.ndarray) -> np.ndarray:
    """Logits that are right about half of the time."""
    noise = np.random.default_rng(1).normal(size=(400, 7))
    noise[np.arange(400), labels] += 1.7
    return noise.astype(np.float32)


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(2).integers(0, 256, size=(70, 48, 48), dtype=np.uint8)


@pytest.fixture
def model() -> nn.Module:
    """A network with everything that behaves differently in training."""
    torch.manual_seed(0)
    convolution, norm = nn.Conv2d(1, 4, 3, stride=4), nn.BatchNorm2d(4)
    return nn.Sequential(convolution, norm, nn.ReLU(), nn.Dropout(0.5), nn.Flatten(), nn.Linear(576, 7))


def guesses(labels: np.ndarray, accuracy: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.where(rng.random(len(labels)) < accuracy, labels, rng.integers(0, 7, len(labels)))


# metrics


def test_there_are_as_many_classes_as_emotions():
    from fercourse.data.faces import EMOTIONS
    from fercourse.evaluate.metrics import NUM_CLASSES

    assert len(EMOTIONS) == NUM_CLASSES


def test_metrics_agree_with_torchmetrics(labels, logits):
    from torchmetrics.functional import classification as tm

    found = metrics(labels, logits=logits)
    target, scores = torch.from_numpy(labels), torch.from_numpy(logits)
    seven = {"num_classes": 7}
    assert found["n"] == 400
    assert found["accuracy"] == pytest.approx(
        float(tm.multiclass_accuracy(scores, target, **seven, average="micro"))
    )
    assert found["macro_f1"] == pytest.approx(
        float(tm.multiclass_f1_score(scores, target, **seven, average="macro"))
    )
    recall = tm.multiclass_recall(scores, target, **seven, average=None)
    assert found["per_class_recall"] == pytest.approx(recall.tolist())
    assert found["balanced_accuracy"] == pytest.approx(float(recall.mean()))
    assert found["confusion"] == tm.multiclass_confusion_matrix(scores, target, **seven).tolist()
    error = tm.multiclass_calibration_error(scores.softmax(1), target, **seven, n_bins=BINS, norm="l1")
    assert found["ece"] == pytest.approx(float(error), abs=1e-6)
    loss = nn.functional.cross_entropy(scores.double(), target)
    assert found["nll"] == pytest.approx(float(loss), abs=1e-9)


def test_metrics_of_predictions_equal_those_of_logits(labels, logits):
    of_logits, of_preds = metrics(labels, logits=logits), metrics(labels, preds=logits.argmax(1))
    assert set(of_logits) - set(of_preds) == {"nll", "ece", "reliability"}
    assert all(of_logits[name] == of_preds[name] for name in of_preds)


def test_a_case_worked_out_by_hand():
    """3 angry (2 right), 1 disgust taken for angry: recalls 2/3 and 0; F1 2*2/(3+3), 0, and 0 for happy."""
    found = metrics(np.array([0, 0, 0, 1]), preds=np.array([0, 0, 3, 0]))
    assert found["accuracy"] == 0.5
    assert found["balanced_accuracy"] == pytest.approx((2 / 3 + 0) / 2)
    assert found["macro_f1"] == pytest.approx((2 / 3 + 0 + 0) / 3)
    assert found["per_class_recall"] == pytest.approx([2 / 3, 0.0, *[None] * 5])
    assert found["confusion"][0] == [2, 0, 0, 1, 0, 0, 0]
    assert found["confusion"][1] == [1, 0, 0, 0, 0, 0, 0]


def test_calibration_worked_out_by_hand():
    """Two images at 0.9, one of them right; two at 0.6, both right: (|0.5 - 0.9| + |1 - 0.6|) / 2."""

    def row(confidence: float) -> list[float]:
        return [np.log(confidence), *[np.log((1 - confidence) / 6)] * 6]

    logits = np.array([row(0.9), row(0.9), row(0.6), row(0.6)])
    found = metrics(np.array([0, 1, 0, 0]), logits=logits)
    assert found["ece"] == pytest.approx(0.4)
    bins = found["reliability"]
    assert {k: count for k, count in enumerate(bins["count"]) if count} == {8: 2, 13: 2}
    assert bins["confidence_sum"][13] == pytest.approx(1.8)
    assert (bins["hits"][8], bins["hits"][13]) == (2, 1)
    expected = -(np.log(0.9) + np.log(0.1 / 6) + 2 * np.log(0.6)) / 4
    assert found["nll"] == pytest.approx(expected)


def test_perfect_and_certain(labels):
    found = metrics(labels, logits=1000.0 * np.eye(7)[labels])
    for name in ("accuracy", "macro_f1", "balanced_accuracy"):
        assert found[name] == 1.0
    assert found["ece"] == 0.0
    assert found["nll"] == 0.0
    assert found["reliability"]["count"] == [0] * (BINS - 1) + [400]
    assert np.array_equal(np.diag(found["confusion"]), np.bincount(labels, minlength=7))


def test_absent_classes_give_no_nan_and_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = metrics(np.array([3, 3, 4]), logits=np.eye(7)[[3, 6, 4]])
    text = json.dumps(found, allow_nan=False)
    assert json.loads(text) == found
    assert found["per_class_recall"] == [None, None, None, 0.5, 1.0, None, None]
    assert found["balanced_accuracy"] == 0.75
    assert np.array(found["confusion"]).shape == (7, 7)


def test_reliability_counts_are_enough_for_the_calibration_error(labels, logits):
    found = metrics(labels, logits=logits)
    bins = {name: np.array(values) for name, values in found["reliability"].items()}
    assert all(values.shape == (BINS,) for values in bins.values())
    assert bins["count"].sum() == 400
    assert bins["hits"].sum() == round(found["accuracy"] * 400)
    edges = np.linspace(0, 1, BINS + 1)
    full = bins["count"] > 0
    mean = bins["confidence_sum"][full] / bins["count"][full]
    assert (mean > edges[:-1][full]).all()
    assert (mean <= edges[1:][full]).all()
    gap = np.abs(bins["hits"][full] / bins["count"][full] - mean)
    assert found["ece"] == pytest.approx(np.average(gap, weights=bins["count"][full]))


def test_twins_are_left_out():
    labels, preds = np.array([0, 1, 2, 3]), np.array([0, 1, 0, 0])
    found = metrics(labels, preds=preds, twins=np.array([True, False, False, False]))
    assert found["accuracy"] == 0.5
    assert found["accuracy_without_twins"] == pytest.approx(1 / 3)
    assert found["n_without_twins"] == 3
    none_left = metrics(labels, preds=preds, twins=np.ones(4, dtype=bool))
    assert none_left["accuracy_without_twins"] is None


def test_half_precision_logits_are_scored_in_full(labels, logits):
    half = metrics(labels, logits=logits.astype(np.float16))
    assert half["nll"] == pytest.approx(metrics(labels, logits=logits)["nll"], abs=1e-3)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"labels": [], "preds": []}, "no labels"),
        ({"labels": [0, 1, 2], "preds": [0, 1]}, "3 labels but 2 preds"),
        ({"labels": [0, 1], "logits": np.zeros((3, 7))}, "2 labels but 3 logits"),
        ({"labels": [0, 7], "preds": [0, 1]}, "labels run from 0 to 7"),
        ({"labels": [0, -1], "preds": [0, 1]}, "without a label"),
        ({"labels": [0, 1], "preds": [0.5, 1.0]}, "preds is float64"),
        ({"labels": [0, 1]}, "either logits or preds"),
        ({"labels": [0, 1], "preds": [0, 1], "logits": np.zeros((2, 7))}, "not both"),
        ({"labels": [0, 1], "logits": np.zeros((2, 6))}, r"\(2, 6\).*\(N, 7\)"),
        ({"labels": [0, 1], "logits": np.full((2, 7), np.nan)}, "2 of 2 images are not finite"),
        ({"labels": [0, 1], "preds": [0, 1], "twins": np.zeros(3, bool)}, r"\(3,\).*2 images"),
        ({"labels": [0, 1], "preds": [0, 1], "twins": np.zeros(2)}, "float64"),
    ],
)
def test_bad_input_is_named(arguments, says):
    with pytest.raises(FercourseError, match=says):
        metrics(**arguments)


# how sure a number is


def test_the_interval_is_scipys(labels):
    from scipy.stats import bootstrap

    preds = guesses(labels, 0.6, 3)
    low, high = bootstrap_interval(labels, preds, repeats=20_000)
    scipys = bootstrap(
        ((labels == preds).astype(float),), np.mean, n_resamples=20_000, method="percentile", random_state=4
    ).confidence_interval
    assert low == pytest.approx(scipys.low, abs=0.003)
    assert high == pytest.approx(scipys.high, abs=0.003)


@pytest.mark.parametrize("metric", ["accuracy", "balanced_accuracy", "macro_f1"])
def test_resampled_metrics_are_scikit_learns(labels, metric):
    """Rare classes drop out of small resamples; both must agree on what is then averaged."""
    from fercourse.evaluate.significance import _SCORES

    rng = np.random.default_rng(5)
    preds = guesses(labels, 0.5, 6)
    samples = [rng.integers(0, 400, size=size) for size in (400, 25, 8, 1)]
    confusions = np.stack([metrics(labels[s], preds=preds[s])["confusion"] for s in samples])
    expected = [metrics(labels[s], preds=preds[s])[metric] for s in samples]
    np.testing.assert_allclose(_SCORES[metric](confusions), expected, rtol=0, atol=1e-12)


def test_the_interval_covers_what_it_says():
    """Of 300 test sets with a true accuracy of 70%, about 95% of the intervals must hold it."""
    rng, covered = np.random.default_rng(7), 0
    labels = rng.integers(0, 7, 500)
    for repeat in range(300):
        preds = np.where(rng.random(500) < 0.7, labels, (labels + 1) % 7)
        low, high = bootstrap_interval(labels, preds, repeats=500, seed=repeat)
        covered += low <= 0.7 <= high
    assert 0.91 < covered / 300 < 0.985


def test_intervals_repeat_and_nest(labels):
    preds = guesses(labels, 0.6, 3)
    narrow, wide = bootstrap_interval(labels, preds, level=0.5), bootstrap_interval(labels, preds, level=0.99)
    assert narrow == bootstrap_interval(labels, preds, level=0.5)
    drawn = bootstrap_interval(labels, preds, metric="macro_f1", level=0.5)
    assert drawn != bootstrap_interval(labels, preds, metric="macro_f1", level=0.5, seed=1)
    # The interval of an accuracy is exact: no draws, so no seed.
    assert narrow == bootstrap_interval(labels, preds, level=0.5, seed=1)
    assert wide[0] < narrow[0] < float((labels == preds).mean()) < narrow[1] < wide[1]
    assert bootstrap_interval(labels, labels) == (1.0, 1.0)


def test_mcnemar_worked_out_by_hand():
    """8 images only a gets right, 2 only b: two-sided, 2 * (1 + 10 + 45) / 2**10."""
    labels = np.zeros(20, dtype=int)
    a, b = labels.copy(), labels.copy()
    b[:8] = 1
    a[8:10] = 2
    found = mcnemar(labels, a, b)
    assert found == {"only_a": 8, "only_b": 2, "p": pytest.approx(2 * 56 / 1024)}
    assert mcnemar(labels, b, a)["p"] == found["p"]
    # Both wrong in different ways tells nothing about which is better.
    assert mcnemar(labels, np.full(20, 1), np.full(20, 2)) == {"only_a": 0, "only_b": 0, "p": 1.0}


def test_mcnemar_of_many_approaches_chi_squared():
    from scipy.stats import chi2

    labels = np.zeros(3589, dtype=int)
    a, b = labels.copy(), labels.copy()
    a[:450], b[450:850] = 1, 1
    found = mcnemar(labels, a, b)
    corrected = (abs(450 - 400) - 1) ** 2 / 850
    assert found["p"] == pytest.approx(float(chi2.sf(corrected, 1)), rel=0.01)


def test_paired_bootstrap_is_that_of_the_images(labels):
    """The multinomial counts must give what resampling images one by one gives."""
    a, b = guesses(labels, 0.55, 8), guesses(labels, 0.62, 9)
    found = paired_bootstrap(labels, a, b, repeats=20_000)
    rng = np.random.default_rng(10)
    gain = (b == labels).astype(float) - (a == labels)
    slow = np.array([gain[rng.integers(0, 400, 400)].mean() for _ in range(10_000)])
    assert found["difference"] == pytest.approx(gain.mean())
    assert found["low"] == pytest.approx(np.quantile(slow, 0.025), abs=0.005)
    assert found["high"] == pytest.approx(np.quantile(slow, 0.975), abs=0.005)
    assert found["p"] == pytest.approx(2 * (slow <= 0).mean(), abs=0.03)


def test_paired_bootstrap_turns_with_its_arguments(labels):
    a, b = guesses(labels, 0.5, 8), guesses(labels, 0.7, 9)
    for metric in ("accuracy", "balanced_accuracy", "macro_f1"):
        forward, back = (
            paired_bootstrap(labels, a, b, metric=metric),
            paired_bootstrap(labels, b, a, metric=metric),
        )
        assert forward["difference"] == pytest.approx(-back["difference"])
        assert forward["difference"] > 0
        expected = metrics(labels, preds=b)[metric] - metrics(labels, preds=a)[metric]
        assert forward["difference"] == pytest.approx(expected)
    same = paired_bootstrap(labels, a, a)
    assert (same["difference"], same["low"], same["high"], same["p"]) == (0.0, 0.0, 0.0, 1.0)


def test_p_values_of_equal_networks_are_even():
    """Two networks equally good by construction must look different at 5% in about 5% of the trials."""
    rng = np.random.default_rng(11)
    labels = rng.integers(0, 7, 600)
    small = {"mcnemar": 0, "bootstrap": 0}
    for trial in range(200):
        a, b = guesses(labels, 0.6, 1000 + trial), guesses(labels, 0.6, 5000 + trial)
        small["mcnemar"] += mcnemar(labels, a, b)["p"] < 0.05
        small["bootstrap"] += paired_bootstrap(labels, a, b, repeats=200, seed=trial)["p"] < 0.05
    assert small["mcnemar"] / 200 < 0.1
    assert 0.01 < small["bootstrap"] / 200 < 0.11


def test_a_prediction_interval_worked_out_by_hand():
    """Mean 70, s = 1, t(0.975, 4) = 2.776, sqrt(1 + 1 / 5) = 1.0954."""
    values = 70 + np.array([-1, -1, 0, 1, 1]) * np.sqrt(4 / 4)
    assert prediction_interval(values) == pytest.approx((70 - 3.0414, 70 + 3.0414), abs=1e-3)
    low, high = prediction_interval(values, level=0.5)
    assert 70 - low == pytest.approx(high - 70) == pytest.approx(0.7407 * 1.0954, abs=1e-3)


def test_a_prediction_interval_holds_one_further_seed_as_often_as_it_says():
    random = np.random.default_rng(0)
    held = 0
    for _ in range(1000):
        *values, further = random.normal(70, 0.4, size=6)
        low, high = prediction_interval(values)
        held += low <= further <= high
    assert 930 <= held <= 970


@pytest.mark.parametrize("values", [[], [0.7], [0.7, float("nan")]])
def test_one_seed_predicts_no_other(values):
    with pytest.raises(FercourseError, match="expected two finite values or more"):
        prediction_interval(values)


def test_networks_with_several_seeds_worked_out_by_hand():
    """Two seeds each; a is right on 2 and 3 of 10 images, b on 6 and 5: the seeds' part is 0.005 / 2 each."""
    labels = np.zeros(10, int)
    a = np.stack([np.arange(10) >= 2, np.arange(10) >= 3]).astype(int)
    b = np.stack([np.arange(10) >= 6, np.arange(10) >= 5]).astype(int)
    found = compare_seeds(labels, a, b)
    gain = np.array([0, 0, 0.5, 1, 1, 0.5, 0, 0, 0, 0])
    seeds, images = 0.005 / 2, gain.var(ddof=1) / 10
    freedom = (2 * seeds + images) ** 2 / (2 * seeds**2 / 1 + images**2 / 9)
    from scipy.stats import t

    assert found["difference"] == pytest.approx(0.3)
    assert found["high"] - 0.3 == pytest.approx(t.ppf(0.975, freedom) * np.sqrt(2 * seeds + images))
    turned = compare_seeds(labels, b, a)
    assert (turned["low"], turned["p"]) == (pytest.approx(-found["high"]), pytest.approx(found["p"]))


def test_two_looks_at_the_same_weights_worked_out_by_hand():
    """Rows are right on 2 and 6 of 10 images plainly, on 3 and 8 by the other look: they gain 0.1 and 0.2."""
    labels = np.zeros(10, int)
    plain, other = (np.stack([np.arange(10) >= n for n in rows]).astype(int) for rows in ((2, 6), (3, 8)))
    found = compare_seeds(labels, plain, other, same_weights=True)
    gain = np.array([0, 0, 0.5, 0, 0, 0, 0.5, 0.5, 0, 0])
    seeds, images = np.var([0.1, 0.2], ddof=1) / 2, gain.var(ddof=1) / 10
    freedom = (seeds + images) ** 2 / (seeds**2 / 1 + images**2 / 9)
    from scipy.stats import t

    assert found["difference"] == pytest.approx(0.15)
    assert found["high"] - 0.15 == pytest.approx(t.ppf(0.975, freedom) * np.sqrt(seeds + images))
    apart = compare_seeds(labels, plain, other)
    assert apart["high"] - apart["low"] > 1.5 * (found["high"] - found["low"])
    with pytest.raises(FercourseError, match="one of each for the same weights"):
        compare_seeds(labels, plain, other[[0, 1, 1]], same_weights=True)


def test_equal_networks_are_seldom_told_apart():
    """Images of their own difficulty, seeds of their own luck, no difference: at most about one in twenty."""
    random, found = np.random.default_rng(0), 0
    for _ in range(300):
        ease = random.beta(2, 1, size=600)
        a, b = (
            (random.random((3, 600)) >= ease + random.normal(0, 0.01, size=(3, 1))).astype(int)
            for _ in range(2)
        )
        found += compare_seeds(np.zeros(600, int), a, b)["p"] < 0.05
    assert found <= 18


def test_a_difference_beyond_seeds_and_images_is_found():
    random = np.random.default_rng(0)
    ease = random.beta(2, 1, size=3589)
    a, b = ((random.random((5, 3589)) >= ease + more).astype(int) for more in (0, 0.03))
    found = compare_seeds(np.zeros(3589, int), a, b)
    assert 0 < found["low"] < 0.03 < found["high"]


def test_seeds_that_agree_in_everything_differ_in_nothing(labels):
    same = np.stack([labels, labels])
    assert compare_seeds(labels, same, same)["p"] == 1


def test_where_nothing_varies_p_is_none_or_all():
    labels = np.zeros(5, int)
    right, wrong = np.zeros((2, 5), int), np.ones((2, 5), int)
    assert compare_seeds(labels, right, right)["p"] == 1
    found = compare_seeds(labels, right, wrong)
    assert (found["difference"], found["low"], found["high"], found["p"]) == (-1, -1, -1, 0)


@pytest.mark.parametrize("preds", [np.zeros(400, int), np.zeros((1, 400), int), np.zeros((2, 5), int)])
def test_predictions_of_several_seeds_are_needed(labels, preds):
    with pytest.raises(FercourseError):
        compare_seeds(labels, np.stack([labels, labels]), preds)


def test_compare_gathers_the_tests(labels):
    a, b = guesses(labels, 0.5, 8), guesses(labels, 0.7, 9)
    found = compare(labels, a, b)
    assert found == compare(labels, a, b)
    assert found["n"] == 400
    assert found["accuracy_a"] == metrics(labels, preds=a)["accuracy"]
    assert found["accuracy_b"] == metrics(labels, preds=b)["accuracy"]
    assert found["difference"] == pytest.approx(found["accuracy_b"] - found["accuracy_a"])
    assert found["low"] < found["difference"] < found["high"]
    assert found["p_mcnemar"] == mcnemar(labels, a, b)["p"]
    assert found["p_bootstrap"] == paired_bootstrap(labels, a, b)["p"]
    assert found["disagreements"] == int((a != b).sum())
    assert found["only_b"] - found["only_a"] == round(400 * found["difference"])
    json.dumps(found, allow_nan=False)


def test_a_test_sets_worth_of_bootstrap_is_fast():
    rng = np.random.default_rng(12)
    labels = rng.integers(0, 7, 3589)
    a, b = guesses(labels, 0.65, 1), guesses(labels, 0.66, 2)
    start = time.process_time()
    paired_bootstrap(labels, a, b, repeats=2000)
    assert time.process_time() - start < 2


def test_bad_requests_are_named(labels):
    with pytest.raises(FercourseError, match="400 labels but 399 preds_b"):
        compare(labels, labels, labels[:-1])
    with pytest.raises(FercourseError, match="did you mean 'macro_f1'"):
        bootstrap_interval(labels, labels, metric="macrof1")
    with pytest.raises(FercourseError, match="level=95"):
        bootstrap_interval(labels, labels, level=95)
    with pytest.raises(FercourseError, match="repeats=0"):
        paired_bootstrap(labels, labels, labels, repeats=0)
    with pytest.raises(FercourseError, match="no labels"):
        mcnemar(labels[:0], labels[:0], labels[:0])


# predict and time_inference


def test_predict_is_the_model_in_evaluation(model, images):
    logits = predict(model, images, batch_size=32)
    assert logits.shape == (70, 7)
    assert logits.dtype == np.float32
    with torch.no_grad():
        expected = model.eval()(to_float(torch.from_numpy(images)))
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-6)
    assert np.array_equal(logits, predict(model, images, batch_size=32))
    assert np.array_equal(logits, predict(model, torch.from_numpy(images)[:, None], batch_size=32))


def test_predict_leaves_the_model_as_it_was(model, images):
    model.train()
    model[1].eval()  # frozen on purpose: `model.train()` would wake it
    before = {name: value.clone() for name, value in model.state_dict().items()}
    predict(model, images)
    assert [module.training for module in model] == [True, False, True, True, True, True]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(p.requires_grad and not p.is_inference() for p in model.parameters())
    with pytest.raises(FercourseError, match="uint8"):
        predict(model, images.astype(np.float32))
    assert model.training, "an error must not leave the model in evaluation mode"


@pytest.mark.parametrize("allowed", [True, False])
def test_fp32_is_fp32_in_convolutions_too(monkeypatch, model, images, allowed):
    """cuDNN takes TF32 for convolutions unless told otherwise."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", allowed)
    seen = {}
    for precision in ("fp32", "bf16"):

        def look(*_, name=precision):
            seen.setdefault(name, torch.backends.cudnn.allow_tf32)

        model[0].register_forward_pre_hook(look)
        predict(model, images, precision=precision)
    assert seen == {"fp32": False, "bf16": allowed}
    assert torch.backends.cudnn.allow_tf32 is allowed


def test_flip_averages_the_probabilities(model, images):
    averaged = predict(model, images, tta="flip")
    mirrored = np.ascontiguousarray(images[:, :, ::-1])
    both = [torch.from_numpy(predict(model, x)).softmax(1).numpy() for x in (images, mirrored)]
    np.testing.assert_allclose(np.exp(averaged), (both[0] + both[1]) / 2, rtol=0, atol=1e-6)
    np.testing.assert_allclose(averaged, predict(model, mirrored, tta="flip"), rtol=0, atol=1e-6)


def test_ten_crops_are_torchvisions(model, images):
    """Four corners and the centre, 44 pixels wide, and their mirror images; stretched as in training."""
    batch = torch.from_numpy(images).reshape(-1, 1, 48, 48).double() / 255
    theirs = [
        tv.resize(crop, [48, 48], tv.InterpolationMode.BILINEAR, antialias=False)
        for crop in tv.ten_crop(batch, [44, 44])
    ]
    ours = views(batch, "ten-crop")
    assert len(ours) == 10
    for their in theirs:
        assert min((their - our).abs().max() for our in ours) < 1e-12
    model.eval()
    with torch.no_grad():
        expected = torch.stack([model(crop.float()).softmax(1) for crop in theirs]).mean(0)
    averaged = predict(model, images, tta="ten-crop")
    np.testing.assert_allclose(np.exp(averaged), expected.numpy(), rtol=0, atol=1e-5)


def test_an_unknown_tta_names_the_nearest(model, images):
    with pytest.raises(FercourseError, match="did you mean 'ten-crop'"):
        predict(model, images, tta="tencrop")


def test_predict_in_bf16_is_close(model, images):
    logits, low = predict(model, images), predict(model, images, precision="bf16")
    assert low.dtype == np.float32
    assert 0 < np.abs(low - logits).max() < 0.05


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"precision": "fp64"}, "fp64.*fp32"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"device": "cuda:99"}, "cuda:99"),
    ],
)
def test_predict_names_bad_options(model, images, options, says):
    with pytest.raises(FercourseError, match=says):
        predict(model, images, **options)


def test_predict_names_bad_input(model, images):
    with pytest.raises(FercourseError, match="no images"):
        predict(model, images[:0])
    with pytest.raises(FercourseError, match=r"\(70, 576\).*\(70, 7\)"):
        predict(model[:-1], images)


def test_time_inference_says_what_was_timed(model, images):
    found = time_inference(model.train(), images, batch_sizes=(1, 64), repeats=3, most_batches=20)
    assert model.training
    assert (found["device"], found["precision"], found["n"]) == ("cpu", "fp32", 70)
    assert found["threads"] == torch.get_num_threads()
    one, many = found["timings"]
    assert (one["batch_size"], one["images_timed"], one["extrapolated"]) == (1, 20, True)
    assert (many["batch_size"], many["images_timed"], many["extrapolated"]) == (64, 70, False)
    for timing in found["timings"]:
        assert len(timing["ms_repeats"]) == 3
        assert timing["ms"] == sorted(timing["ms_repeats"])[1] > 0
    json.dumps(found, allow_nan=False)
    with pytest.raises(FercourseError, match="repeats=0"):
        time_inference(model, images, repeats=0)


def test_extrapolated_time_is_that_of_all_images(images):
    """A network that notes its own time: 10 of 70 batches are timed, and 7 times that is reported."""
    own = []

    class Sleeper(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            start = time.perf_counter()
            time.sleep(0.005)
            own.append(1000 * (time.perf_counter() - start))
            return x.new_zeros(len(x), 7)

    (timing,) = time_inference(Sleeper(), images, batch_sizes=(1,), repeats=1, most_batches=10)["timings"]
    assert len(own) == 20, "one warm-up and one repeat, of 10 batches each"
    assert 7 * sum(own[10:]) <= timing["ms"] < 3 * 7 * sum(own[10:])


def test_metrics_need_no_torch():
    """Everything computed from records must work where torch is not installed."""
    code = (
        "import sys\n"
        "class NoTorch:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('torch', 'torchvision'):\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, NoTorch())\n"
        "from fercourse.evaluate import bootstrap_interval, compare, metrics\n"
        "labels = [0, 1, 2, 3]\n"
        "assert metrics(labels, preds=[0, 1, 2, 2])['accuracy'] == 0.75\n"
        "compare(labels, [0, 1, 2, 2], labels), bootstrap_interval(labels, labels)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
