"""The training loop: faithful to its configuration, exact after interruptions, clear when it cannot go on."""

from __future__ import annotations

import copy
import math
import os
import random
import signal
import subprocess
import sys
import time
import warnings
import weakref
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torchvision.transforms import functional as tv

from fercourse.augment import augment
from fercourse.augmentation import Augmentation
from fercourse.checkpoint import load_checkpoint
from fercourse.data import load_faces
from fercourse.device import Precision, pick_precision
from fercourse.errors import FercourseError
from fercourse.recipes import make_config
from fercourse.runs import build_model, train_run
from fercourse.train import (
    Totals,
    check_sizes,
    class_weights,
    epoch_order,
    fit,
    log_prior,
    mixup_shares,
    set_log_prior,
    train_step,
)
from fercourse.train import step as step_module
from fercourse.train.optim import make_optimizer, make_scheduler, output_layer
from fercourse.train.progress import StepBar

AUGMENT = Augmentation(flip=0.5, rotation=0.5)


def faces(count: int, seed: int = 0) -> SimpleNamespace:
    """Images whose label shows: the brighter, the higher; every class stands in them."""
    generator = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(7), generator.integers(0, 7, count - 7)])
    noise = generator.integers(0, 30, (count, 48, 48))
    return SimpleNamespace(images=(noise + labels[:, None, None] * 32).astype(np.uint8), labels=labels)


def tiny() -> nn.Module:
    """A network small enough for hundreds of steps; batch norm and dropout keep a state, and the second
    convolution's weights lie in memory channels last, unlike their copy in a file."""
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, stride=4),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Conv2d(4, 6, 3, stride=2),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(24, 7),
    )


def settings(**changes):
    values = {"epochs": 3, "batch_size": 16, "lr": 0.01, "augment": AUGMENT, **changes}
    return make_config("basic_cnn", "paper1", **values)


def train_tiny(config, folder=None, **options):
    torch.manual_seed(config.seed)
    model = tiny()
    result = fit(model, faces(100), faces(40, 1), config, out=folder, device="cpu", progress=False, **options)
    return model, result


def resume_tiny(model, config, folder):
    return fit(model, faces(100), faces(40, 1), config, out=folder, resume=True, device="cpu", progress=False)


def without_time(history):
    return [{name: value for name, value in row.items() if name != "seconds"} for row in history]


def assert_same(model, result, other_model, other_result):
    assert without_time(result.history) == without_time(other_result.history)
    assert result.batch_losses == other_result.batch_losses
    assert result.best_epoch == other_result.best_epoch
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, other_model.state_dict()[name]), name


def test_learns_what_can_be_learnt():
    config = settings(epochs=15, augment=Augmentation(), batch_size=32, precision="fp32")
    torch.manual_seed(0)
    result = fit(tiny(), faces(600), faces(200, 1), config, device="cpu", progress=False)
    accuracies = [row["val_accuracy"] for row in result.history]
    assert accuracies[0] < 0.5
    assert max(accuracies) > 0.7


def test_same_seed_same_bits_and_other_seed_other_bits():
    one, two = train_tiny(settings()), train_tiny(settings())
    assert_same(*one, *two)
    assert without_time(train_tiny(settings(seed=1))[1].history) != without_time(one[1].history)


def test_images_are_shrunk_for_the_network_and_for_nobody_else():
    """Training sees the sizes it was told, epoch by epoch; val is measured on whole images throughout."""
    seen = []

    def watch(module, arguments):
        seen.append((module.training, arguments[0].shape[-1]))

    config = settings(epochs=5, batch_size=50, sizes=[[0.4, 24], [0.8, 32]])
    torch.manual_seed(0)
    model = tiny()
    model.register_forward_pre_hook(watch)
    fit(model, faces(100), faces(40, 1), config, device="cpu", progress=False)
    assert [side for training, side in seen if training] == [24] * 4 + [32] * 4 + [48] * 2
    assert [side for training, side in seen if not training][-5:] == [48] * 5


