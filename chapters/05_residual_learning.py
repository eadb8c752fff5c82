# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Residual learning
#
# > **By the end you can** say what goes wrong when plain networks grow deeper, build the blocks of ResNet18, 34 and 50
# > and the basic block of version 2, put a ResNet together, and tell what paper 1's sentence on depth would need to be proved.
# >
# > **You need** chapter 3: convolution, batch norm, the training step; from chapter 4, multiply-accumulates and the pooled
# > head. A GPU for the full trainings only.
# >
# > **Time** 60 minutes to read and run, 95 more for the six exercises.
#
# In 2014 the best networks for pictures had about twenty layers. More should have been better: a deeper network can do
# whatever a shallower one does, if its further layers just pass on what they get. But deeper networks were *worse*, on the
# very images they were trained on. A small change mended it, and a year later the best had 152 layers
# ([He et al., 2016](https://arxiv.org/abs/1512.03385)). Nine of paper 1's thirteen networks, its ResNets, SE-ResNets and
# MobileNets, rest on that change, and so does paper 2's large one.

# %%
# Run this cell first. BUDGET may be "smoke", "quick", "full" or "auto".
BUDGET = "auto"

import importlib.util
import os
import subprocess
import sys

COURSE = "git+https://github.com/fercourse/fercourse"
IN_COLAB = "COLAB_RELEASE_TAG" in os.environ
if IN_COLAB and importlib.util.find_spec("fercourse") is None:
    pip = [sys.executable, "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, "--no-deps", COURSE], check=True)
    importlib.invalidate_caches()

from fercourse import course

session = course.start(BUDGET)

# %%
import json

import matplotlib.pyplot as plt
import pandas as pd
import torch
from torch import nn
from torch.nn import functional as F

from fercourse import plots, results
from fercourse.check import ch05
from fercourse.course import explore
from fercourse.data.synthetic import synthetic_faces
from fercourse.layers import ConvNormAct, pooled_head
from fercourse.models import count_macs, create_model, model_table
from fercourse.records import results_folder

plots.use_style()

# %% [markdown]
# ## Deeper and worse
#
# *10 minutes*
#
# Here are two networks of the same depth and with the same weights, but for one thing: in the second, each pair of
# convolutions *adds* what it computes to its input, instead of replacing it. Both are narrow, so that a laptop can
# train them.


# %%
class Deep(nn.Module):
    """Pairs of convolutions on small pictures, with or without shortcuts."""

    def __init__(self, pairs, shortcut, width=8):
        super().__init__()
        self.stem = ConvNormAct(1, width)
        self.pairs = nn.ModuleList(
            nn.Sequential(
                ConvNormAct(width, width),
                ConvNormAct(width, width, act=None),
            )
            for _ in range(pairs)
        )
        self.head = pooled_head(width, 7)
        self.shortcut = shortcut

    def forward(self, x):
        x = self.stem(x)
        for pair in self.pairs:
            x = F.relu(pair(x) + x if self.shortcut else pair(x))
        return self.head(x)


# %% [markdown]
# Sixty-four drawn faces, made small, to be learned by heart:

# %%
few = synthetic_faces(sizes=(64, 0, 0)).train
images = torch.from_numpy(few.images).unsqueeze(1).float()
images = F.avg_pool2d(images / 255 - 0.5, 4) / 0.25  # 12 x 12 pixels
labels = torch.from_numpy(few.labels)


# %%
def memorise(pairs, shortcut, steps=30):
    """Train on the 64 faces; return the network and its accuracy."""
    torch.manual_seed(0)
    model = Deep(pairs, shortcut)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(steps):
        logits = model(images)
        loss = F.cross_entropy(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model, (logits.argmax(1) == labels).float().mean().item()


# %% [markdown]
# > **Predict.** With 2 pairs, then with 16: which of the four networks learns the 64 faces best in thirty steps, and which
# > worst? This is accuracy on the *training* images; overfitting would show as a high one.

# %% tags=["nbval-ignore-output"]
learned, trained = {}, {}
for pairs in (2, 16):
    for residual in (False, True):
        name = f"{pairs} pairs, {'residual' if residual else 'plain'}"
        trained[name], learned[name] = memorise(pairs, residual)
        print(f"{name:20} {learned[name]:.0%}")

# %%
assert learned["16 pairs, residual"] > learned["16 pairs, plain"] + 0.1
assert learned["16 pairs, residual"] > learned["2 pairs, residual"]
print("Deep and plain is far behind deep and residual.")

# %% [markdown]
# With shortcuts, more layers help; without, they do not, although the plain network has exactly as many weights and
# could do all that the shallow one does. Here the deep plain network is no better than the shallow one; trained for
# longer, on photographs, He et al. (2016) found deeper ones *worse*, on their own training images. This is the
# **degradation problem**. It is not overfitting, and it is not vanishing gradients in the simple sense, which batch
# norm prevents: the optimiser does not find its way.
#
# The same with more faces and more time, from the project's record of the drawn faces (6,000 of them, six epochs, two
# seeds each, 33 layers):

# %%
drawn = json.loads((results_folder() / "drawn-faces.json").read_text())
for kind in ("plain", "residual"):
    for run in drawn["depth"][kind]:
        print(
            f"{kind:9} train {run['train_accuracy']:.0%}, "
            f"test {run['test_accuracy']:.0%} of drawn faces"
        )

# %% [markdown]
# ## What a shortcut does to the gradient
#
# *10 minutes*
#
# A training step trusts the gradient: it says which way is down *here*, and the step assumes that a little further on it
# is still about the same. Let us test that. Walk in a straight line from one face to another, and look at how the gradient
# of a logit changes on the way, in networks that have not been trained.


# %%
def gradient_along(model, points=200):
    """The derivative of a logit on the way from face 0 to face 1."""
    model.train()
    model(images)  # batch norm sees the faces
    model.eval()
    t = torch.linspace(0, 1, points, requires_grad=True)
    way = torch.lerp(images[:1], images[1:2], t[:, None, None, None])
    return torch.autograd.grad(model(way)[:, 0].sum(), t)[0]


# %%
def draw_walk(ax, pairs, shortcut, seed=0):
    """Draw the derivative on the way, in units of its own spread."""
    torch.manual_seed(seed)
    model = Deep(pairs, shortcut)
    for norm in [
        m for m in model.modules() if isinstance(m, nn.BatchNorm2d)
    ]:
        norm.momentum = 1.0  # take the statistics of these faces at once
    slope = gradient_along(model)
    ax.plot(torch.linspace(0, 1, len(slope)), slope / slope.std())
    kind = "residual" if shortcut else "plain"
    ax.set_title(f"{kind}, {2 * pairs + 1} convolutions")


# %% mystnb={"image": {"alt": "Four curves of a logit's derivative along the way between two faces. With five convolutions, plain or residual, it drifts with a little jitter; in the plain network of 49 it jumps wildly between neighbouring points, like noise; in the residual network of 49 it drifts, with more jitter than in the shallow ones."}}
figure, axes = plt.subplots(
    2, 2, figsize=(7.4, 4.2), sharex=True, layout="constrained"
)
for row, residual in zip(axes, (False, True), strict=True):
    for ax, pairs in zip(row, (2, 24), strict=True):
        draw_walk(ax, pairs, residual)
figure.supxlabel("way from one face to the other")
figure.supylabel("derivative of a logit")
plt.show()

# %% [markdown]
# In the deep plain network the derivative at one point says next to nothing about the derivative a hair's breadth away. It
# has become noise: the gradients are **shattered** ([Balduzzi et al., 2017](https://arxiv.org/abs/1702.08591)). With
# shortcuts the deep network keeps much of the calm of a shallow one, because its output is the input plus a sum of
# corrections, each of few layers.
#
# In a running notebook, change depth and seed:


# %%
def walk(pairs=24, shortcut=True, seed=0):
    """One curve."""
    draw_walk(plt.subplots(figsize=(6, 2.4))[1], pairs, shortcut, seed)
    plt.show()


# %%
explore(walk, pairs=(1, 40), shortcut=[True, False], seed=(0, 9))

# %% [markdown]
# ## The block
#
# *8 minutes*
#
# The basic block of ResNet18 and ResNet34 has two 3 x 3 convolutions, the **residual branch**. Its output is added to the
# input, which comes by the **shortcut**, and then goes through a ReLU. Where the block halves the picture or changes the
# number of channels, the input no longer fits, and a 1 x 1 convolution on the shortcut brings it into shape.


# %% tags=["inline"]
class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    expansion = 1

    def __init__(self, in_channels, width, stride=1):
        super().__init__()
        self.residual = nn.Sequential(
            ConvNormAct(in_channels, width, stride=stride),
            ConvNormAct(width, width, act=None),
        )
        self.shortcut = shortcut(in_channels, width, stride)

    def forward(self, x):
        return F.relu(self.residual(x) + self.shortcut(x))


# %% tags=["inline"]
def shortcut(in_channels, out_channels, stride):
    """The input itself, or a 1x1 convolution where it does not fit."""
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return ConvNormAct(
        in_channels, out_channels, kernel_size=1, stride=stride, act=None
    )


# %% [markdown]
# > **Predict.** A block from 64 to 128 channels with stride 2 gets a picture of 48 x 48. What comes out? And what does a
# > block compute whose residual branch is all zeros, for an input that has been through a ReLU?

# %%
x = torch.rand(1, 64, 48, 48)
print(tuple(BasicBlock(64, 128, stride=2)(x).shape))

# %%
idle = BasicBlock(64, 64)
nn.init.zeros_(idle.residual[1].norm.weight)  # the branch gives zero
print("passes its input on:", torch.equal(idle(x), x))

# %% [markdown]
# That is the point. To do nothing, a plain pair of convolutions must *learn* to copy its input, through two layers and
# a ReLU. A residual block has only to bring its branch to zero, and what it learns is the change.
#
# What if we take a block out of the trained networks from above?


# %%
@torch.inference_mode()
def without_pair(model, left_out):
    """Accuracy on the 64 faces with one pair of layers left out."""
    x = model.stem(images)
    for number, pair in enumerate(model.pairs):
        if number != left_out:
            x = F.relu(pair(x) + x if model.shortcut else pair(x))
    return (model.head(x).argmax(1) == labels).float().mean().item()


# %% tags=["nbval-ignore-output"]
for name in ("16 pairs, plain", "16 pairs, residual"):
    model = trained[name].train()  # the batch norm of training
    left = [without_pair(model, number) for number in range(16)]
    print(f"{name:20} whole {learned[name]:.0%}", end=", ")
    print(f"without one pair {sum(left) / len(left):.0%} on average")

# %%
assert sum(left) / len(left) > 0.25
print("A residual network loses a pair and goes on working.")

# %% [markdown]
# It loses some accuracy and still knows most faces. That the plain one may lose less says little: it had not much to lose.
#
# ## The network
#
# *8 minutes*
#
# A ResNet is a **stem**, four **stages** of blocks, and a pooled head. Each stage but the first begins with a block that
# halves the picture and doubles the channels. The depth is a list of four numbers: (2, 2, 2, 2) gives ResNet18, since 8
# blocks of two convolutions, the stem and the dense layer make 18 layers with weights; (3, 4, 6, 3) gives ResNet34.


# %% tags=["inline"]
class ResNet(nn.Module):
    """(B, 1, 48, 48) -> logits (B, 7)."""

    def __init__(self, block, depths):
        super().__init__()
        self.stem = nn.Sequential(ConvNormAct(1, 64))
        stages, channels = [], 64
        for number, depth in enumerate(depths):
            width, blocks = 64 * 2**number, []
            for place in range(depth):
                stride = 2 if number > 0 and place == 0 else 1
                blocks.append(block(channels, width, stride))
                channels = width * block.expansion
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.Sequential(*stages)
        self.head = pooled_head(channels, 7)

    def forward(self, x):
        return self.head(self.stages(self.stem(x)))


# %% [markdown]
# Is it the package's? Same weights, same logits:


# %%
def gap_to_package(model, name):
    """Greatest difference of the logits, with the same weights."""
    packaged = create_model(name).eval()
    model.load_state_dict(packaged.state_dict())
    x = torch.rand(2, 1, 48, 48)
    with torch.no_grad():
        return (model.eval()(x) - packaged(x)).abs().max().item()


# %%
gap18 = gap_to_package(ResNet(BasicBlock, (2, 2, 2, 2)), "resnet18")
gap34 = gap_to_package(ResNet(BasicBlock, (3, 4, 6, 3)), "resnet34")
print("the same as the package's:", gap18 < 1e-5, gap34 < 1e-5)

# %% [markdown]
# The **stem** is where paper 1 departs from the original. A ResNet for photographs of 224 pixels begins with a 7 x 7
# convolution of stride 2 and a max-pool of stride 2, which would leave 12 x 12 of our 48 x 48 pixels before the first
# block. The paper takes a 3 x 3 convolution that keeps all of them, and pays for it in multiply-accumulates:


# %%
def cost(**options):
    """Millions of multiply-accumulates an image, of a ResNet18."""
    with torch.device("meta"):  # shapes without numbers
        model = create_model("resnet18", **options)
    return count_macs(model, torch.zeros(1, 1, 48, 48))[1] / 1e6


# %%
print(f"stem 3x3, stride 1: {cost():6,.0f} million")
print(f"stem 7x7, max-pool: {cost(stem='7x7'):6,.0f} million")

# %% [markdown]
# ## Fifty layers at the price of thirty-four
#
# *5 minutes*
#
# Going deeper with basic blocks is dear where there are many channels. The **bottleneck** block of ResNet50 works on fewer:
# a 1 x 1 convolution narrows, the 3 x 3 works, another 1 x 1 widens again to four times the width.


# %% tags=["inline"]
class Bottleneck(nn.Module):
    """1x1 down, 3x3, 1x1 up, and a shortcut."""

    expansion = 4

    def __init__(self, in_channels, width, stride=1):
        super().__init__()
        wide = width * self.expansion
        self.residual = nn.Sequential(
            ConvNormAct(in_channels, width, kernel_size=1),
            ConvNormAct(width, width, stride=stride),
            ConvNormAct(width, wide, kernel_size=1, act=None),
        )
        self.shortcut = shortcut(in_channels, wide, stride)

    def forward(self, x):
        return F.relu(self.residual(x) + self.shortcut(x))


# %%
gap50 = gap_to_package(ResNet(Bottleneck, (3, 4, 6, 3)), "resnet50")
print("the same as the package's:", gap50 < 1e-5)

# %% [markdown]
# > **Predict.** ResNet50 has sixteen layers more than ResNet34. By what factor does it need more multiplications: about
# > 1.1, 1.5 or 2? (`mmacs` are millions of multiply-accumulates for one face; `plain34` is ResNet34 without its
# > shortcuts.)

# %%
sizes = pd.DataFrame(model_table()).set_index("name")
family = ["plain34", "resnet18", "resnet34", "resnet50", "resnet50v2"]
sizes.loc[family, ["params", "paper_params", "mmacs"]].map(
    lambda value: "" if pd.isna(value) else f"{value:,.0f}"
)

# %% [markdown]
# About a tenth more. Time is another matter: in paper 1's table ResNet50 takes twice as long as ResNet34, 5,227 ms
# against 2,574. (The last row is paper 2's network. It has about the same layers, but the stem for large photographs,
# and so a fraction of the cost, on pictures that have shrunk to 12 x 12 pixels before the first block.)
#
# ## Normalise first: version 2
#
# *4 minutes*
#
# In the block above, a ReLU follows the sum: what comes by the shortcut is changed again at every block. In 2016 the
# same authors moved batch norm and ReLU *before* each convolution ([Identity
# mappings](https://arxiv.org/abs/1603.05027)). Then nothing stands on the way from block to block but additions, and
# the gradient passes back the same way, unchanged; only where shapes change, at the beginning of a stage, is there a
# convolution. Paper 2's ResNet50**V2** is built so, of bottlenecks; exercise 4 lets you write the basic block of
# version 2.
#
# ## Training them
#
# *5 minutes*
#
# One cell a network. In *smoke* each takes a few images once, to show that it runs; in *quick* each takes minutes on a
# GPU; *full* is the papers' 50 epochs. First the two plain networks, the controls: paper 1 has none, and without them a
# comparison of ResNet with VGG cannot tell what the shortcuts do.

# %% tags=["nbval-ignore-output"]
network, history = session.train("plain18")
history.round(3)

# %%
assert history["train_loss"].between(0, 5).all()
print("plain18 trains.")

# %% tags=["nbval-ignore-output"]
network, history = session.train("plain34")
history.round(3)

# %%
assert history["train_loss"].between(0, 5).all()
print("plain34 trains.")

# %% tags=["nbval-ignore-output"]
network, history = session.train("resnet18")
history.round(3)

# %%
assert history["train_loss"].between(0, 5).all()
print("resnet18 trains.")

# %% tags=["nbval-ignore-output"]
network, history = session.train("resnet34")
history.round(3)

# %%
assert history["train_loss"].between(0, 5).all()
print("resnet34 trains.")

# %% tags=["nbval-ignore-output"]
network, history = session.train("resnet50")
history.round(3)

# %%
assert history["train_loss"].between(0, 5).all()
print("resnet50 trains.")

# %% tags=["nbval-ignore-output"]
network, history = session.train("resnet50v2")
history.round(3)

# %%
assert history["train_loss"].between(0, 5).all()
print("resnet50v2 trains.")

# %% [markdown]
# And this is what those of paper 1's recipe reach on FER-2013, as far as it has been recorded (ResNet50V2 is in chapter
# 9):

# %%
networks = ["plain18", "resnet18", "plain34", "resnet34", "resnet50"]
results.results_table(networks, "paper1")

# %% mystnb={"image": {"alt": "Recorded training loss of plain and residual networks of 18 and 34 layers on FER-2013, one curve a network; where nothing is recorded yet, a frame that says pending."}}
recorded = [
    record
    for record in results.reported(networks[:4], "paper1")
    if record.seed == 0
]
if recorded:
    curves = {results.label(r): r.history["train_loss"] for r in recorded}
    plots.history(curves, label="training loss")
else:
    plots.pending("plain and residual networks of 18 and 34 layers, paper1")
plt.show()

# %% [markdown]
# ## What paper 1 says, and what it shows
#
# *5 minutes*
#
# > "Residual learning enables models to go deeper without degradation, since the test accuracies of ResNets are higher
# > than those of VGGNets."
#
# Its numbers: ResNet18 reaches 70.10% on test, ResNet34 69.46%, ResNet50 69.55%; VGG11 to VGG19 lie between 68.54% and
# 69.49%. Ask of this sentence what you would ask of any:
#
# - **Is the comparison the right one?** ResNets and VGGs differ in more than shortcuts: in width, in batch norm perhaps, in
#   where they pool. The control is the same network without shortcuts, `plain18` and `plain34`.
# - **Does the claim follow?** Not even its premise holds throughout: ResNet34 (69.46%) is below VGG16 (69.49%). Among
#   the paper's ResNets the *shallowest* is the best. VGG19 is better than VGG11. If anything, it is the plain family
#   that gains from depth here, on test.
# - **Is it more than luck?** One standard error on 3,589 images is about 0.76 points at 70%, and each network seems to have
#   been trained once.
#
# None of this says that shortcuts are useless; above you saw that they are not. It says that this table does not show it,
# and that networks of 20 layers may not be deep enough to need them when batch norm is there. The ledger will judge
# the sentence by five seeds of each.

# %%
n = 3589
for name, accuracy in {"ResNet18": 0.7010, "VGG16": 0.6949}.items():
    error = (accuracy * (1 - accuracy) / n) ** 0.5
    print(
        f"{name}: {accuracy:.2%}, standard error {100 * error:.2f} points"
    )

# %% [markdown]
# ## Quiz
#
# *5 minutes*
#
# **1. A deep plain network has a higher training loss than a shallow one. What is this?**
#
# <details><summary>Overfitting</summary>
#
# Overfitting shows as a *low* training loss beside a high one on val. Here the training itself fails.
#
# </details>
#
# <details><summary>Degradation: the optimiser does not find weights that exist</summary>
#
# Yes. The deeper network could copy the shallower one and let the rest pass through; it does not find that out.
#
# </details>
#
# <details><summary>Too little data</summary>
#
# With little data the training loss is easy to bring down. It is val that suffers.
#
# </details>
#
# **2. Why is the ReLU after the sum and not before it?**
#
# <details><summary>A branch that ends in a ReLU could only add, never take away</summary>
#
# Yes: after a ReLU everything is positive, so that from block to block the values could only grow.
#
# </details>
#
# <details><summary>It saves a multiplication</summary>
#
# A ReLU multiplies nothing, and its place does not change its cost.
#
# </details>
#
# <details><summary>Batch norm requires it</summary>
#
# Batch norm works in either place. Version 2 has no ReLU after the sum at all.
#
# </details>
#
# **3. What is on the shortcut of a block with stride 2?**
#
# <details><summary>Nothing: the input is added as it is</summary>
#
# It would not fit: the branch gives half the height and width, and usually twice the channels.
#
# </details>
#
# <details><summary>A 1 x 1 convolution of stride 2, and batch norm</summary>
#
# Yes. A shortcut has weights only where shapes differ: here, and in ResNet50's very first block, which keeps the size
# and makes 256 channels of 64.
#
# </details>
#
# <details><summary>A 3 x 3 convolution and a ReLU</summary>
#
# That would be another branch. The shortcut should change the input as little as it can.
#
# </details>
#
# **4. ResNet18 has 70.10% and ResNet34 69.46% on the same 3,589 images, one training each. Which statement is safe?**
#
# <details><summary>ResNet18 is better than ResNet34</summary>
#
# The difference is smaller than one standard error of either, and another seed may turn it round.
#
# </details>
#
# <details><summary>Depth does harm on FER-2013</summary>
#
# From one training each, about this difference, nothing follows about depth.
#
# </details>
#
# <details><summary>These two trainings give no reason to prefer the deeper network, which costs twice as much</summary>
#
# Yes. That is a statement about evidence and cost, and both are on the table.
#
# </details>

# %% [markdown]
# ## Exercises
#
# *95 minutes for all six*
#
# Names, order of definitions and helper classes are yours. The checkers give your block the same weights as theirs and
# compare what comes out, and the gradients.
#
# ### Exercise 1. Add what you were given
#
# *Easy, 10 minutes. Changes a module.*
#
# Write the block for equal shapes: 3 x 3 convolution, batch norm, ReLU, 3 x 3 convolution, batch norm, add the input, ReLU.


# %% exercise="ResidualBlock"
class ResidualBlock(nn.Module):
    """(B, channels, H, W) -> the same shape."""

    def __init__(self, channels):
        super().__init__()
        # solution
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)
        # end

    def forward(self, x):
        # solution
        out = F.relu(self.norm1(self.conv1(x)))
        out = self.norm2(self.conv2(out))
        return F.relu(out + x)
        # end


# %% [markdown] hint="ResidualBlock"
# Keep the input under its name, and give what you compute another one; `x` is needed at the end. Beware of
# `nn.ReLU(inplace=True)` on `x` itself, which changes it.

# %% [markdown]
# ### Exercise 2. When the shapes differ
#
# *Medium, 15 minutes. Changes a module.*
#
# Now the block for every place in the network: from `in_channels` to `out_channels`, with `stride` in its first
# convolution. Where the input fits, the shortcut is the input itself; where it does not, a 1 x 1 convolution with that
# stride and batch norm.


# %% exercise="DownBlock"
class DownBlock(nn.Module):
    """(B, in_channels, H, W) -> (B, out_channels, H/stride, W/stride)."""

    def __init__(self, in_channels, out_channels, stride):
        super().__init__()
        # solution
        self.residual = nn.Sequential(
            ConvNormAct(in_channels, out_channels, stride=stride),
            ConvNormAct(out_channels, out_channels, act=None),
        )
        self.shortcut = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(
                    in_channels, out_channels, 1, stride=stride, bias=False
                ),
                nn.BatchNorm2d(out_channels),
            )
        # end

    def forward(self, x):
        # solution
        return F.relu(self.residual(x) + self.shortcut(x))
        # end


