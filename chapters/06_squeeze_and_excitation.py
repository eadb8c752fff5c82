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
# # Squeeze and excitation
#
# > **By the end you can** build squeeze and excitation by hand and put it into any block, say what it costs and which
# > numbers of a paper give its settings away, find out what gates respond to and whether the network needs them, and judge
# > a gain of about one point.
# >
# > **You need** chapter 5: residual blocks and ResNets. A GPU for the full trainings only.
# >
# > **Time** 70 minutes to read and run, 95 more for the six exercises.
#
# A convolution looks at a few pixels at a time. Whether a dark, curved edge is a brow or the shadow of a fringe may depend
# on the rest of the picture, which that convolution cannot see. Squeeze and excitation, SE for short, gives every layer a
# glance at the whole: it averages each channel, computes from all averages a **gate** between 0 and 1 for every channel, and
# turns the channels down by it. It won the ImageNet contest of 2017 ([Hu et al., 2018](https://arxiv.org/abs/1709.01507)).
# Three of paper 1's networks are ResNets with SE, among them the one with its highest test accuracy, and its two MobileNetV3 have it too.

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
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.nn import functional as F

from fercourse import layers, plots, results
from fercourse.check import ch06
from fercourse.course import explore
from fercourse.data import EMOTIONS
from fercourse.data.synthetic import (
    ACTION_UNITS,
    PARAMETERS,
    draw_faces,
    synthetic_faces,
)
from fercourse.layers import ConvNormAct, pooled_head
from fercourse.models import count_macs, create_model
from fercourse.models.resnet import BasicBlock, ResNet, make_shortcut
from fercourse.papers import TABLE2

plots.use_style()

# %% [markdown]
# ## One number a channel
#
# *8 minutes*
#
# Three steps turn maps $x$ of $C$ channels into gated maps:
#
# 1. **Squeeze.** Average each channel over all pixels: $C$ numbers $z$ that describe the whole picture.
# 2. **Excite.** Two dense layers, narrow in the middle, and a sigmoid: $s = \sigma(W_2\,\mathrm{relu}(W_1 z + b_1) + b_2)$,
#    again $C$ numbers. The middle has $C / r$ values; $r$ is the **reduction**, 16 as published.
# 3. **Scale.** Multiply each channel by its number: $s_c\,x_c$.
#
# A dense layer on $C$ numbers is a 1 x 1 convolution on a map of one pixel. Written so, the axes stay where they are:


# %% tags=["inline"]
class SqueezeExcite(nn.Module):
    """Scale each channel by a gate computed from all of them."""

    def __init__(self, channels, *, squeeze_channels):
        super().__init__()
        self.reduce = nn.Conv2d(channels, squeeze_channels, 1)
        self.expand = nn.Conv2d(squeeze_channels, channels, 1)
        self.gate = nn.Sigmoid()

    def gates(self, x):
        """(B, channels, H, W) -> (B, channels, 1, 1), from 0 to 1."""
        squeezed = x.mean((2, 3), keepdim=True)
        return self.gate(self.expand(F.relu(self.reduce(squeezed))))

    def forward(self, x):
        return x * self.gates(x)


# %% [markdown]
# > **Predict.** Maps of shape (2, 64, 48, 48) go in. What shape have the gates? And what happens to them if all pixels
# > of the maps are shuffled, in every channel alike?

# %%
torch.manual_seed(0)
gated = SqueezeExcite(64, squeeze_channels=4)
maps = torch.rand(2, 64, 48, 48)
print("gates", tuple(gated.gates(maps).shape))
print("output", tuple(gated(maps).shape))

# %%
order = torch.randperm(48 * 48)
shuffled = maps.flatten(2)[:, :, order].reshape(maps.shape)
same = torch.allclose(gated.gates(maps), gated.gates(shuffled), atol=1e-5)
print("the same gates for shuffled pixels:", same)

# %% [markdown]
# The squeeze knows how much of everything there is, and nothing of where it is. A gate cannot say "the left brow"; it can
# say "less of the channel that sees brows, in this picture".
#
# Is it the package's? Same weights, same gates:

# %%
packaged = layers.SqueezeExcite(64, squeeze_channels=4)
packaged.load_state_dict(gated.state_dict())
print(
    "the same as the package's:",
    torch.allclose(packaged(maps), gated(maps)),
)

# %%
from fercourse.layers import SqueezeExcite  # from here on, the package's

# %% [markdown]
# What do gates do before they have learned anything? In a fresh network the biases are 0 and the averages small, so the
# sigmoid gets values near 0:

# %%
torch.manual_seed(0)
fresh = create_model("se_resnet18").eval()
x = torch.rand(8, 1, 48, 48)
start = fresh.stages[0][0]
with torch.no_grad():
    gates = start.se.gates(start.residual(fresh.stem(x)))
print(f"gates of the first block, on average: {gates.mean():.1f}")

# %% [markdown]
# A fresh gate halves its channel. Keep that in mind when a network with SE starts its training differently from one
# without: part of the difference is this factor, and has nothing to do with looking at the whole picture.
#
# ## Where it sits
#
# *8 minutes*
#
# In a residual block the gates close the **branch**, after its last batch norm and before the sum. The shortcut stays free.
# (`**_` takes in the options that the package's `ResNet` passes to each of its blocks and that this one has no use for.)


# %% tags=["inline"]
class SEBasicBlock(nn.Module):
    """Two 3x3 convolutions, gates, and a shortcut."""

    expansion = 1

    def __init__(
        self, in_channels, width, *, stride=1, se_reduction=16, **_
    ):
        super().__init__()
        self.residual = nn.Sequential(
            ConvNormAct(in_channels, width, stride=stride),
            ConvNormAct(width, width, act=None),
        )
        self.se = SqueezeExcite(
            width, squeeze_channels=width // se_reduction
        )
        self.shortcut = make_shortcut(in_channels, width, stride)

    def forward(self, x):
        return F.relu(self.se(self.residual(x)) + self.shortcut(x))