def test_a_step_on_small_images_is_one_on_the_augmented_picture_shrunk():
    """Not on the image shrunk and then augmented, whose shifts and erasures would be others."""
    images, labels = torch.from_numpy(faces(40).images), torch.from_numpy(faces(40).labels)
    batch = torch.arange(16)
    torch.manual_seed(0)
    model = tiny()
    model[7].p = 0.0
    whole = augment(images[batch], AUGMENT, generator=torch.Generator().manual_seed(3))
    expected = F.cross_entropy(model(tv.resize(whole, [24, 24], antialias=True)), labels[batch])
    totals = Totals.zeros(torch.device("cpu"), 1)
    train_step(
        model,
        images,
        labels,
        torch.optim.SGD(model.parameters(), lr=0.0),
        batch,
        totals=totals,
        generator=torch.Generator().manual_seed(3),
        precision=Precision("fp32", torch.contiguous_format),
        augmentation=AUGMENT,
        side=24,
    )
    assert totals.batch_losses.item() == pytest.approx(expected.item(), rel=1e-5)


def test_a_network_that_takes_whole_images_only_is_refused_before_it_is_trained(tmp_path, small_faces):
    config = make_config("basic_cnn", "growing", epochs=4, max_steps=1)
    with pytest.raises(FercourseError, match=r"\(basic_cnn\) takes no images of 24 by 24 pixels"):
        fit(build_model(config), faces(100), faces(40, 1), config, out=tmp_path / "run", device="cpu")
    with pytest.raises(FercourseError, match="set sizes to"):
        train_run(config, load_faces(small_faces), tmp_path / "run", device="cpu", progress=False)
    # Nothing was written: what the message advises can be done in the same folder.
    whole = make_config("basic_cnn", "growing", epochs=1, max_steps=1, sizes=[])
    train_run(whole, load_faces(small_faces), tmp_path / "run", device="cpu", progress=False)
    # A size that no epoch will have is no fault.
    assert {make_config("basic_cnn", "growing", epochs=1).side(0)} == {48}
    check_sizes(build_model(config), make_config("basic_cnn", "growing", epochs=1), torch.device("cpu"))


def test_whatever_a_network_of_one_s_own_raises_is_told():
    class Picky(nn.Module):
        def forward(self, x):
            assert x.shape[-1] == 48, "48 pixels, please"
            return x.mean((1, 2, 3))[:, None].repeat(1, 7)

    network = Picky().train()
    with pytest.raises(FercourseError, match=r"takes no images of 24 by 24 pixels.*48 pixels, please"):
        check_sizes(network, make_config("small_vgg", "growing"), torch.device("cpu"))
    assert network.training
    check_sizes(network, make_config("small_vgg"), torch.device("cpu"))


def test_the_time_that_is_left_counts_small_images_for_less():
    """Two epochs of 10 steps at a quarter of the pixels, then two whole ones."""
    config = settings(epochs=4, sizes=[[0.5, 24]])
    bar = StepBar(config, 10, 0, torch.device("cpu"), shown=False)
    assert bar._left(5) == 15 + 80  # in small steps, of which a whole one is worth four
    assert bar._left(20) == 80
    assert bar._left(21) == 19
    plain = StepBar(settings(epochs=4), 10, 0, torch.device("cpu"), shown=False)
    assert [plain._left(done) for done in (1, 10, 11, 40)] == [39, 30, 29, 0]


def test_best_epoch_by_val_accuracy_is_kept():
    model, result = train_tiny(settings(epochs=6, lr=0.05))
    accuracies = [row["val_accuracy"] for row in result.history]
    assert result.best_epoch == 1 + accuracies.index(max(accuracies))
    val = faces(40, 1)
    model.eval()
    with torch.no_grad():
        hits = model(torch.from_numpy(val.images)[:, None] / 255).argmax(1).numpy() == val.labels
    assert hits.mean() == pytest.approx(max(accuracies))


def test_the_average_of_weights_is_what_is_evaluated_and_kept():
    model, result = train_tiny(settings(epochs=6, lr=0.05, ema=0.8))
    _, without = train_tiny(settings(epochs=6, lr=0.05))
    # Averaging looks on: the training itself is the same to the bit.
    assert [row["train_loss"] for row in result.history] == [row["train_loss"] for row in without.history]
    assert [row["val_loss"] for row in result.history] != [row["val_loss"] for row in without.history]
    accuracies = [row["val_accuracy"] for row in result.history]
    assert result.best_epoch == 1 + accuracies.index(max(accuracies))
    val = faces(40, 1)
    model.eval()
    with torch.no_grad():
        hits = model(torch.from_numpy(val.images)[:, None] / 255).argmax(1).numpy() == val.labels
    assert hits.mean() == pytest.approx(max(accuracies))
    assert all(p.requires_grad for p in model.parameters())