# %% [markdown] hint="DownBlock"
# The input fits if the stride is 1 *and* the channels agree. `nn.Identity()` is a module that returns its input. The
# shortcut has no ReLU of its own.

# %% [markdown]
# ### Exercise 3. The bottleneck
#
# *Medium, 15 minutes. Changes a module.*
#
# Write the block of ResNet50: 1 x 1 to `width` channels, 3 x 3 with the `stride`, 1 x 1 to `4 * width`, each followed by
# batch norm, with a ReLU after the first two; then the shortcut, as in exercise 2, and a ReLU.


# %% exercise="BottleneckBlock"
class BottleneckBlock(nn.Module):
    """(B, in_channels, H, W) -> (B, 4 * width, H/stride, W/stride)."""

    def __init__(self, in_channels, width, stride):
        super().__init__()
        # solution
        wide = 4 * width
        self.residual = nn.Sequential(
            ConvNormAct(in_channels, width, kernel_size=1),
            ConvNormAct(width, width, stride=stride),
            ConvNormAct(width, wide, kernel_size=1, act=None),
        )
        self.shortcut = nn.Identity()
        if stride != 1 or in_channels != wide:
            self.shortcut = ConvNormAct(
                in_channels, wide, kernel_size=1, stride=stride, act=None
            )
        # end

    def forward(self, x):
        # solution
        return F.relu(self.residual(x) + self.shortcut(x))
        # end