# %% [markdown]
# Nothing else changes. Chapter 5's `ResNet`, with this block instead of the basic one, is SE-ResNet18:

# %%
ours = ResNet(
    block=SEBasicBlock, depths=(2, 2, 2, 2), shortcut=True, se_reduction=16
)
ours.load_state_dict(fresh.state_dict())
with torch.no_grad():
    gap = (ours.eval()(x) - fresh(x)).abs().max().item()
print("the same as the package's:", gap < 1e-5)

# %% [markdown]
# ### One sentence, two readings
#
# Paper 1 writes that SE blocks are placed "after the residual blocks". After the residual *branch*, or after the whole
# block? Hu et al. tried both, and two more. With $F$ for the branch and $g$ for the gating:
#
# | position | the block computes | what is gated |
# | --- | --- | --- |
# | standard | $\mathrm{relu}(g(F(x)) + x)$ | what the branch adds |
# | post | $g(\mathrm{relu}(F(x) + x))$ | everything, the shortcut included |
# | pre | $\mathrm{relu}(F(g(x)) + x)$ | what the branch gets to see |
# | identity | $\mathrm{relu}(F(x) + g(x))$ | the shortcut alone |
#
# The package has the two that the sentence can mean, as the option `se_position`.
#
# > **Predict.** All gates of a block are shut. What does it give in position `standard`, and what in `post`?


# %%
def shut(position):
    """Input and output of a block whose gates are all (nearly) 0."""
    block = BasicBlock(8, 8, se_reduction=4, se_position=position).eval()
    nn.init.constant_(block.se.expand.bias, -100)
    x = torch.rand(1, 8, 6, 6)
    with torch.no_grad():
        return x, block(x)


# %%
x_in, out = shut("standard")
print("standard passes its input on:", torch.allclose(out, x_in))
x_in, out = shut("post")
print("post gives nothing:", torch.allclose(out, torch.zeros_like(out)))

# %% [markdown]
# In `post` the gates stand on the way from the first block to the last, which chapter 5 left free: in SE-ResNet34, sixteen
# gates in a row multiply. Hu et al. found on ImageNet that `post` lost much of the gain, and the three others were about equally good. The
# course takes `standard`, and has `post` in the grid `readings`: both readings of all three networks are to be trained.
#
# Can the paper's own numbers tell us which it was? They hold a count of parameters:

# %%
both = {}
for position in ("standard", "post"):
    with torch.device("meta"):  # shapes without numbers
        model = create_model("se_resnet50", se_position=position)
    both[position] = sum(p.numel() for p in model.parameters())
print(both["standard"] == both["post"], f"{both['post'] / 1e6:.3f} million")

# %% [markdown]
# They cannot. The gates have the same size in both places.
#
# ## What it costs
#
# *8 minutes*
#
# The two dense layers of a block with $C$ channels have $2 C^2 / r$ weights. With $N_s$ blocks in stage $s$, that makes
#
# $$\frac{2}{r} \sum_s N_s C_s^2$$
#
# for the network, and a few biases. The picture's size has no part in it.
#
# > **Predict.** The last stage of ResNet50 has 3 of its 16 blocks. Which share of all SE weights is there: about a fifth, a
# > third, or two thirds?

# %%
blocks, channels = np.array([3, 4, 6, 3]), np.array([256, 512, 1024, 2048])
weights = 2 / 16 * blocks * channels**2
print("share of each stage:", (weights / weights.sum()).round(2))

# %% [markdown]
# The square does it. Now all networks, counted by building them (on the device `meta`, where tensors have shapes and no
# numbers), with reductions from 2 to 32, and what paper 1 prints:


# %%
def size(name, **options):
    """Parameters and multiply-accumulates of a network."""
    with torch.device("meta"):
        model = create_model(name, **options)
    params = sum(p.numel() for p in model.parameters())
    return params, count_macs(model, torch.zeros(1, 1, 48, 48))[1]


# %%
names = ["se_resnet18", "se_resnet34", "se_resnet50"]
rows = {
    f"reduction {r}": [
        f"{size(name, se_reduction=r)[0] / 1e6:.2f}" for name in names
    ]
    for r in (2, 4, 8, 16, 32)
}
rows["paper 1"] = [f"{TABLE2[name].params / 1e6:.1f}" for name in names]
pd.DataFrame(rows, index=names).T  # millions

# %% [markdown]
# Paper 1 prints one decimal. With 34 layers that fits two rows, 16 and 32; with 50 layers only reduction 16 comes near. A
# column of parameters gives away what a text leaves out.
#
# > **Predict.** SE-ResNet50 has about a tenth more parameters than ResNet50. How many more multiplications an image: about a
# > tenth, a hundredth, or a thousandth?


# %%
def more(name):
    """By how much SE makes a network larger, in per cent."""
    plain, gated = size(name), size(f"se_{name}")
    old, new = TABLE2[name], TABLE2[f"se_{name}"]
    return {
        "parameters": 100 * (gated[0] / plain[0] - 1),
        "multiplications": 100 * (gated[1] / plain[1] - 1),
        "time, paper 1": 100 * (new.milliseconds / old.milliseconds - 1),
    }


# %%
pd.DataFrame(
    {name: more(name) for name in ("resnet18", "resnet34", "resnet50")}
).map(lambda value: f"+{value:.2f}%")