def test_fitted_on_train_and_val_the_last_epoch_is_kept(tmp_path):
    """Nothing is chosen by val, nothing measured on it: not even the columns are there."""
    config = settings(fit_on="train+val", schedule="cosine", epochs=4, lr=0.05)
    model, result = train_tiny(config, tmp_path)
    assert result.best_epoch == 4
    assert not {"val_loss", "val_accuracy"} & set(result.history[0])
    tensors, facts = load_checkpoint(tmp_path / "last.safetensors")
    assert all(torch.equal(tensors[f"model/{name}"], t) for name, t in model.state_dict().items())
    assert load_checkpoint(tmp_path / "best.safetensors")[1]["val_accuracy"] is None
    assert facts["epoch"] == 4
    # The same training on the two splits put together beforehand.
    both = SimpleNamespace(
        images=np.concatenate([faces(100).images, faces(40, 1).images]),
        labels=np.concatenate([faces(100).labels, faces(40, 1).labels]),
    )
    torch.manual_seed(config.seed)
    other = tiny()
    plain = settings(schedule="cosine", epochs=4, lr=0.05)
    together = fit(other, both, faces(40, 2), plain, device="cpu", progress=False)
    assert [row["train_loss"] for row in together.history] == [row["train_loss"] for row in result.history]
    assert result.batch_losses == together.batch_losses


def shares_of(labels, generator):
    """Soft labels in which the label leads."""
    drawn = generator.random((len(labels), 7)).astype(np.float32) + 2 * np.eye(7, dtype=np.float32)[labels]
    return drawn / drawn.sum(1, keepdims=True)


def test_soft_labels_are_what_is_fitted(tmp_path):
    labels = faces(100).labels
    config = settings(soft_labels="ferplus", track="extra", augment=Augmentation())
    hard = np.eye(7, dtype=np.float32)[labels]
    plain = settings(augment=Augmentation(), class_weights=False)
    unweighted = settings(
        soft_labels="ferplus", track="extra", augment=Augmentation(), class_weights=False, mixup=0.0
    )
    # One-hot targets are the labels; others are another loss, and hits are those of the labels all the same.
    one, other = train_tiny(plain)[1], train_tiny(unweighted, targets=hard)[1]
    assert one.history[0]["train_loss"] == pytest.approx(other.history[0]["train_loss"], rel=1e-4)
    soft = shares_of(labels, np.random.default_rng(3))
    model, result = train_tiny(config, tmp_path, targets=soft)
    assert result.history[0]["train_loss"] > one.history[0]["train_loss"] * 0.5
    # Resumed with other votes, it is refused; with the same, it goes on.
    torch.manual_seed(config.seed)
    options = {"out": tmp_path, "resume": True, "device": "cpu", "progress": False}
    with pytest.raises(FercourseError, match="other data"):
        fit(tiny(), faces(100), faces(40, 1), config, targets=soft[::-1].copy(), **options)
    again = tiny()
    assert_same(model, result, again, fit(again, faces(100), faces(40, 1), config, targets=soft, **options))


def test_the_loss_of_soft_labels_by_hand():
    labels = torch.from_numpy(faces(100).labels[:8])
    soft = torch.from_numpy(shares_of(labels.numpy(), np.random.default_rng(4)))
    for share in (None, 0.3):
        shares = None if share is None else torch.tensor([share])
        totals, logits = step_once(shares, labels, targets=soft)
        wanted = soft if share is None else share * soft + (1 - share) * soft.roll(1, 0)
        expected = -(wanted * logits.log_softmax(1)).sum(1).mean()
        assert totals.batch_losses.item() == pytest.approx(expected.item(), rel=1e-5)
        main = labels if share is None else labels.roll(1, 0)
        assert totals.hits == (logits.argmax(1) == main).sum()


@pytest.mark.parametrize(
    ("changes", "targets", "said"),
    [
        ({"soft_labels": "ferplus", "track": "extra"}, None, "none were given"),
        ({"soft_labels": "ferplus", "track": "extra"}, np.ones((99, 7), np.float32), r"shape \(99, 7\)"),
        ({}, np.ones((100, 7), np.float32), "soft_labels is 'none'"),
    ],
)
def test_soft_labels_that_do_not_fit_are_refused(changes, targets, said):
    with pytest.raises(FercourseError, match=said):
        train_tiny(settings(**changes), targets=targets)


