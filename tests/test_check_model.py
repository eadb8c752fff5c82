"""check_model: faulty networks are told their fault, right ones pass however written, nothing crashes."""

from __future__ import annotations

import copy
import os
import random
import subprocess
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fercourse import check_model
from fercourse.check.model import WIDTH
from fercourse.check.probes.forward import Setting
from fercourse.check.probes.graph import count_macs
from fercourse.errors import FercourseError
from fercourse.models import MODELS, create_model
from fercourse.models import count_macs as count_course_macs


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Networks as small as these only wait for a second thread, the longer the busier the machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Tiny(nn.Module):
    """A right network, small; the faulty ones below change one thing in it."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 12, 3, padding=1)
        self.fc = nn.Linear(12 * 12 * 12, 7)

    def features(self, x):
        return F.max_pool2d(F.relu(self.conv(x)), 4).flatten(1)

    def forward(self, x):
        return self.fc(self.features(x))


# Faulty networks: each is registered with the check that must fail and what its sentence must say.
FAULTS: dict[str, tuple] = {}


def fault(check, *parts, **options):
    def register(cls):
        FAULTS[cls.__name__] = (cls, check, parts, options)
        return cls

    return register


@fault("shapes", "softmax inside the network", "logits before it")
class SoftmaxAtTheEnd(Tiny):
    def forward(self, x):
        return F.softmax(super().forward(x), dim=1)


@fault("shapes", "softmax inside the network")
class SoftmaxByHand(Tiny):
    def forward(self, x):
        powers = super().forward(x).exp()
        return powers / powers.sum(1, keepdim=True)


@fault("shapes", "sigmoid at the end")
class SigmoidAtTheEnd(Tiny):
    def forward(self, x):
        return torch.sigmoid(super().forward(x))


@fault("shapes", "ReLU at the end")
class ReluAtTheEnd(Tiny):
    def forward(self, x):
        return F.relu(super().forward(x))


@fault("shapes", "returned None", "`return` is missing")
class NoReturn(Tiny):
    def forward(self, x):
        super().forward(x)


@fault("shapes", "returned a tuple of 2 values")
class TwoValues(Tiny):
    def forward(self, x):
        features = self.features(x)
        return self.fc(features), features


@fault("shapes", "returned a dict with ['logits']")
class InADict(Tiny):
    def forward(self, x):
        return {"logits": super().forward(x)}


@fault("shapes", "in training mode, forward returned a list of 2 values")
class AnotherOutputInTraining(Tiny):
    def forward(self, x):
        logits = super().forward(x)
        return [logits, logits] if self.training else logits


@fault("shapes", "(5, 7, 1, 1)", "x.flatten(1)")
class NotFlattened(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Conv2d(1, 7, 3), nn.AdaptiveAvgPool2d(1))


@fault("shapes", "(5, 7, 46, 46)", "average over height and width")
class NotPooled(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Conv2d(1, 7, 3))


@fault("shapes", "(7, 5)", "transposed")
class Transposed(Tiny):
    def forward(self, x):
        return super().forward(x).T


@fault("shapes", "out_features is 10", "should be 7")
class TenClasses(Tiny):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(12 * 12 * 12, 10)


@fault("shapes", "(720, 7)", "mixed images with positions")
class ViewMixes(Tiny):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(12, 7)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv(x)), 4)
        return self.fc(x.view(-1, 12))


@fault("shapes", "torch.int64, not float", "argmax")
class ClassesNotLogits(Tiny):
    def forward(self, x):
        return F.one_hot(super().forward(x).argmax(1), 7)


@fault("shapes", "(5,)", "one number an image")
class Argmax(Tiny):
    def forward(self, x):
        return super().forward(x).argmax(1)


@fault("shapes", "RuntimeError", "`return self.fc(x)`", "for 576 features gets 1728", "in_features")
class WrongInFeatures(Tiny):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(576, 7)

    def forward(self, x):
        x = self.features(x)
        return self.fc(x)


@fault("shapes", "made for 3 channels gets 1", "in_channels")
class ColourImages(Tiny):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 12, 3, padding=1)


@fault("shapes", "Is dense made in __init__")
class Misspelt(Tiny):
    def forward(self, x):
        return self.dense(self.features(x))


@fault("shapes", "ZeroDivisionError", "line", "`scale = 1 / 0`")
class Raises(Tiny):
    def forward(self, x):
        scale = 1 / 0
        return super().forward(x) * scale


@fault("shapes", "Define forward(self, x)")
class NoForward(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 7, 3)


@fault("shapes", "def forward(self, x)")
class ForwardWithoutX(Tiny):
    def forward(self):
        return None


@fault("shapes", "Two tensors of different sizes (8 and 12) meet")
class ShortcutOfAnotherWidth(Tiny):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 3, padding=1)

    def features(self, x):
        return F.max_pool2d(self.stem(x) + self.conv(x), 4).flatten(1)


@fault("shapes", "NaN or infinite", "first made by log", "`x = torch.log(x - x)`")
class LogOfZero(Tiny):
    def forward(self, x):
        x = torch.log(x - x)
        return super().forward(x)


@fault("shapes", "works for a batch of 32 only", "x.view(32, -1)")
class FixedBatch(Tiny):
    def forward(self, x):
        return self.fc(F.max_pool2d(F.relu(self.conv(x)), 4).view(32, -1))


@fault("shapes", "changes the images that it is given")
class InPlaceInput(Tiny):
    def forward(self, x):
        x -= 0.5
        return super().forward(x)


@fault("builds", "AttributeError", "super().__init__()")
class NoSuper(nn.Module):
    def __init__(self):
        self.conv = nn.Conv2d(1, 7, 3)


@fault("builds", "needs width and depth", "check_model(NeedsArguments(width=..., depth=...))")
class NeedsArguments(Tiny):
    def __init__(self, width, depth, *rest, activation="relu"):  # noqa: ARG002
        super().__init__()


@fault("builds", "does not inherit from nn.Module")
class NoModule:
    def forward(self, x):
        return x


@fault("batch", "one image fails", "(7,)", "squeeze()")
class Squeezes(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 7, 48)

    def forward(self, x):
        return self.conv(x).squeeze()


@fault("batch", "depend on the other images", "(norm)", "track_running_stats=True")
class NoRunningStatistics(Tiny):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(12, track_running_stats=False)

    def features(self, x):
        return F.max_pool2d(F.relu(self.norm(self.conv(x))), 4).flatten(1)


@fault("batch", "depend on the other images", "over axis 0")
class MeanOfTheBatch(Tiny):
    def features(self, x):
        return super().features(x - x.mean())


@fault("eval", "dropout still drops in evaluation", "`x = F.dropout(self.features(x), 0.5)`", "self.training")
class DropoutAlways(Tiny):
    def forward(self, x):
        x = F.dropout(self.features(x), 0.5)
        return self.fc(x)


@fault("eval", "dropout still drops", "nn.Dropout")
class DropoutMadeInForward(Tiny):
    def forward(self, x):
        return self.fc(nn.Dropout(0.3)(self.features(x)))


@fault("eval", "draws random numbers", "torch.randn_like(x)", "if self.training")
class NoiseAlways(Tiny):
    def forward(self, x):
        x = x + 0.1 * torch.randn_like(x)
        return super().forward(x)


@fault("eval", "changes something that it keeps")
class Remembers(Tiny):
    def forward(self, x):
        self.calls = getattr(self, "calls", 0) + 1
        return super().forward(x) * self.calls


@fault("parameters", "weights that are not the network's", "`x = nn.Conv2d(1, 12, 3, padding=1)(x)`")
class LayerMadeInForward(Tiny):
    def forward(self, x):
        x = nn.Conv2d(1, 12, 3, padding=1)(x)
        return self.fc(F.max_pool2d(x, 4).flatten(1))


@fault("parameters", "the layers of convs are kept in a plain list", "nn.ModuleList")
class PlainList(Tiny):
    def __init__(self):
        super().__init__()
        self.convs = [nn.Conv2d(1, 1, 3, padding=1) for _ in range(3)]

    def forward(self, x):
        for conv in self.convs:
            x = F.relu(conv(x))
        return super().forward(x)


@fault("parameters", "kept in a plain dict", "nn.ModuleDict")
class PlainDict(Tiny):
    def __init__(self):
        super().__init__()
        self.branches = {"left": nn.Linear(7, 7), "right": nn.Linear(7, 7)}

    def forward(self, x):
        x = super().forward(x)
        return self.branches["left"](x) + self.branches["right"](x)


@fault("parameters", "scale is a tensor that requires a gradient but no nn.Parameter")
class RawTensor(Tiny):
    def __init__(self):
        super().__init__()
        self.scale = torch.ones(1, requires_grad=True)

    def forward(self, x):
        return super().forward(x) * self.scale


@fault("gradient", "unused.weight, unused.bias (2 of 6) never used in forward")
class Unused(Tiny):
    def __init__(self):
        super().__init__()
        self.unused = nn.Linear(3, 3)


@fault(
    "gradient",
    "conv.weight, conv.bias (2 of 4) used, but no gradient",
    ".detach()",
    "`x = self.conv(x).detach()`",
)
class Detached(Tiny):
    def features(self, x):
        x = self.conv(x).detach()
        return F.max_pool2d(F.relu(x), 4).flatten(1)


@fault("gradient", "no gradient comes back", ".data", "`x = F.relu(self.conv(x)).data`")
class DataAttribute(Tiny):
    def features(self, x):
        x = F.relu(self.conv(x)).data
        return F.max_pool2d(x, 4).flatten(1)


@fault("gradient", "no gradient comes back", "torch.no_grad()", "`x = self.conv(x)`")
class NoGrad(Tiny):
    def features(self, x):
        with torch.no_grad():
            x = self.conv(x)
        return F.max_pool2d(F.relu(x), 4).flatten(1)


@fault("gradient", "(4 of 4)", "torch.tensor()")
class MadeAnew(Tiny):
    def forward(self, x):
        return torch.tensor(super().forward(x))


@fault("gradient", "no gradient comes back", ".item()")
class ItemInForward(Tiny):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x):
        return super().forward(x) * self.scale.item()


@fault("gradient", "conv.weight", "zero in every step", "round()")
class Rounded(Tiny):
    def features(self, x):
        x = torch.round(self.conv(x) * 4) / 4
        return F.max_pool2d(x, 4).flatten(1)


@fault("gradient", "zero in every step", "multiplied by zero")
class TimesZero(Tiny):
    def forward(self, x):
        return self.fc(self.features(x))

    def features(self, x):
        return F.max_pool2d(F.relu(self.conv(x) * 0), 4).flatten(1)


@fault("gradient", "a training step raised RuntimeError", "x = x + y in place of x += y")
class InPlaceGraph(Tiny):
    def forward(self, x):
        x = torch.exp(super().forward(x))
        x += 1
        return x


@fault("gradient", "has no parameters")
class NoParameters(nn.Module):
    def forward(self, x):
        return x.flatten(1)[:, :7]


@fault("gradient", "all 4 parameter tensors are frozen")
class AllFrozen(Tiny):
    def __init__(self):
        super().__init__()
        self.requires_grad_(False)


@fault("one batch", "the same for every image", "lost on the way", seconds=0.3)
class LosesTheImage(Tiny):
    def forward(self, x):
        return super().forward(torch.ones_like(x))


@fault("one batch", "of 8 images right", "guessing gives 1.95", "outputs that cannot be large", seconds=0.3)
class TooNarrow(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(1, 7)

    def forward(self, x):
        return 0.01 * torch.sin(self.fc(x.mean((1, 2, 3))[:, None]))


@fault("one batch", "hardly differ from image to image", "batch norm", seconds=0.3)
class DeepSigmoids(nn.Sequential):
    def __init__(self):
        layers = [layer for _ in range(3) for layer in (nn.Linear(32, 32), nn.Sigmoid())]
        super().__init__(nn.Flatten(), nn.Linear(48 * 48, 32), nn.Sigmoid(), *layers, nn.Linear(32, 7))


@fault("one batch", "the weights start too large", seconds=0.3)
class HugeWeights(Tiny):
    def __init__(self):
        super().__init__()
        for parameter in self.parameters():
            nn.init.normal_(parameter, 0, 1000)


@fault("gradient", "3 of 4", "weights that all start there?", seconds=0.3)
class ZeroWeights(Tiny):
    def __init__(self):
        super().__init__()
        for parameter in self.parameters():
            nn.init.zeros_(parameter)


@fault("builds", "self.train = ... hides the method train()")
class HidesAMethod(Tiny):
    def __init__(self):
        super().__init__()
        self.train = True


@fault("eval", "eval() does not reach conv, fc, drop", "super().train(mode)")
class OverridesTrain(Tiny):
    def __init__(self):
        super().__init__()
        self.drop = nn.Dropout(0.5)

    def train(self, mode=True):
        self.training = mode
        return self

    def forward(self, x):
        return self.fc(self.drop(self.features(x)))


@fault("gradient", "other.weight, other.bias (2 of 6) used", "thrown away")
class ThrownAway(Tiny):
    def __init__(self):
        super().__init__()
        self.other = nn.Conv2d(1, 12, 3, padding=1)

    def forward(self, x):
        y = self.other(x)
        y = self.features(x)
        return self.fc(y)


@fault("shapes", "over the wrong axis")
class SoftmaxOverImages(Tiny):
    def forward(self, x):
        return super().forward(x).softmax(0)


@fault("shapes", "All images have become one row", "flatten(1)")
class FlattensTheBatch(Tiny):
    def forward(self, x):
        return self.fc(F.max_pool2d(self.conv(x), 4).flatten())


@fault("export", "decides by values", "`if x.mean() > 0.5:`", "torch.where", export=True)
class DecidesByValue(Tiny):
    def forward(self, x):
        if x.mean() > 0.5:
            x = 1 - x
        return super().forward(x)


@fault("export", "fixed number of images only", export=True)
class LoopsOverImages(Tiny):
    def forward(self, x):
        return torch.cat([Tiny.forward(self, image[None]) for image in x])


@fault("export", "leaves PyTorch", "numpy", export=True)
class ThroughNumpy(Tiny):
    def forward(self, x):
        x = torch.from_numpy(np.clip(x.numpy(), 0, 1))
        return super().forward(x)


@pytest.mark.parametrize("name", FAULTS)
def test_a_faulty_network_is_told_its_fault(name):
    cls, check, parts, options = FAULTS[name]
    report = check_model(cls, **{"export": False, "seconds": 0, **options})
    assert not report.ok
    assert report[check].status == "failed", report
    for part in parts:
        assert part in report[check].sentence, f"{part!r} is not in: {report[check].sentence}"
    assert all(len(line) <= WIDTH for line in repr(report).splitlines())


def test_enough_faults_and_each_check_can_fail():
    assert len(FAULTS) >= 20
    assert {check for _, check, _, _ in FAULTS.values()} >= {
        "builds", "shapes", "parameters", "gradient", "one batch", "eval", "batch", "export"
    }  # fmt: skip


# Right networks, written in other ways.
def sequential():
    return nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.MaxPool2d(4), nn.Dropout2d(0.2),
        nn.Flatten(), nn.Dropout(0.5), nn.Linear(8 * 11 * 11, 7),
    )  # fmt: skip


class ByHand(nn.Module):
    """Weights as bare parameters, functions in place of layers, functional dropout."""

    def __init__(self, width=12):
        super().__init__()
        self.kernel = nn.Parameter(torch.randn(width, 1, 3, 3) * 0.3)
        self.weights = nn.ParameterList([torch.randn(7, width * 144) * 0.02, torch.zeros(7)])

    def forward(self, x):
        x = F.max_pool2d(F.gelu(F.conv2d(x, self.kernel, padding=1)), 4).flatten(1)
        x = F.dropout(x, 0.5, self.training)
        return x @ self.weights[0].T + self.weights[1]


class Residual(nn.Module):
    """Blocks whose last scale starts at zero, in a ModuleList; a last layer that starts at zero."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 3, stride=2, padding=1)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
                          nn.Conv2d(8, 8, 3, padding=1, bias=True), nn.BatchNorm2d(8))
            for _ in range(2)
        )  # fmt: skip
        self.scale = nn.Parameter(torch.zeros(1))
        for block in self.blocks:
            nn.init.zeros_(block[-1].weight)
        self.fc = nn.Linear(8 * 36, 7)
        nn.init.zeros_(self.fc.weight)

    def forward(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = F.relu(x + (1 + self.scale) * block(x))
        return self.fc(F.adaptive_avg_pool2d(x, 6).flatten(start_dim=1))


class FrozenStem(Tiny):
    def __init__(self):
        super().__init__()
        self.conv.requires_grad_(False)

    def forward(self, x):
        with torch.no_grad():
            x = self.features(x)
        return self.fc(x)


class Lazy(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.LazyConv2d(8, 3), nn.LazyBatchNorm2d(), nn.SiLU(), nn.AvgPool2d(4), nn.Flatten(),
            nn.LazyLinear(7),
        )  # fmt: skip

    def forward(self, images):
        return self.layers(images)


class Tied(nn.Module):
    """One convolution used three times, group norm, weight norm, and a positional scale kept as a buffer."""

    def __init__(self):
        super().__init__()
        self.stem = nn.utils.parametrizations.weight_norm(nn.Conv2d(1, 8, 5, stride=2, padding=2))
        self.conv = nn.Conv2d(8, 8, 3, padding=1, groups=2)
        self.again = self.conv
        self.norm = nn.GroupNorm(4, 8)
        self.register_buffer("ramp", torch.linspace(0.5, 1.5, 24))
        self.helpers = [nn.ReLU(), self.conv]  # registered elsewhere, or without anything to register
        self.head = nn.Linear(8 * 16, 7)

    def forward(self, x):
        x = self.stem(x) * self.ramp
        for conv in (self.conv, self.again, self.helpers[1]):
            x = self.helpers[0](self.norm(conv(x)))
        return self.head(F.adaptive_avg_pool2d(x, 4).reshape(x.shape[0], -1))


class Attention(nn.Module):
    """Patches, a class token, attention with dropout."""

    def __init__(self, width=16):
        super().__init__()
        self.patches = nn.Conv2d(1, width, 12, stride=12)
        self.token = nn.Parameter(torch.zeros(1, 1, width))
        self.position = nn.Parameter(torch.randn(1, 17, width) * 0.02)
        self.block = nn.TransformerEncoderLayer(width, 4, 32, dropout=0.1, batch_first=True, norm_first=True)
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 7))

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], dim=1) + self.position
        return self.head(self.block(x)[:, 0])