# %% [markdown] hint="BottleneckBlock"
# A 1 x 1 convolution needs no padding, the 3 x 3 needs 1. Compare `in_channels` with `4 * width`, not with `width`, to see
# whether the input fits.

# %% [markdown]
# ### Exercise 4. Normalise first
#
# *Medium, 15 minutes. Changes a module.*
#
# Write the block of version 2 for equal shapes: batch norm, ReLU, 3 x 3 convolution, and the same once more; then add the
# input, as it came, and nothing else.


# %% exercise="PreActBlock"
class PreActBlock(nn.Module):
    """(B, channels, H, W) -> the same shape."""

    def __init__(self, channels):
        super().__init__()
        # solution
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        # end

    def forward(self, x):
        # solution
        out = self.conv1(F.relu(self.norm1(x)))
        out = self.conv2(F.relu(self.norm2(out)))
        return x + out
        # end


# %% [markdown] hint="PreActBlock"
# No ReLU after the sum, and none on `x` before it is added. The first batch norm is for `channels`, like the second.

# %% [markdown]
# ### Exercise 5. Where does the gradient arrive?
#
# *Medium, 15 minutes. Changes the training step.*
#
# Half a training step tells a lot: compute the loss of a batch, go backward, and look, instead of stepping. Return for
# every parameter of the model the norm of its gradient of the mean cross-entropy, by the parameter's name. Gradients
# that were there before must not count, and the weights must stay as they are.