# %% [markdown]
# A dense layer works once an image, a convolution once a pixel, so the multiplications are next to none. (Scaling the maps
# multiplies each value once more, which this count, of convolutions and dense layers, leaves out; it would not change the
# picture.) Yet paper 1 measured more *time*, with 50 layers by over a quarter. Averaging reads all maps, scaling reads and writes them again, and
# on a fast device reading and writing is what takes long. Parameters, multiplications and time are three things; chapter 7
# takes them apart.
#
# ## What the gates respond to
#
# *15 minutes*
#
# Let us ask a trained network. Drawn faces are made for that: for each we know the expression, muscle by muscle, the light,
# the pose, even the tone of the background. A thousand easy ones, at 24 x 24 pixels, are enough for a small network:

# %%
easy = synthetic_faces("easy", sizes=(1000, 0, 600))


def small(images):
    """Faces at 24 x 24 pixels, (N, 1, 24, 24), about -2 to 2."""
    x = torch.from_numpy(images).unsqueeze(1).float() / 255
    return F.avg_pool2d((x - 0.5) / 0.25, 2)


images, others = small(easy.train.images), small(easy.test.images)
labels = torch.from_numpy(easy.train.labels)
truth = torch.from_numpy(easy.test.labels)


# %%
class Small(nn.Module):
    """A stem and three gated blocks."""

    def __init__(self, block=SEBasicBlock, widths=(16, 32, 64), **options):
        super().__init__()
        self.stem = ConvNormAct(1, widths[0], stride=2)
        places = zip((widths[0], *widths), widths, (1, 2, 2), strict=False)
        self.blocks = nn.Sequential(
            *(
                block(last, width, stride=stride, **options)
                for last, width, stride in places
            )
        )
        self.head = pooled_head(widths[-1], len(EMOTIONS))

    def forward(self, x):
        return self.head(self.blocks(self.stem(x)))