class Gated(nn.Module):
    """Squeeze and excite by a sigmoid inside; stochastic depth; each image standardised."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 16, 3, padding=1)
        self.norm = nn.InstanceNorm2d(16, affine=True)
        self.gate = nn.Linear(16, 16)
        self.extra = nn.Conv2d(16, 16, 3, padding=1)
        self.fc = nn.Linear(16 * 64, 7)

    def forward(self, x):
        x = (x - x.mean((1, 2, 3), keepdim=True)) / x.std((1, 2, 3), keepdim=True)
        x = F.avg_pool2d(F.leaky_relu(self.norm(self.conv(x))), 6)
        x = x * torch.sigmoid(self.gate(x.mean(dim=(-2, -1))))[..., None, None]
        if not self.training or torch.rand(()) < 0.8:
            x = x + self.extra(x)
        return self.fc(x.flatten(1))


class LogProbabilities(Tiny):
    def forward(self, x):
        return F.log_softmax(super().forward(x), dim=1)  # cross-entropy gives the same for these


class KeepsActivations(Tiny):
    """Keeps its last features, as Grad-CAM does, and logs a number that needs no gradient."""

    def forward(self, x):
        print("features", x.shape)
        self.kept = self.features(x)
        self.average = self.kept.detach().mean()
        return self.fc(self.kept)


class Rows(nn.Module):
    """Reads the image row by row."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(48, 24, num_layers=2, dropout=0.3, batch_first=True)
        self.fc = nn.Linear(24, 7)

    def forward(self, x):
        return self.fc(self.lstm(x.squeeze(1))[0][:, -1])