# %% exercise="gradient_norms"
def gradient_norms(model, images, labels):
    """Return {parameter name: norm of its gradient, a float}."""
    # solution
    model.zero_grad()
    loss = F.cross_entropy(model(images), labels)
    loss.backward()
    return {
        name: parameter.grad.norm().item()
        for name, parameter in model.named_parameters()
    }
    # end


# %% [markdown] hint="gradient_norms"
# `model.named_parameters()` gives names and parameters, and after `backward` each has its `.grad`, a tensor with a
# `.norm()`.

# %% [markdown]
# ### Exercise 6. Leave out blocks at random
#
# *Hard, 25 minutes. Changes a module.*
#
# If a residual network survives the loss of a block, one can train it that way
# ([Huang et al., 2016](https://arxiv.org/abs/1603.09382)). Write a module around a residual branch. In training it draws one
# lot for the whole batch: with probability `survive` it returns `x + branch(x)`, else `x`. In evaluation it returns
# `x + survive * branch(x)`, which is what training gave on average.


# %% exercise="StochasticDepth"
class StochasticDepth(nn.Module):
    """A residual branch that is left out at random in training."""

    def __init__(self, branch, survive):
        super().__init__()
        # solution
        self.branch = branch
        self.survive = survive
        # end

    def forward(self, x):
        # solution
        if not self.training:
            return x + self.survive * self.branch(x)
        if torch.rand(()) < self.survive:
            return x + self.branch(x)
        return x
        # end