def test_an_average_by_hand():
    """One epoch of seven steps: the average of the weights after every step, with the first ones before."""
    config = settings(epochs=1, ema=0.75, bias_init=False)
    torch.manual_seed(config.seed)
    watched, seen = tiny(), []
    watched.register_forward_pre_hook(
        lambda module, _: seen.append(module.state_dict()["0.weight"].clone()) if module.training else None
    )
    fit(watched, faces(100), faces(40, 1), settings(epochs=1, bias_init=False), device="cpu", progress=False)
    last = watched.state_dict()["0.weight"]
    expected = seen[0]
    for weights in [*seen[1:], last]:
        expected = 0.75 * expected + 0.25 * weights
    averaged, _ = train_tiny(config)
    torch.testing.assert_close(averaged.state_dict()["0.weight"], expected, rtol=1e-5, atol=1e-6)


def step_once(shares, labels, *, model=None, **options):
    """Take one plain step of mixup in evaluation mode; return the totals and the logits before it."""
    torch.manual_seed(0)
    model = (model or tiny()).eval()
    images = torch.from_numpy(faces(100).images[:8])
    mixed = images[:, None] / 255
    if shares is not None:
        mixed = shares[0] * mixed + (1 - shares[0]) * mixed.roll(1, 0)
    with torch.no_grad():
        logits = model(mixed)
    totals = step_module.Totals.zeros(torch.device("cpu"), 1)
    step_module.train_step(
        model,
        images,
        labels,
        torch.optim.SGD(model.parameters(), lr=0.1),
        torch.arange(8),
        totals=totals,
        generator=torch.Generator(),
        precision=pick_precision(model, torch.device("cpu"), "fp32"),
        shares=shares,
        **options,
    )
    return totals, logits


@pytest.mark.parametrize("share", [0.3, 0.8])
def test_a_hit_of_mixup_is_one_of_what_most_of_the_picture_shows(share):
    torch.manual_seed(1)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48 * 48, 7))
    # Rows without a mean, so that it says different things of different faces and not of their brightness.
    weight = torch.nn.init.normal_(model[1].weight).data
    weight -= weight.mean(1, keepdim=True)
    kept = copy.deepcopy(model)
    preds = step_once(torch.tensor([share]), torch.zeros(8, dtype=torch.int64), model=model)[1].argmax(1)
    assert not torch.equal(preds, preds.roll(1, 0))
    # Of these labels, the network is right on every greater share.
    labels = preds if share >= 0.5 else preds.roll(-1, 0)
    totals, _ = step_once(torch.tensor([share]), labels, model=kept)
    assert totals.hits == 8


def test_mixup_in_a_step_is_the_loss_of_mixed_labels():
    labels = torch.from_numpy(faces(100).labels[:8])
    one_hot = F.one_hot(labels, 7).float()
    for share in (0.3, 0.8):
        totals, logits = step_once(torch.tensor([share]), labels, label_smoothing=0.1)
        targets = share * one_hot + (1 - share) * one_hot.roll(1, 0)
        expected = F.cross_entropy(logits, targets, label_smoothing=0.1)
        assert totals.batch_losses.item() == pytest.approx(expected.item(), rel=1e-5)
        main = labels if share >= 0.5 else labels.roll(1, 0)
        assert totals.hits == (logits.argmax(1) == main).sum()
    whole, nothing = step_once(torch.ones(1), labels)[0], step_once(None, labels)[0]
    assert whole.batch_losses == nothing.batch_losses


def test_shares_of_mixup_depend_on_seed_and_epoch_alone():
    config = settings(mixup=0.2)
    shares = mixup_shares(config, 0, 2000)
    assert torch.equal(shares, mixup_shares(config, 0, 2000))
    assert not torch.equal(shares, mixup_shares(config, 1, 2000))
    assert not torch.equal(shares, mixup_shares(settings(mixup=0.2, seed=1), 0, 2000))
    assert shares.mean().item() == pytest.approx(0.5, abs=0.04)
    assert shares.var().item() == pytest.approx(1 / (4 * (2 * 0.2 + 1)), abs=0.01)
    assert mixup_shares(settings(), 0, 5) is None


def test_every_image_once_an_epoch_in_another_order():
    labels, config = faces(100).labels, settings()
    first, second = epoch_order(labels, config, 0), epoch_order(labels, config, 1)
    assert sorted(first.tolist()) == list(range(100)) == sorted(second.tolist())
    assert first.tolist() != second.tolist()