class SmallAndAveraged(nn.Sequential):
    """Two narrow convolutions without a norm, averaged over all positions: little to tell images apart by."""

    def __init__(self):
        super().__init__(nn.Conv2d(1, 16, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3), nn.ReLU(),
                         nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 7))  # fmt: skip


def builder():
    return ByHand(width=6)


@pytest.mark.parametrize(
    "network",
    [Tiny, sequential, ByHand, builder, Residual, FrozenStem, Lazy, Tied, Attention, Gated, LogProbabilities,
     KeepsActivations, Rows, SmallAndAveraged, lambda: nn.Sequential(nn.Flatten(), nn.Linear(48 * 48, 7))],
)  # fmt: skip
def test_a_right_network_passes_however_it_is_written(network, capsys):
    report = check_model(network)
    assert report.ok, report
    assert [check.status for check in report.checks] == ["passed"] * 8, report
    assert all(len(line) <= WIDTH for line in repr(report).splitlines())
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["basic_cnn", "small_vgg"])
def test_networks_of_the_course_pass(name):
    report = check_model(create_model(name))
    assert report.ok, report
    assert report.parameters == sum(p.numel() for p in create_model(name).parameters())


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("FERCOURSE_SLOW"), reason="FERCOURSE_SLOW is not set: minutes")
@pytest.mark.parametrize("name", MODELS)
def test_every_network_of_the_course_passes(name):
    assert (report := check_model(create_model(name))).ok, report