# %%
def learn(model, epochs, lr=3e-3):
    """Train on the thousand faces; return the network."""
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    for _ in range(epochs):
        model.train()
        for batch in torch.randperm(len(images)).split(40):
            loss = F.cross_entropy(model(images[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model.eval()


@torch.inference_mode()
def accuracy(model):
    """Share of the 600 other faces that the network gets right."""
    return (model(others).argmax(1) == truth).float().mean().item()


# %% [markdown]
# Sixteen channels divided by 16 would leave a middle of one, so the reduction is 4 here.

# %% tags=["nbval-ignore-output"]
torch.manual_seed(0)
network = learn(Small(se_reduction=4), epochs=4)
print(f"{accuracy(network):.0%} of other drawn faces")

# %%
assert accuracy(network) > 0.6
print("It has learned to read drawn faces.")


# %%
@torch.inference_mode()
def gates_of(model, faces):
    """The gates of each block, (faces, channels)."""
    x, found = model.stem(faces), []
    for block in model.blocks:
        found.append(block.se.gates(block.residual(x)).flatten(1).numpy())
        x = block(x)
    return found


# %% [markdown]
# > **Predict.** Average the gates over all angry faces, all happy ones, and so on. In which block will the seven averages
# > differ most: the first or the last? Why?

# %% mystnb={"image": {"alt": "Mean gates of the three blocks in shades of grey, a row for each emotion and a column for each channel; black is shut, white is open. In the first two blocks every column has one grey from top to bottom, near a half. In the last block most fields are nearly white, and dark fields stand out in single rows: gates that are half shut, or more, for one to three emotions and open for the others."}}
figure, axes = plt.subplots(3, 1, figsize=(6.4, 6), layout="constrained")
for number, (ax, gates) in enumerate(
    zip(axes, gates_of(network, others), strict=True), start=1
):
    drawn = ax.imshow(
        [gates[easy.test.labels == k].mean(0) for k in range(7)],
        cmap="gray",
        vmin=0,
        vmax=1,
        aspect="auto",
        interpolation="nearest",
    )
    ax.set_yticks(range(7), EMOTIONS)
    ax.set_title(f"block {number}")
axes[2].set_xlabel("channel")
figure.colorbar(drawn, ax=axes, label="mean gate")
plt.show()

# %% [markdown]
# Hu et al. saw the same on ImageNet, with four classes beside the mean of all thousand: early gates are much alike for
# all classes, later ones differ. (Their very last blocks are alike again, with most gates near 1, and could be left out
# at little cost: keep that for the section after next.) Edges and tones are in every picture, whatever it shows. What
# tells the classes apart is put together only later, and so only late averages differ between them.
#
# ### Asking with known factors
#
# "The gates respond to the emotion" is a claim, and so far rests on a picture. To test it, we fit the gates of 300 faces by a
# straight line in some known factors, and see what share of the gates' variance the fit explains on 300 *other* faces:

# %%
FACTORS = {
    "expression": list(ACTION_UNITS),
    "light and tones": [
        *("gain", "light_x", "light_y", "back_tone", "back_slope"),
        *("skin", "hair", "cloth"),
    ],
    "pose and place": [
        *("yaw", "pitch", "roll"),
        *("scale", "shift_x", "shift_y"),
    ],
    "glasses and beard": ["glasses", "beard"],
}
table = easy.test.truth["parameters"].astype(np.float64)
known = {
    name: table[:, [PARAMETERS.index(one) for one in chosen]]
    for name, chosen in FACTORS.items()
}


# %%
def explained(gates, factors):
    """Share of the gates' variance on new faces that factors explain."""
    factors = (factors - factors.mean(0)) / factors.std(0)
    factors = np.column_stack([np.ones(len(factors)), factors])
    half = len(factors) // 2
    fit = np.linalg.lstsq(factors[:half], gates[:half], rcond=None)[0]
    new = gates[half:]
    left = new - factors[half:] @ fit
    return 1 - (left**2).sum() / ((new - new.mean(0)) ** 2).sum()


# %% [markdown]
# Such a number means nothing by itself. Two controls go with it. **Shuffled**: the same gates with the factors of other faces;
# whatever is explained now is chance. **Untrained**: a fresh network that has seen the faces (for its batch norm), and
# learned nothing; whatever is explained now comes with the architecture.

# %%
torch.manual_seed(1)
untrained = Small(se_reduction=4)
for module in untrained.modules():
    if isinstance(module, nn.BatchNorm2d):
        module.momentum = 1.0  # take the statistics of these faces at once
untrained.train()(images)
untrained.eval()
mixed = np.random.default_rng(0).permutation(len(table))


# %%
def shares(model, order=slice(None)):
    """For each block and kind of factor, the share explained."""
    return pd.DataFrame(
        [
            {
                name: explained(gates, factors[order])
                for name, factors in known.items()
            }
            for gates in gates_of(model, others)
        ]
    )


found = {
    "trained": shares(network),
    "untrained": shares(untrained),
    "trained, shuffled factors": shares(network, mixed),
}

# %% [markdown]
# > **Predict.** Which of the three bars will be long for *light and tones* in the first block? And for *expression* in the
# > last?

# %% mystnb={"image": {"alt": "Share of the gates' variance that known factors explain, three panels for the three blocks, with three bars a factor: trained, untrained, shuffled. In block 1 light and tones explain a good part, in the trained network and in the untrained one. In block 3 the expression explains about half in the trained network and nothing in the untrained one, whose gates still follow the light. Pose, glasses and shuffled factors explain nothing anywhere."}}
figure, axes = plt.subplots(
    3, 1, figsize=(6.4, 7), sharex=True, layout="constrained"
)
marks = dict(zip(found, ("", "////", "...."), strict=True))
for block, ax in enumerate(axes):
    for place, (name, frame) in enumerate(found.items()):
        ax.barh(
            np.arange(len(known)) + 0.26 * (place - 1),
            frame.loc[block].clip(lower=0),
            height=0.24,
            color=plots.PALETTE[place],
            hatch=marks[name],
            edgecolor="white",
            label=name,
        )
    ax.set_yticks(range(len(known)), known)
    ax.invert_yaxis()
    ax.set_title(f"block {block + 1}")
axes[1].legend()
axes[2].set_xlabel("share of the gates' variance explained; no bar: none")
plt.show()

# %%
last = {name: frame["expression"].iloc[-1] for name, frame in found.items()}
first = {name: frame["light and tones"][0] for name, frame in found.items()}
assert last["trained"] > 0.3
assert max(last["untrained"], last["trained, shuffled factors"]) < 0.15
assert first["trained, shuffled factors"] < 0.1 < first["untrained"]
print("Late gates follow the expression; an untrained network's do not.")

# %% [markdown]
# So three things are true of this network, and only one of them is about learning:
#
# - **Early gates follow light and tones.** But so do those of the untrained network. The squeeze averages the picture, and an
#   average *is* mostly light. A correlation that is there before training is no achievement of training.
# - **Late gates follow the expression**, and that is learned: without training there is none of it.
# - **Pose and glasses** explain nothing: not that no gate ever moves with them, but no straight line in these factors tells
#   how.
#
# Without the untrained control we would have told you that early gates "learn to correct for light".
#
# ### Moving one thing at a time
#
# A correlation over many faces can come about in roundabout ways. A drawn face can also be changed in one single respect. Let
# it smile (action unit 12 draws up the corners of the mouth), or let its picture get brighter (`gain`):


# %%
def moved(name, values, **face):
    """Gates of each block while one thing about a face changes."""
    units = {"AU25": 0.3}  # lips a little apart
    if name in ACTION_UNITS:
        units[name] = values
    else:
        face[name] = values
    return gates_of(network, small(draw_faces(units, **face)))


# %% mystnb={"image": {"alt": "Change of the gates of the first and last block as a drawn face smiles more and as its picture gets brighter, one line a channel. In the first block no gate moves by more than a few hundredths. In the last block some gates move by tenths as the smile grows; with brightness they move too, mostly less."}}
figure, axes = plt.subplots(
    2, 2, figsize=(7, 4.6), sharey=True, layout="constrained"
)
steps = np.linspace(0, 1, 11)
ways = {
    "smile (AU12)": ("AU12", steps),
    "gain": ("gain", 0.8 + 0.4 * steps),
}
for column, (title, (name, values)) in enumerate(ways.items()):
    gates = moved(name, values)
    for row, block in enumerate((0, 2)):
        change = gates[block] - gates[block][0]
        axes[row, column].plot(
            values, change, color="#0072B2", linewidth=0.9
        )
        axes[row, column].set_title(f"block {block + 1}: {title}")
figure.supylabel("change of a gate")
plt.show()

# %% [markdown]
# A mouth is a small part of a picture, and a smile hardly moves the averages of the first block; more light moves them a
# little. The last block answers the smile with gates that open and shut by tenths, and the light with less. To check that
# with numbers, take the gate that moves most:


# %%
def reach(name, values, block):
    """How far the gate of a block that moves most moves."""
    return np.ptp(moved(name, values)[block], axis=0).max()


smile, light = ways.values()
assert reach(*smile, 0) < 0.03
assert reach(*light, 0) < 0.1
assert reach(*smile, 2) > max(0.1, reach(*light, 2))
print("Late gates move with the smile, and more than with the light.")

# %% [markdown]
# In a running notebook, move more of the face yourself: the picture, the gates of the last block, and what the network
# says.


# %%
def face_and_gates(smile=0.0, brows=0.0, gain=1.0, yaw=0.0, glasses=0):
    """A drawn face and the gates that it gives."""
    units = {"AU12": smile, "AU6": smile, "AU4": brows}
    face = draw_faces(units, gain=gain, yaw=yaw, glasses=glasses)
    _, (left, right) = plt.subplots(
        1,
        2,
        figsize=(6.4, 2.2),
        width_ratios=(1, 2.6),
        layout="constrained",
    )
    left.imshow(face[0], vmin=0, vmax=255)
    left.set_axis_off()
    right.bar(range(64), gates_of(network, small(face))[2][0])
    right.set_ylim(0, 1)
    right.set_title("gates of block 3")
    with torch.no_grad():
        said = network(small(face)).argmax(1).item()
    left.set_title(EMOTIONS[said])
    plt.show()


# %% mystnb={"image": {"alt": "A smiling drawn face, what the network says of it, and beside it its 64 gates of the last block as bars: most are near one, some far lower."}}
face_and_gates(smile=1.0)

# %%
explore(
    face_and_gates,
    smile=(0.0, 1.0, 0.1),
    brows=(0.0, 1.0, 0.1),
    gain=(0.7, 1.4, 0.05),
    yaw=(-0.6, 0.6, 0.1),
    glasses=[0, 1, 2],
)

# %% [markdown]
# ## Does the network need them?
#
# *8 minutes*
#
# The late gates know the expression. Does the network *use* what they know? To find out, one changes the gates and leaves
# everything else. A **forward hook** is a function that PyTorch calls with a module, its inputs and its output, after each
# forward pass; what it returns, unless that is `None`, takes the output's place.


# %%
def accuracy_with(model, change):
    """Accuracy when `change` is applied to all gates."""
    hooks = [
        block.se.gate.register_forward_hook(lambda _, __, out: change(out))
        for block in model.blocks
    ]
    result = accuracy(model)
    for hook in hooks:
        hook.remove()
    return result


# %%
changes = {
    "as trained": lambda gates: gates,
    "the mean over all faces": lambda gates: gates.mean(
        0, keepdim=True
    ).expand_as(gates),
    "those of another face": lambda gates: gates.roll(1, 0),
    "all 1": torch.ones_like,
}

# %% [markdown]
# > **Predict.** Which of the three changes costs most accuracy: one gate a channel for all faces, each face with another
# > face's gates, or no gates at all?

# %% tags=["nbval-ignore-output"]
kept = {}
for name, change in changes.items():
    kept[name] = accuracy_with(network, change)
    print(f"{name:24} {kept[name]:.1%}")

# %%
assert kept["the mean over all faces"] > kept["as trained"] - 0.04
assert kept["those of another face"] > kept["as trained"] - 0.06
print("What is particular to a face can be taken from its gates.")

# %% [markdown]
# With one fixed gate a channel, or even with another face's, the network is about as good as with its own. It can do without
# what its gates "know" of the emotion. That is less strange than it sounds: the head, right behind the last block, averages
# nearly the same maps as the last gates, and can read from them what the gates read. Setting all gates to 1 usually costs
# more, since the layers after them were trained with channels turned down. But a fixed factor for each channel is something
# that the batch norm before the gates could have learned by itself.
#
# That is true of three blocks and easy drawn faces. In a deep network early gates may carry what later layers do not see for
# themselves. Whether they do in yours is a question that you can answer: in exercise 6 you freeze the gates of any network.
#
# ## Positions, and the seeds
#
# *6 minutes*
#
# Which of the four positions is best? Here are all four, and none, in one block:


# %%
class Placed(SEBasicBlock):
    """The block with its gates in another place, or nowhere."""

    def __init__(self, in_channels, width, *, position, **options):
        super().__init__(in_channels, width, **options)
        self.position = position
        if position == "pre":  # as many gates as channels come in
            self.se = SqueezeExcite(
                in_channels, squeeze_channels=in_channels // 4
            )

    def forward(self, x):
        branch, shortcut, gated = self.residual, self.shortcut, self.se
        return {
            "standard": lambda: F.relu(gated(branch(x)) + shortcut(x)),
            "post": lambda: gated(F.relu(branch(x) + shortcut(x))),
            "pre": lambda: F.relu(branch(gated(x)) + shortcut(x)),
            "identity": lambda: F.relu(branch(x) + gated(shortcut(x))),
            "none": lambda: F.relu(branch(x) + shortcut(x)),
        }[self.position]()


# %%
def two_seeds(position):
    """Accuracy after a short training, from two starts."""
    reached = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        model = nn.Sequential(
            nn.AvgPool2d(2),  # 12 x 12 pixels, to save time
            Small(Placed, (8, 16, 32), se_reduction=4, position=position),
        )
        reached.append(accuracy(learn(model, epochs=1, lr=5e-3)))
    return reached


# %% tags=["nbval-ignore-output"]
placed = {}
for position in ("none", "standard", "post", "pre", "identity"):
    placed[position] = two_seeds(position)
    one, other = placed[position]
    print(f"{position:9} seed 0: {one:.0%}   seed 1: {other:.0%}")

# %%
gain = TABLE2["se_resnet34"].test - TABLE2["resnet34"].test
spread = max(abs(one - other) for one, other in placed.values())
assert spread > gain
print("Between two seeds of one position lies more than", f"{gain:.2%}.")

# %% [markdown]
# Read the columns before you name a winner. These are very short trainings of a very small network, and their seeds lie
# further apart than longer ones' would. But the lesson holds: a ranking of five variants by one training each ranks seeds.
# The same goes for the reductions: what they *cost* we could count exactly, above; what they *bring*, from $r = 2$ to 32,
# would take many long trainings to tell. On ImageNet, Hu et al. found little difference between 2 and 16.
#
# ## Training them
#
# *4 minutes*
#
# One cell a network. In *smoke* each takes a few images once, to show that it runs; in *quick* each takes minutes on a GPU;
# *full* is paper 1's 50 epochs. Add `model_options={"se_position": "post"}` to train the other reading of its sentence, or
# `{"se_reduction": 8}` for another reduction. Chapter 5 has the cells of their controls, the same networks without gates.

# %% tags=["nbval-ignore-output"]
network18, history = session.train("se_resnet18")
history.round(3)

# %%
assert history["train_loss"].between(0, 5).all()
print("se_resnet18 trains.")

# %% tags=["nbval-ignore-output"]
network34, history = session.train("se_resnet34")
history.round(3)

# %%
assert history["train_loss"].between(0, 5).all()
print("se_resnet34 trains.")

# %% tags=["nbval-ignore-output"]
network50, history = session.train("se_resnet50")
history.round(3)

# %%
assert history["train_loss"].between(0, 5).all()
print("se_resnet50 trains.")

# %% [markdown]
# And this is what they reach on FER-2013, each beside its control, as far as it has been recorded:

# %%
pairs = {
    f"se_{name}": name for name in ("resnet18", "resnet34", "resnet50")
}
results.results_table([one for pair in pairs.items() for one in pair])

# %% [markdown]
# ## What paper 1 says, and what can be known from it
#
# *8 minutes*
#
# Paper 1 says that SE improves ResNet34 and ResNet50. Its own table, with all three pairs:

# %% mystnb={"image": {"alt": "Gain of squeeze and excitation in points of test accuracy for networks of 18, 34 and 50 layers. Paper 1: 18 layers lose a little, 34 gain more than one point, 50 about half a point. Ours stand beside them where they are recorded, else the word pending."}}
ours = {group.model: group for group in results.groups("table2")}
ax = plt.subplots(figsize=(6, 2.8), layout="constrained")[1]
for place, (gated, plain) in enumerate(pairs.items()):
    paper = 100 * (TABLE2[gated].test - TABLE2[plain].test)
    ax.plot(place - 0.1, paper, "o", color="#0072B2")
    ax.annotate(
        f"{paper:+.2f}", (place - 0.17, paper), ha="right", va="center"
    )
    with_gates, without = (
        ours[name].accuracies() for name in (gated, plain)
    )
    if len(with_gates) and len(without):
        gain = 100 * (with_gates.mean() - without.mean())
        ax.plot(place + 0.1, gain, "s", color="#D55E00")
        ax.annotate(f"{gain:+.2f}", (place + 0.14, gain))
    else:
        ax.annotate("ours: pending", (place - 0.05, 0.1), color="0.35")
ax.axhline(0, color="0.85", linewidth=1, zorder=0)
ax.set_xticks(range(3), ["18 layers", "34 layers", "50 layers"])
ax.set_xlim(-0.6, 2.6)
ax.set_ylabel("gain, in points")
ax.set_title("circles: paper 1; squares: ours, recorded")
plt.show()

# %% [markdown]
# The pair that loses is passed over in the paper. With it, the claim reads: one network gained a point, one half a point, one
# nothing. Is a point much?
#
# Both networks of a pair are tested on the *same* 3,589 images, which helps: most images are easy for both or hard for both,
# and only those that exactly one of them gets right say anything about the difference. If a share $d$ of the images is of
# that kind, the difference has the standard error $\sqrt{d / n}$, nearly. So the answer hangs on $d$, and the paper does not
# print it. But the question can be turned round: how small would $d$ have to be, for the gain to be two standard errors?
# From $\textit{gain} = 2 \sqrt{d / n}$ follows $d = n\,(\textit{gain} / 2)^2$:

# %%
n = 3589
for gated, plain in pairs.items():
    gain = TABLE2[gated].test - TABLE2[plain].test
    print(f"{gated}: {n * gain:+.0f} images", end="")
    if gain > 0:
        print(f", two standard errors if d < {n * (gain / 2) ** 2:.1%}")
    else:
        print(", no gain")

# %% [markdown]
# > **Predict.** Two networks are each right on 70% of the images, and their mistakes have nothing to do with one another. On
# > which share of the images is exactly one of them right?

# %%
p = 0.70
print(f"exactly one is right on {2 * p * (1 - p):.0%}")

# %% [markdown]
# Networks that learn the same data make similar mistakes, so $d$ lies below that. How far? The recorded predictions of
# two other networks, trained for a short time, give an idea; for the pair of the claim, as soon as it is recorded:


# %%
def disagreement(one, other, recipe):
    """The share of test images that exactly one of two gets right."""
    best = [
        results.best(results.reported([name], recipe))
        for name in (one, other)
    ]
    if None in best:
        return f"{one} and {other}: {results.PENDING}"
    right = [run.preds("test") == run.labels("test") for run in best]
    return f"{one} and {other}: d = {(right[0] != right[1]).mean():.1%}"


# %%
print(disagreement("basic_cnn", "small_vgg", "quick"))
print(disagreement("resnet34", "se_resnet34", "paper1"))

# %% [markdown]
# What can be said, then?
#
# - **18 layers**: one image less is no difference at all.
# - **50 layers**: two networks that were trained apart are most unlikely to agree as closely as this gain would need.
# - **34 layers**: 48 images may be more than chance, *for these two trained networks*, if they agree more than the first two
#   networks above do. One cannot tell from the paper; their predictions would tell.
# - **SE in general**: another matter. Another seed gives another network. One training of each says nothing of how much
#   seeds differ, and three pairs, of which one shows no gain, are a weak pattern.
#
# None of this says that SE is useless: on ImageNet, with 50,000 images to test on, the gain was clear and was found again by
# many. What it says is how little one row of a table can carry. The ledger has room for five seeds of each network and their
# predictions, so that $d$, the spread of the seeds and a paired test can replace the guesses; exercise 6 tells whether a
# trained network still needs the *looking*, or only a factor for each channel.
#
# ## Quiz
#
# *5 minutes*
#
# **1. What do the gates of a picture depend on?**
#
# <details><summary>On the average of each channel over the picture, and nothing else</summary>
#
# Yes. That is why shuffling the pixels does not change them.
#
# </details>
#
# <details><summary>On where in the picture a feature is found</summary>
#
# The squeeze averages all places away. A gate that knows places needs another block, such as that of exercise 4.
#
# </details>
#
# <details><summary>On the other pictures of the batch</summary>
#
# Each picture has gates of its own. (In training, batch norm mixes the batch before them, but that is another layer.)
#
# </details>
#
# **2. The gates are shut in one block of a network. In which position is the signal lost?**
#
# <details><summary>standard</summary>
#
# There the gates stand on the branch alone, and the input still passes by the shortcut.
#
# </details>
#
# <details><summary>post</summary>
#
# Yes: there the gates come after the sum, and close branch and shortcut together.
#
# </details>
#
# <details><summary>pre</summary>
#
# There the branch gets zeros to work on, but the shortcut carries the input past it.
#
# </details>
#
# **3. In a network's first block, the gates follow the brightness of the picture closely. What follows?**
#
# <details><summary>The network has learned to correct for light</summary>
#
# It may have, but this does not show it: an untrained network's gates follow the light as well.
#
# </details>
#
# <details><summary>Nothing about learning, before an untrained network has been looked at</summary>
#
# Yes. What is there before training cannot be what training brought.
#
# </details>
#
# <details><summary>The gates are useless, since light does not tell emotions apart</summary>
#
# To know whether gates are of use, change them and measure. What they correlate with does not decide it.
#
# </details>
#
# **4. A network reaches 70.8% with SE and 69.5% without, once each, on the same images. What would tell you most?**
#
# <details><summary>The same two numbers with more decimals</summary>
#
# They would give the exact count of images. What is missing is how much of the difference is chance.
#
# </details>
#
# <details><summary>The parameters of both networks</summary>
#
# They tell the cost. Whether the gain is real they cannot tell.
#
# </details>
#
# <details><summary>Both networks' predictions for every image, of several seeds each</summary>
#
# Yes. The predictions give the paired test, and the seeds tell how far two trainings of one network lie apart.
#
# </details>

# %% [markdown]
# ## Exercises
#
# *95 minutes for all six*
#
# Names, order of definitions and helper classes are yours. The checkers give your module the same weights as theirs and
# compare what comes out, and the gradients.
#
# ### Exercise 1. A gate for every channel
#
# *Easy, 10 minutes. Changes a module.*
#
# Write squeeze and excitation with dense layers (`nn.Linear`, with biases): mean of each channel, dense layer, ReLU, dense
# layer, sigmoid, scale. The middle is `channels // reduction` wide, but at least 1.


# %% exercise="ChannelGate"
class ChannelGate(nn.Module):
    """(B, channels, H, W) -> the same shape, each channel scaled."""

    def __init__(self, channels, reduction):
        super().__init__()
        # solution
        middle = max(1, channels // reduction)
        self.reduce = nn.Linear(channels, middle)
        self.expand = nn.Linear(middle, channels)
        # end

    def forward(self, x):
        # solution
        squeezed = x.mean((2, 3))
        gates = torch.sigmoid(self.expand(F.relu(self.reduce(squeezed))))
        return x * gates[:, :, None, None]
        # end


# %% [markdown] hint="ChannelGate"
# `x.mean((2, 3))` has the shape (B, channels), which a dense layer takes. Before you multiply, give the gates two axes of
# length one, so that each is spread over its channel.

# %% [markdown]
# ### Exercise 2. What do the gates weigh?
#
# *Easy, 10 minutes.*
#
# Count the parameters of all squeeze-and-excitation blocks of a network, weights and biases. `widths` holds the channels
# that the gates of each stage see, such as (64, 128, 256, 512), `depths` the blocks of each stage, each with gates of its
# own; the middle is `channels // reduction` wide.


# %% exercise="se_parameters"
def se_parameters(widths, depths, reduction):
    """Return the number of parameters of all gates of a network."""
    # solution
    total = 0
    for channels, depth in zip(widths, depths, strict=True):
        middle = channels // reduction
        total += depth * (2 * channels * middle + middle + channels)
    return total
    # end


# %% [markdown] hint="se_parameters"
# A dense layer from `a` to `b` values has `a * b` weights and `b` biases. Each block has two of them, there and back.

# %% [markdown]
# ### Exercise 3. Gates in a bottleneck
#
# *Medium, 15 minutes. Changes a module.*
#
# Write the block of SE-ResNet50: chapter 5's bottleneck (1 x 1 to `width`, 3 x 3 with the `stride`, 1 x 1 to `4 * width`, batch
# norm after each, ReLU after the first two and after the sum; where the shapes differ, a 1 x 1 convolution with batch norm on the shortcut), with
# gates in the standard position. You may use `layers.SqueezeExcite(channels, squeeze_channels=...)`; the squeeze width is the
# number of channels that the gates see, divided by `reduction` (`//`).


# %% exercise="SEBottleneck"
class SEBottleneck(nn.Module):
    """(B, in_channels, H, W) -> (B, 4 * width, H/stride, W/stride)."""

    def __init__(self, in_channels, width, stride, reduction):
        super().__init__()
        # solution
        wide = 4 * width
        self.residual = nn.Sequential(
            ConvNormAct(in_channels, width, kernel_size=1),
            ConvNormAct(width, width, stride=stride),
            ConvNormAct(width, wide, kernel_size=1, act=None),
            layers.SqueezeExcite(wide, squeeze_channels=wide // reduction),
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


# %% [markdown] hint="SEBottleneck"
# The gates are the last part of the branch, and see `4 * width` channels. `layers.SqueezeExcite` returns what it has gated:
# there is nothing left to multiply.

# %% [markdown]
# ### Exercise 4. What and where
#
# *Medium, 15 minutes. Changes a module.*
#
# A channel's gate says *what* to let through, and averages away *where*. Its counterpart is a map of gates, one for each
# place, shared by all channels: a 1 x 1 convolution from all channels to one, and a sigmoid. Use both side by side, each on
# the input itself, and add the two gated results ([Roy et al., 2018](https://arxiv.org/abs/1803.02579)). For the channels, you
# may use `layers.SqueezeExcite(channels, squeeze_channels=channels // reduction)`.


# %% exercise="ConcurrentGate"
class ConcurrentGate(nn.Module):
    """(B, channels, H, W) -> the same shape, gated in two ways, added."""

    def __init__(self, channels, reduction):
        super().__init__()
        # solution
        self.channel = layers.SqueezeExcite(
            channels, squeeze_channels=channels // reduction
        )
        self.place = nn.Conv2d(channels, 1, 1)
        # end

    def forward(self, x):
        # solution
        places = torch.sigmoid(self.place(x))
        return self.channel(x) + x * places
        # end


# %% [markdown] hint="ConcurrentGate"
# The convolution gives (B, 1, H, W), which spreads over the channels by itself when it is multiplied by `x`.

# %% [markdown]
# ### Exercise 5. Read the gates of any network
#
# *Medium, 20 minutes.*
#
# `gates_of` above knows how its network is built. Write a function that reads the gates of *any* network, through forward hooks:
# return a dictionary from the name of each `layers.SqueezeExcite` in the model (as `model.named_modules()` gives it) to its gates
# for these images, of shape (images, channels), be it one image or many. Read them in evaluation mode, and leave the model as
# you found it: in its mode, without your hooks, with those that were there before. The gates are what the module's `.gate`
# gives; it need not be a sigmoid (MobileNetV3 has a hard-sigmoid, made of straight lines).


# %% exercise="read_gates"
def read_gates(model, images):
    """Return {name of a SqueezeExcite: its gates (images, channels)}."""
    # solution
    was, gates, hooks = model.training, {}, []

    def keep(name):
        return lambda _, __, out: gates.update({name: out.flatten(1)})

    for name, module in model.named_modules():
        if isinstance(module, layers.SqueezeExcite):
            hooks.append(module.gate.register_forward_hook(keep(name)))
    with torch.no_grad():
        model.eval()(images)
    for hook in hooks:
        hook.remove()
    model.train(was)
    return gates
    # end


# %% [markdown] hint="read_gates"
# `register_forward_hook` returns a handle; its `.remove()` takes the hook away again. A hook that is made in a loop must
# remember its own name: make it in a function that takes the name, or write `lambda module, inputs, out, name=name: ...`.

# %% [markdown]
# ### Exercise 6. Freeze them
#
# *Hard, 25 minutes. Changes modules.*
#
# Does a trained network need the looking, or just a factor for each channel? Change a network so that every `layers.SqueezeExcite` scales
# each channel by one fixed number: the mean of its gates over the given images. All gates are measured in evaluation mode, in the
# network as it was passed, before the first is frozen. Change the network in place, leave its mode as it was, and return it.


# %% exercise="freeze_gates"
def freeze_gates(model, images):
    """Fix all gates at their mean over the images; return the model."""
    # solution
    was, means, hooks = model.training, {}, []
    for module in model.modules():
        if isinstance(module, layers.SqueezeExcite):
            hooks.append(
                module.gate.register_forward_hook(
                    lambda gate, _, out: means.update({gate: out.mean(0)})
                )
            )
    with torch.no_grad():
        model.eval()(images)
    for hook in hooks:
        hook.remove()
    for module in model.modules():
        if isinstance(module, layers.SqueezeExcite):
            mean = means[module.gate]
            with torch.no_grad():
                module.expand.weight.zero_()
                module.expand.bias.copy_(mean.flatten())
            module.gate = nn.Identity()
    return model.train(was)
    # end


# %% [markdown] hint="freeze_gates"
# Measure all first, as in exercise 5, then change them. There are many ways: put a module that multiplies by a fixed tensor in
# the place of each (`setattr` on its parent, which `model.get_submodule` finds), or make `expand` give the means by its bias
# alone and take the sigmoid away.

# %% [markdown]
# ## What to take along
#
# - Squeeze and excitation is a mean, two dense layers and a sigmoid: each channel is turned down by what all channels say of
#   the whole picture.
# - Its parameters grow by the square of the channels, $2C^2/r$ a block; its multiplications are next to none, its time is
#   not.
# - In the branch it leaves the shortcut free; after the block it closes both. Parameters cannot tell which a paper did.
# - What gates correlate with is not what they learned (look at an untrained network), and not what they are good for (change
#   them and measure).
# - A gain of a point on 3,589 images needs both networks' predictions, and several seeds.
#
# ## Further reading
#
# - Hu, Shen, Albanie, Sun and Wu, [Squeeze-and-excitation networks](https://arxiv.org/abs/1709.01507) (2018, extended in 2019): positions, reductions, and
#   a section on what the gates do.
# - Roy, Navab and Wachinger, [Concurrent spatial and channel squeeze and
#   excitation](https://arxiv.org/abs/1803.02579) (2018): exercise 4.
# - Woo et al., [CBAM: convolutional block attention module](https://arxiv.org/abs/1807.06521) (2018): channels first,
#   places second.
# - Adebayo et al., [Sanity checks for saliency maps](https://arxiv.org/abs/1810.03292) (2018): why every look into a network
#   needs an untrained one beside it.