def test_train_fraction_is_stratified_and_nested_in_the_seed():
    labels = np.repeat(np.arange(7), 30)
    order = epoch_order(labels, settings(train_fraction=0.1), 0)
    assert np.bincount(labels[order]).tolist() == [3] * 7
    assert sorted(order.tolist()) == sorted(epoch_order(labels, settings(train_fraction=0.1), 5).tolist())


def test_class_weights_are_inverse_frequencies_with_mean_one_over_images():
    counts = np.array([10, 30, 60])
    weights = class_weights(counts)
    assert weights[0] / weights[2] == pytest.approx(6)
    assert (weights.numpy() * counts).sum() / counts.sum() == pytest.approx(1)


def test_initial_bias_predicts_the_first_loss():
    """With the log prior and no weights yet, cross-entropy is the entropy of the class shares."""
    counts = np.array([3995, 436, 4097, 7215, 4830, 3171, 4965])
    model = tiny()
    set_log_prior(model, counts)
    nn.init.zeros_(output_layer(model).weight)
    share = counts / counts.sum()
    logits = model.eval()(torch.rand(2, 1, 48, 48))
    assert torch.allclose(logits.softmax(1), torch.from_numpy(share).float().expand(2, -1), atol=1e-6)
    entropy = -(share * np.log(share)).sum()
    assert -(torch.from_numpy(share) * logits[0].log_softmax(0)).sum().item() == pytest.approx(
        entropy, rel=1e-5
    )
    assert torch.isfinite(log_prior(np.array([0, 5]))).all()


def test_bias_init_needs_a_linear_layer():
    with pytest.raises(FercourseError, match=r"last nn\.Linear"):
        fit(nn.Conv2d(1, 7, 48), faces(40), faces(40), settings(), progress=False, device="cpu")


@pytest.mark.parametrize("patience", [1, 4])
def test_plateau_acts_at_the_patienceth_epoch_without_improvement(patience):
    """As Keras counts, which paper 1's wording follows; PyTorch waits for one more."""
    config = settings(patience=patience)
    optimizer = make_optimizer(tiny(), config)
    scheduler = make_scheduler(optimizer, config, 10)
    rates = []
    for accuracy in [0.5] + [0.5] * 5:
        scheduler.step(accuracy)
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates[patience - 1] == 0.01
    assert rates[patience] == pytest.approx(0.001)


def test_one_cycle_rises_to_lr_and_ends_near_zero():
    config = settings(schedule="one_cycle", epochs=2)
    optimizer = make_optimizer(tiny(), config)
    scheduler = make_scheduler(optimizer, config, 50)
    rates = []
    for _ in range(99):
        optimizer.step()
        scheduler.step()
        rates.append(optimizer.param_groups[0]["lr"])
    assert max(rates) == pytest.approx(0.01, rel=0.01)
    assert rates[-1] < 0.01 / 1000


def test_weight_decay_spares_biases_and_norms():
    groups = make_optimizer(tiny(), settings(weight_decay=0.1, optimizer="adamw")).param_groups
    assert [group["weight_decay"] for group in groups] == [0.1, 0.0]
    assert {p.ndim for p in groups[1]["params"]} == {1}
    assert all(p.ndim > 1 for p in groups[0]["params"])


#: What comes on top of the papers: state of its own, draws of its own.
EXTRAS = {"mixup": 0.4, "ema": 0.9, "label_smoothing": 0.1}


@pytest.mark.parametrize(
    ("schedule", "optimizer", "extras"),
    [
        ("plateau", "adam", {}),
        ("one_cycle", "adamw", {}),
        ("cosine", "sgd", {}),
        ("constant", "sgd", {}),
        ("cosine", "sgd", EXTRAS),
        ("one_cycle", "adamw", {**EXTRAS, "precision": "bf16"}),
        ("cosine", "sgd", {"fit_on": "train+val", "ema": 0.9}),
        ("one_cycle", "adamw", {"sizes": [[0.4, 24]]}),
    ],
)
def test_interrupted_and_resumed_is_the_same_to_the_bit(tmp_path, schedule, optimizer, extras):
    config = settings(schedule=schedule, optimizer=optimizer, lr=0.003, **extras)
    whole = train_tiny(config, tmp_path / "whole")
    folder = tmp_path / "parts"
    for steps in (3, 9, 11):  # within the first epoch, across a border, near the end
        torch.manual_seed(99 if folder.exists() else config.seed)  # a new process has drawn something else
        model = tiny()
        model.register_forward_hook(interrupt_after(steps))
        with pytest.raises(KeyboardInterrupt):
            resume_tiny(model, config, folder)
    model = tiny()
    assert_same(*whole, model, resume_tiny(model, config, folder))
    assert pd.read_csv(folder / "history.csv")["epoch"].tolist() == [1, 2, 3]
    # A finished run, resumed, changes nothing.
    model = tiny()
    assert_same(*whole, model, resume_tiny(model, config, folder))