@pytest.mark.parametrize("name", ["basic_cnn", "vgg11", "se_resnet50", "resnet50v2", "mobilenet_v3_large"])
def test_macs_agree_with_the_table_of_the_course(name):
    with torch.device("meta"):
        reference = create_model(name).eval()
    expected = count_course_macs(reference, torch.zeros(1, 1, 48, 48))[1]
    setting = Setting(create_model(name), 1, (48, 48), 7, torch.device("cpu"))
    assert count_macs(setting) == expected


def test_macs_of_attention_and_of_functions_are_counted():
    tokens, width = 17, 16
    dense = tokens * (3 * width * width + width * width + 2 * width * 32)  # in, out, two dense layers
    products = 2 * tokens * tokens * width  # queries by keys, weights by values
    expected = 16 * 12 * 12 * width + dense + products + 7 * width
    assert check_model(Attention, export=False, seconds=0).macs == expected
    assert check_model(ByHand, export=False, seconds=0).macs == 48 * 48 * 9 * 12 + 12 * 144 * 7


@pytest.mark.parametrize(
    "nonsense", [None, "resnet18", 7, 3.5, [], {}, object(), torch.zeros(2, 7), int, dict, print,
                 lambda: None, lambda: "net", lambda x: x, nn.Module, nn.Linear, nn.Conv2d(1, 1, 1),
                 ValueError, sys, ...]
)  # fmt: skip
def test_nonsense_is_answered_not_raised(nonsense):
    report = check_model(nonsense, export=False, seconds=0.5)
    assert not report.ok
    assert all(check.sentence for check in report.checks)
    assert "\n" not in report.checks[0].sentence