# %% [markdown] hint="StochasticDepth"
# `self.training` tells the mode, and `torch.rand(())` draws one number between 0 and 1. A branch that is left out need not
# be computed.

# %% [markdown]
# ## What to take along
#
# - Deeper plain networks can be worse on their own training images. That is degradation, not overfitting.
# - A residual block adds to its input. To do nothing, it needs a branch of zeros; gradients stay smoother because the
#   way back is a sum.
# - Basic blocks make ResNet18 and 34, bottlenecks ResNet50; version 2 normalises first and leaves the shortcut bare.
# - For 48 x 48 pixels the stem decides the cost more than the depth does.
# - A claim about shortcuts needs the control without them, several seeds, and a test. Paper 1's table has none of the
#   three.
#
# ## Further reading
#
# - He et al., [Deep residual learning for image recognition](https://arxiv.org/abs/1512.03385) (2016) and [Identity
#   mappings in deep residual networks](https://arxiv.org/abs/1603.05027) (2016).
# - Veit, Wilber and Belongie, [Residual networks behave like ensembles of relatively shallow
#   networks](https://arxiv.org/abs/1605.06431) (2016): taking blocks out.
# - Balduzzi et al., [The shattered gradients problem](https://arxiv.org/abs/1702.08591) (2017).
# - Huang et al., [Deep networks with stochastic depth](https://arxiv.org/abs/1603.09382) (2016).