def interrupt_after(steps):
    """Return a forward hook that presses Ctrl-C in the middle of the given step."""
    left = [steps]

    def hook(*_):
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGINT)

    return hook


KILLED = """
import sys, torch
sys.path.insert(0, {tests!r})
from test_train import faces, settings, tiny
from fercourse.train import fit
torch.manual_seed(0)
fit(tiny(), faces(400), faces(40, 1), settings(epochs=12), out={folder!r}, resume=True, device="cpu",
    progress=False, checkpoint_seconds=0)
print("finished")
"""


def test_sigkill_at_random_moments_changes_nothing(tmp_path):
    """Power cut at any moment: during a step, while the checkpoint is written, between epochs."""
    config = settings(epochs=12)
    torch.manual_seed(0)
    whole = tiny()
    result = fit(whole, faces(400), faces(40, 1), config, device="cpu", progress=False)
    folder = tmp_path / "killed"
    code = KILLED.format(tests=str(Path(__file__).parent), folder=str(folder))
    moments = random.Random(7)
    kills = 0
    for _ in range(40):
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        before = progress_of(folder)
        deadline = time.monotonic() + 120
        if kills < 4:
            # Wait until it gets somewhere, then a random while longer.
            while process.poll() is None and progress_of(folder) == before and time.monotonic() < deadline:
                time.sleep(0.005)
            time.sleep(moments.random() * 0.4)
            if process.poll() is None:
                process.kill()
                kills += 1
        output, _ = process.communicate(timeout=120)
        if "finished" in output:
            break
    assert kills >= 2, "the training ended before it could be killed twice"
    model = tiny()
    again = fit(
        model, faces(400), faces(40, 1), config, out=folder, resume=True, device="cpu", progress=False
    )
    assert_same(whole, result, model, again)
    left_over = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    assert left_over == {"last.safetensors", "best.safetensors", "history.csv"}


def progress_of(folder):
    path = folder / "last.safetensors"
    return path.stat().st_mtime_ns if path.exists() else 0


def test_a_folder_in_use_is_not_overwritten(tmp_path):
    train_tiny(settings(epochs=1), tmp_path)
    with pytest.raises(FercourseError, match="already holds a training"):
        train_tiny(settings(epochs=1), tmp_path)


@pytest.mark.parametrize(
    ("changes", "said"), [({"lr": 0.02}, "lr = 0.01, not 0.02"), ({"seed": 1}, "seed = 0, not 1")]
)
def test_resuming_with_another_configuration_is_refused(tmp_path, changes, said):
    train_tiny(settings(epochs=1), tmp_path)
    with pytest.raises(FercourseError, match=said):
        train_tiny(settings(epochs=1, **changes), tmp_path, resume=True)


def test_resuming_with_other_data_is_refused(tmp_path):
    train_tiny(settings(epochs=1), tmp_path)
    with pytest.raises(FercourseError, match="other data"):
        fit(
            tiny(), faces(100, 5), faces(40, 1), settings(epochs=1), out=tmp_path, resume=True, progress=False
        )


def test_nan_stops_with_step_images_and_state(tmp_path):
    model = tiny()
    steps = [0]

    def poison(_module, _inputs, output):
        steps[0] += 1
        return output * math.nan if steps[0] == 4 else output

    model.register_forward_hook(poison)
    config = settings()
    with pytest.raises(FercourseError, match="became nan at step 3 of epoch 1") as caught:
        fit(model, faces(100), faces(40, 1), config, out=tmp_path, device="cpu", progress=False)
    batch = epoch_order(faces(100).labels, config, 0)[48:64].tolist()
    assert ", ".join(map(str, batch[:8])) in str(caught.value)
    _, facts = load_checkpoint(tmp_path / "failed-epoch1-step3.safetensors")
    assert facts["indices"] == batch