def test_the_student_s_network_and_random_numbers_are_as_before():
    torch.manual_seed(5)
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4 * 46 * 46, 7))
    network(torch.rand(3, 1, 48, 48)).sum().backward()
    network[1].eval()
    before, gradient = copy.deepcopy(network.state_dict()), network[3].weight.grad.clone()
    modes = [module.training for module in network.modules()]
    random.seed(1), np.random.seed(2)  # noqa: NPY002
    expected = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()  # noqa: NPY002
    with torch.no_grad():
        assert check_model(network, export=False).ok
        assert not torch.is_grad_enabled()
    assert torch.equal(expected[0], torch.get_rng_state())
    assert expected[1] == random.getstate()
    assert np.array_equal(expected[2], np.random.get_state()[1])  # noqa: NPY002
    assert [module.training for module in network.modules()] == modes
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert torch.equal(network[3].weight.grad, gradient)


def test_a_network_that_has_run_can_be_checked_and_one_that_cannot_be_copied_says_so():
    used = KeepsActivations()
    used(torch.rand(2, 1, 48, 48))
    assert check_model(used, export=False, seconds=1).ok
    stubborn = Tiny()
    stubborn.lock = sys.stdout
    report = check_model(stubborn)
    assert "cannot be copied" in report["builds"].sentence
    assert "pass the class" in report["builds"].sentence


def test_frozen_weights_are_said_not_blamed():
    report = check_model(FrozenStem, export=False)
    assert report.ok
    assert report["parameters"].sentence == "12,223, 120 of them frozen"
    assert "2 frozen" in report["gradient"].sentence


def test_dropout_does_not_keep_a_network_from_learning_by_heart():
    heavy = nn.Sequential(nn.Flatten(), nn.Dropout(0.97), nn.Linear(48 * 48, 64), nn.ReLU(), nn.Dropout(0.97),
                          nn.Linear(64, 7))  # fmt: skip
    report = check_model(heavy, export=False)
    assert report.ok, report
    assert "dropout switched off" in report["one batch"].sentence


def test_other_shapes_and_what_is_left_out():
    colour = nn.Sequential(nn.Conv2d(3, 4, 5, stride=4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 81, 3))
    report = check_model(colour, in_channels=3, image_size=40, num_classes=3, export=False, seconds=0)
    assert report.ok
    assert report["shapes"].sentence == "images (B, 3, 40, 40) become logits (B, 3)"
    assert report["export"].status == report["one batch"].status == "skipped"
    assert report.macs == 3 * 25 * 4 * 81 + 4 * 81 * 3
    table = report.shapes().splitlines()
    assert len(table) == 5
    assert "4 x 9 x 9" in table[1]


@pytest.mark.parametrize(
    "options", [{"in_channels": 0}, {"in_channels": "1"}, {"image_size": 48.0}, {"num_classes": 1},
                {"seconds": -1}, {"seconds": "long"}, {"seconds": float("nan")}]
)  # fmt: skip
def test_wrong_options_are_the_caller_s_mistake(options):
    with pytest.raises(FercourseError, match=next(iter(options))):
        check_model(Tiny, **options)


def test_the_report_as_a_notebook_shows_it():
    text = repr(check_model(SoftmaxAtTheEnd, export=False, seconds=0)).splitlines()
    assert text[0] == "SoftmaxAtTheEnd: 1 to mend"
    assert text[1].startswith("✘ shapes: softmax inside the network")
    assert "○ export: not tried, because export=False" in text
    assert repr(check_model(Tiny, export=False)) == repr(check_model(Tiny, export=False))


def test_importing_the_package_and_its_checkers_loads_no_torch():
    code = "import sys, fercourse, fercourse.check; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