def test_exploding_loss_stops_too():
    with pytest.raises(FercourseError, match="The loss became"):
        train_tiny(settings(optimizer="sgd", lr=1e5, epochs=5))


def test_out_of_memory_names_a_batch_that_fits():
    held = []

    class Greedy(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = tiny()

        def forward(self, x):
            if held:  # what the failed step made would be in the way
                assert held[0]() is None
            if len(x) > 5:
                large = x + 1
                held.append(weakref.ref(large))
                raise torch.OutOfMemoryError("CUDA out of memory")
            return self.inner(x)

    with pytest.raises(FercourseError, match=r"batch of 16 images.*a batch of 4 fits"):
        fit(Greedy(), faces(100), faces(40, 1), settings(), device="cpu", progress=False)


def test_other_runtime_errors_are_not_called_memory():
    model = nn.Sequential(nn.Flatten(), nn.Linear(10, 7))
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        fit(model, faces(40), faces(40), settings(), device="cpu", progress=False)


@pytest.mark.parametrize("split", ["train", "val"])
def test_unlabelled_or_empty_splits_are_refused(split):
    good, bad = faces(40), faces(40)
    bad.labels = bad.labels.copy()
    bad.labels[3] = -1
    pair = (bad, good) if split == "train" else (good, bad)
    with pytest.raises(FercourseError, match=f"The {split} split is empty or holds images without a label"):
        fit(tiny(), *pair, settings(), progress=False)


def test_tensorboard_and_csv_agree(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    _, result = train_tiny(settings(), tmp_path, tensorboard=True)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    logged = [event.value for event in events.Scalars("val/accuracy")]
    assert logged == pytest.approx([row["val_accuracy"] for row in result.history], abs=1e-6)
    table = pd.read_csv(tmp_path / "history.csv")
    assert table["val_accuracy"].tolist() == pytest.approx(logged, abs=1e-6)


def test_zero_epochs_leave_the_model_as_it_is(tmp_path):
    torch.manual_seed(0)
    before = tiny().state_dict()
    model, result = train_tiny(settings(epochs=0, bias_init=False), tmp_path)
    assert result.history == []
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_precisions_agree_roughly(precision):
    _, reference = train_tiny(settings(epochs=1, augment=Augmentation()))
    _, result = train_tiny(settings(epochs=1, augment=Augmentation(), precision=precision))
    assert result.precision.name == precision
    assert result.history[0]["train_loss"] == pytest.approx(reference.history[0]["train_loss"], rel=0.02)


class Tape(TorchDispatchMode):
    """Records every operation and the tensors it worked on, and does them again: a CUDA graph on a CPU.

    Whatever a step takes from the host (a Python number, a fresh tensor of the caller's) is frozen at its
    value of the recording, exactly as in a CUDA graph. Unlike there, recording also computes: what it changed
    is put back.
    """

    def __init__(self):
        super().__init__()
        self.operations = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        self.operations.append((function, args, kwargs or {}, result))
        return result

    def replay(self):
        with torch.no_grad(), torch._C._AutoDispatchBelowAutograd():
            for function, args, kwargs, recorded in self.operations:
                again, places = (tree_leaves(each) for each in (function(*args, **kwargs), recorded))
                for new, place in zip(again, places, strict=True):
                    if isinstance(new, torch.Tensor) and new.data_ptr() != place.data_ptr():
                        place.copy_(new)


def record_on_tape(models, optimizer, totals, recorded):
    """Return a `capture` for `StepGraphs`, which records on the CPU and leaves everything as it was."""

    def capture(step, generator, pool, stream):
        assert pool is None
        assert stream is None
        kept = [
            *(tensor for model in models for tensor in model.state_dict().values()),
            *totals.tensors().values(),
            *(tensor for state in optimizer.state.values() for tensor in state.values()),
        ]
        before = [tensor.clone() for tensor in kept]
        random = torch.get_rng_state(), generator.get_state()
        with Tape() as tape:
            step()
        with torch.no_grad():
            for tensor, value in zip(kept, before, strict=True):
                tensor.copy_(value)
        torch.set_rng_state(random[0])
        generator.set_state(random[1])
        recorded.append(tape)
        return tape.replay

    return capture


@pytest.mark.parametrize(
    ("optimizer", "schedule", "extras"),
    [
        ("adam", "plateau", {}),
        ("adamw", "one_cycle", {}),
        ("sgd", "cosine", {}),
        ("adam", "plateau", EXTRAS),
        ("sgd", "plateau", {**EXTRAS, "class_weights": False, "precision": "bf16"}),
        ("adam", "plateau", {"sizes": [[0.4, 24], [0.7, 32]]}),
    ],
)
def test_captured_steps_are_the_plain_loop_to_the_bit(monkeypatch, optimizer, schedule, extras):
    """Recorded once a batch size, replayed for the rest: last batch of 4, dropout, augmentation, schedule."""
    changes = {"optimizer": optimizer, "schedule": schedule, **extras}
    config = settings(lr=2**-7, factor=0.5, patience=1, epochs=6, **changes)
    plain = train_tiny(config)
    recorded = []

    class OnTape(step_module.StepGraphs):
        def __init__(self, step, optimizer, generator, totals, order, **_):
            averages = [ema.model for ema in [step.keywords["ema"]] if ema is not None]
            capture = record_on_tape([step.args[0], *averages], optimizer, totals, recorded)
            super().__init__(step, optimizer, generator, totals, order, capture)

    monkeypatch.setattr(step_module, "StepGraphs", OnTape)
    captured = train_tiny(config, graphs=True)
    if config.sizes:
        assert len(recorded) == 3  # batches of 16 in each size: its last one of 4 comes too seldom
    else:
        assert len(recorded) == 2  # batches of 16 and, from the fourth epoch on, the last one of 4
    assert (len({row["lr"] for row in captured[1].history}) > 1) == (schedule != "constant")
    if schedule == "one_cycle":  # its rates are no powers of two: float32 on the device rounds them
        for row, other in zip(plain[1].history, captured[1].history, strict=True):
            assert row["train_loss"] == pytest.approx(other["train_loss"], rel=1e-4)
    else:
        assert_same(*plain, *captured)


@pytest.mark.parametrize("scaled", [False, True])
def test_what_cannot_be_captured_goes_on_plainly(monkeypatch, scaled):
    scaler = torch.amp.GradScaler("cpu") if scaled else None

    def refuses(step, *_):
        def too_early(*_):
            raise RuntimeError("operation not permitted when stream is capturing")

        with monkeypatch.context() as patch:  # fp16: between the optimiser's step and the scaler's
            if scaler is None:
                step()
                too_early()
            patch.setattr(scaler, "update", too_early)
            step()

    config = settings()
    torch.manual_seed(0)
    model = tiny()
    images = torch.from_numpy(faces(100).images)
    labels = torch.from_numpy(faces(100).labels)
    optimizer = make_optimizer(model, config)
    generator = torch.Generator().manual_seed(0)
    totals = step_module.Totals.zeros(torch.device("cpu"), 7)
    graphs = step_module.step_graphs(
        model,
        images,
        labels,
        optimizer,
        totals=totals,
        longest=100,
        generator=generator,
        precision=pick_precision(model, torch.device("cpu")),
        scaler=scaler,
    )
    graphs.capture = refuses
    graphs.begin(torch.arange(100))
    for _ in range(3):
        graphs.run(16)
    with pytest.warns(UserWarning, match="cannot be captured"):
        graphs.run(16)
    assert graphs.failed
    graphs.run(16)
    assert optimizer.param_groups[0]["lr"] == config.lr


def test_graphs_can_be_switched_off(monkeypatch):
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    assert (step_module.graphs_wanted(cpu), step_module.graphs_wanted(cuda)) == (False, True)
    monkeypatch.setenv("FERCOURSE_GRAPHS", "0")
    assert not step_module.graphs_wanted(cuda)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("extras", [{}, EXTRAS, {"sizes": [[0.5, 24]]}])
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_cuda_graphs_are_the_plain_loop_to_rounding(precision, extras):
    """The same draws, batches and schedule; kernels may sum in another order."""
    config = settings(epochs=6, precision=precision, lr=1e-3, **extras)
    results = []
    for graphs in (False, True):
        torch.manual_seed(config.seed)
        model = tiny()
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # a capture that fails is told by a warning
            results.append(
                fit(model, faces(100), faces(40, 1), config, device="cuda", progress=False, graphs=graphs)
            )
    for row, other in zip(results[0].history, results[1].history, strict=True):
        assert row["train_loss"] == pytest.approx(
            other["train_loss"], rel=1e-4 if precision == "fp32" else 3e-2
        )
