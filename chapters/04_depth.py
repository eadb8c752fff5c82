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
# # Depth: the VGG family
#
# > **By the end you can** build VGG11 to VGG19 from one list each, say what a value deep in a network sees of the face,
# > where its parameters and its multiplications sit, and what batch norm does for a deep stack.
# >
# > **You need** chapter 3: convolution, batch norm, the training step. A GPU for the full trainings only.
# >
# > **Time** 75 minutes to read and run, 100 more for the six exercises.
#
# How deep should a network be? In 2014 Karen Simonyan and Andrew Zisserman asked it in the cleanest way there is: one
# recipe, the same 3 x 3 convolution throughout, and from column to column of a table a few layers more ([Very deep
# convolutional networks](https://arxiv.org/abs/1409.1556)). Their networks are called VGG after their group in Oxford.
# Paper 1 takes four of them, makes them fit for faces of 48 x 48 pixels, and puts them first in its comparison.

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
import copy

import matplotlib.pyplot as plt
import pandas as pd
import torch
from matplotlib.patches import Rectangle
from torch import nn
from torch.nn import functional as F

from fercourse import plots, results
from fercourse.check import ch04
from fercourse.course import explore
from fercourse.data.synthetic import synthetic_faces
from fercourse.layers import ConvNormAct, init_weights, pooled_head
from fercourse.models import count_macs, create_model
from fercourse.papers import TABLE2

plots.use_style()

# %% [markdown]
# ## One list, four networks
#
# *10 minutes*
#
# A VGG is a row of 3 x 3 convolutions, each with its ReLU. Now and then a max-pool halves the picture, and after it the
# convolutions are twice as wide, up to 512 channels. So a list says it all: a number is a convolution of so many channels,
# `"M"` a max-pool.

# %%
CONFIGS = {
    "vgg11": "64 M 128 M 256 256 M 512 512 M 512 512",
    "vgg13": "64 64 M 128 128 M 256 256 M 512 512 M 512 512",
    "vgg16": "64 64 M 128 128 M 256 256 256 M 512 512 512 M 512 512 512",
    "vgg19": "64 64 M 128 128 M 256 256 256 256 M "
    "512 512 512 512 M 512 512 512 512",
}
for name, text in CONFIGS.items():
    CONFIGS[name] = ["M" if t == "M" else int(t) for t in text.split()]

# %% [markdown]
# The number in a name counts the layers with weights in the *original*, which had three dense layers at the end.
#
# > **Predict.** How many convolutions has VGG16? And how large is the picture that the last of them works on, if it began
# > with 48 x 48 pixels?

# %%
for name, config in CONFIGS.items():
    pools = config.count("M")
    side = 48 // 2**pools
    print(f"{name}: {len(config) - pools} convolutions, {side} x {side}")

# %% [markdown]
# Paper 1 changes the end: instead of a fifth max-pool and two dense layers of 4096, each channel is averaged over what is
# left of the picture, and one dense layer makes the seven logits. We put batch norm after each convolution; the first paper
# had none, since it did not exist yet, and paper 1 does not say. More about that below.


# %% tags=["inline"]
class VGG(nn.Module):
    """(B, 1, 48, 48) -> logits (B, 7)."""

    def __init__(self, config, norm="batch"):
        super().__init__()
        layers, channels = [], 1
        for item in config:
            if item == "M":
                layers.append(nn.MaxPool2d(2))
            else:
                conv = ConvNormAct(channels, item, norm=norm, bias=True)
                layers.append(conv)
                channels = item
        self.features = nn.Sequential(*layers)
        self.head = pooled_head(channels, 7)

    def forward(self, x):
        return self.head(self.features(x))


# %% [markdown]
# The package has the same networks, grouped into stages. Its layers have other names and the same order, so weights go
# over one by one:


# %%
def gap_to_package(name):
    """Greatest difference of the logits, with the same weights."""
    ours, packaged = VGG(CONFIGS[name]).eval(), create_model(name).eval()
    pairs = zip(
        ours.state_dict(), packaged.state_dict().values(), strict=True
    )
    ours.load_state_dict(dict(pairs))
    x = torch.rand(2, 1, 48, 48)
    with torch.no_grad():
        return (ours(x) - packaged(x)).abs().max().item()


# %%
for name in ("vgg11", "vgg13"):
    print(name, "is the package's:", gap_to_package(name) < 1e-5)

# %% [markdown]
# (VGG16 and VGG19 are compared in the project's tests, as are these.)
#
# Does paper 1 have the same networks? It prints their parameters, to a tenth of a million. Ours, counted with batch norm
# and without:


# %%
def parameters(name, **options):
    """Count them on the 'meta' device: shapes without numbers."""
    with torch.device("meta"):
        model = create_model(name, **options)
    return sum(p.numel() for p in model.parameters())


# %%
counts = {}
for name in CONFIGS:
    counts[name] = {
        "with batch norm": f"{parameters(name):,}",
        "without": f"{parameters(name, norm='none'):,}",
        "paper 1 prints": f"{TABLE2[name].params / 1e6:.1f} million",
    }
pd.DataFrame(counts).T

# %% [markdown]
# All four agree to the last digit that is printed. That settles the layers. It does not settle batch norm, whose scales and
# shifts are too few to show.
#
# ## Two small windows or one large
#
# *8 minutes*
#
# Networks before VGG used windows of 5, 7 or 11 pixels. A stack of small ones can take their place: the second 3 x 3
# convolution sees 3 x 3 values of the first, each of which saw 3 x 3 pixels, together 5 x 5.
#
# > **Predict.** Between layers of 64 channels, what needs fewer weights: one 5 x 5 convolution or two of 3 x 3? And one of
# > 7 x 7 against three of 3 x 3?

# %%
channels = 64
for kernel, stack in ((5, 2), (7, 3)):
    one = channels * channels * kernel**2
    several = stack * channels * channels * 3**2
    print(f"one {kernel} x {kernel}: {one:7,} weights")
    print(f"{stack} of 3 x 3: {several:7,}, {several / one:.0%} of it")

# %% [markdown]
# With padding every weight is used once at each pixel, so multiplications stand in the same proportion: more than a quarter
# less, and nearly a half less, for the same view.
#
# But are they as good? Without anything between them, two convolutions are exactly one larger one, whose kernel can be
# computed: the one kernel, convolved with the other. (`conv2d` lays a kernel on the picture as it is; to convolve kernels,
# one of them is turned round first, `flip`.)

# %%
torch.manual_seed(0)
first, second = torch.randn(2, 1, 1, 3, 3)
large = F.conv2d(first, second.flip(2, 3), padding=2)
x = torch.randn(1, 1, 12, 12)
in_two = F.conv2d(F.conv2d(x, first), second)
in_one = F.conv2d(x, large)
print("kernel:", tuple(large.shape[2:]))
print("the same:", torch.allclose(in_two, in_one, atol=1e-4))

# %% [markdown]
# So a stack of convolutions alone has fewer weights *because it can do less*: not every 5 x 5 kernel is made of two of
# 3 x 3. What it gains comes from the ReLU between them. A convolution alone makes of $-x$ the opposite of what it makes of
# $x$, so that the two cancel when they are added. With a ReLU between they do not. The greatest value of the sum:

# %%
bent = F.conv2d(F.conv2d(x, first).relu(), second)
bent_minus = F.conv2d(F.conv2d(-x, first).relu(), second)
straight = in_one + F.conv2d(-x, large)
print(f"one 5 x 5:          {straight.abs().max():.1f}")
print(f"ReLU between 3 x 3: {(bent + bent_minus).abs().max():.1f}")

# %% [markdown]
# ## What one value sees
#
# *14 minutes*
#
# The part of the picture on which a value can depend is its **receptive field**. Walk backwards from the value, layer by
# layer: the first pixel it needs is that of its window's first place, the last that of its window's last place.


# %%
def layers_of(config):
    """(kernel, stride, padding) of each layer of a configuration."""
    return [(2, 2, 0) if item == "M" else (3, 1, 1) for item in config]


def window(layers, place):
    """First and last pixel of what the value at a place can see."""
    first = last = place
    for kernel, stride, padding in reversed(layers):
        first = first * stride - padding
        last = last * stride - padding + kernel - 1
    return first, last


# %%
first, last = window(layers_of(CONFIGS["vgg16"][:2]), place=24)
print(f"after two convolutions: pixels {first} to {last}")

# %% [markdown]
# > **Predict.** In VGG16, after which stage does a value see the whole face, 48 pixels wide? A stage ends before a max-pool:
# > stage 1 has two convolutions, stage 2 two more, stages 3, 4 and 5 three each.


# %%
def stage_ends(config):
    """How many items of the list each stage ends after."""
    ends = [k for k, item in enumerate(config) if item == "M"]
    return [*ends, len(config)]


# %%
fields = {}
for name, config in CONFIGS.items():
    spans = [window(layers_of(config[:n]), 0) for n in stage_ends(config)]
    fields[name] = [last - first + 1 for first, last in spans]
pd.DataFrame(fields, index=[f"after stage {k}" for k in range(1, 6)]).T

# %% [markdown]
# After stage 4, for a value in the middle, in all four. (VGG19 comes near after stage 3, but none of its 12 places stands
# exactly in the middle.) The field of the last layers is several times as wide as the face: the lists were made for
# photographs of 224 pixels, and here most of the field lies outside, in the padding. For 48 pixels, seeing enough is no
# reason to go beyond VGG11.
#
# ### Measured
#
# A formula is easily wrong by one. To measure, take one value, go backward, and see which pixels have a gradient. A ReLU or
# a max-pool hides some pixels of each picture, so take many pictures of noise. Any width will do; a quarter of VGG16's is
# faster. (`init_weights` gives the weights of He's start, which the section on batch norm explains.)


# %%
def thin(config, factor=4):
    """The same layers with fewer channels."""
    return [w if w == "M" else w // factor for w in config]


def gradient_of_one(layers, images):
    """Mean size of the gradient of the middle value, by pixel."""
    x = images.clone().requires_grad_()
    out = layers(x)
    middle = out.shape[-1] // 2
    out[:, :, middle, middle].sum().backward()
    return x.grad.abs().mean(dim=(0, 1)), middle


# %%
torch.manual_seed(0)
thin16 = VGG(thin(CONFIGS["vgg16"]), norm="none")
init_weights(thin16)
noise = torch.randn(32, 1, 48, 48)
ends = stage_ends(CONFIGS["vgg16"])

# %%
for stage, end in enumerate(ends[:3], start=1):
    seen, middle = gradient_of_one(thin16.features[:end], noise)
    rows = seen.sum(dim=1).nonzero().flatten()
    formula = window(layers_of(CONFIGS["vgg16"][:end]), middle)
    print(f"stage {stage}: formula {formula[0]} to {formula[1]}, ", end="")
    print(f"measured {rows.min().item()} to {rows.max().item()}")

# %% [markdown]
# ### Seen, but how well?
#
# That a value *can* depend on a pixel does not say that it does. Here is the size of the gradient itself, now for drawn
# faces, with the frame of the receptive field where it fits into the picture.

# %%
drawn = synthetic_faces(sizes=(64, 0, 0)).train
faces = torch.from_numpy(drawn.images).unsqueeze(1).float()
faces = (faces / 255 - 0.5) / 0.25
labels = torch.from_numpy(drawn.labels)

# %%
heats = [gradient_of_one(thin16.features[:n], faces)[0] for n in ends]

# %% mystnb={"image": {"alt": "Four maps of how strongly the middle value of VGG16 depends on each pixel of a face, after stages 2, 3, 4 and 5. After stages 2 and 3 a frame shows the receptive field, 14 and 40 pixels wide; inside it, the dark spot is darkest in the middle and fades towards the frame, after stage 3 well before it. After stages 4 and 5, whose fields are larger than the picture, the spot is wider but still fades towards the borders."}}
figure, axes = plt.subplots(2, 2, figsize=(4.6, 4.9), layout="constrained")
for ax, stage in zip(axes.flat, range(2, 6), strict=True):
    ax.imshow(heats[stage - 1], cmap="gray_r")
    size = fields["vgg16"][stage - 1]
    if size < 48:
        middle = 48 // 2 ** (stage - 1) // 2
        first, _ = window(
            layers_of(CONFIGS["vgg16"][: ends[stage - 1]]), middle
        )
        corner = (first - 0.5, first - 0.5)
        ax.add_patch(Rectangle(corner, size, size, fill=False))
    ax.set_title(f"stage {stage}: field {size}")
    ax.set_axis_off()
plt.show()


# %%
def half_width(heat):
    """Side of the smallest square that holds half of the gradient."""
    line = torch.arange(48.0)
    centre = (heat.sum(1) * line).sum() / heat.sum()
    for side in range(1, 49):
        low = max(0, round(centre.item() - (side - 1) / 2))
        part = heat[low : low + side, low : low + side]
        if part.sum() > heat.sum() / 2:
            return side
    return 48


# %%
for stage, heat in enumerate(heats, start=1):
    size = fields["vgg16"][stage - 1]
    print(f"stage {stage}: field {size:3}, half of it ", end="")
    print(f"comes from {half_width(heat)} x {half_width(heat)} pixels")

# %% [markdown]
# Pixels in the middle reach the value by many ways, those at the rim by one. What counts in practice, the **effective
# receptive field**, is a round spot in the middle that grows more slowly than the formula's square
# ([Luo et al., 2016](https://arxiv.org/abs/1701.04128)). Here the picture's border cuts off the last two: a square of 34 x 34
# is half of all its pixels, so by stage 5 the spot nearly fills it. This network is untrained; training can widen the spot.
#
# In a running notebook: how does the spot grow with depth, and how with the window?


# %%
def spot(convolutions=6, kernel=3, pools=0, seed=0):
    """One value's gradient after a row of convolutions, 8 wide."""
    torch.manual_seed(seed)
    layers = [ConvNormAct(1, 8, kernel_size=kernel)]
    for _ in range(convolutions - 1):
        layers.append(ConvNormAct(8, 8, kernel_size=kernel))
    for number in range(pools):  # spread evenly
        place = (number + 1) * len(layers) // (pools + 1)
        layers.insert(place, nn.MaxPool2d(2))
    heat, _ = gradient_of_one(nn.Sequential(*layers).eval(), faces)
    plt.figure(figsize=(3, 3))
    plt.imshow(heat, cmap="gray_r")
    plt.title(f"half comes from {half_width(heat)} x {half_width(heat)}")
    plt.show()


# %%
explore(
    spot,
    convolutions=(1, 16),
    kernel=[3, 5, 7],
    pools=(0, 3),
    seed=(0, 9),
)

# %% [markdown]
# ## Where the parameters sit, and where the work
#
# *8 minutes*
#
# A convolution has $k^2 \cdot c_{in} \cdot c_{out}$ weights, and uses each once at every place of its output. So its
# **multiply-accumulates** (MACs) are weights times places.
#
# To measure them, the next cell uses *hooks*: functions that PyTorch calls when a layer has run, with the layer, its input
# and its output. They stay until they are removed.
#
# > **Predict.** In VGG16, is it the early or the late layers that hold most weights? And the three that work on 3 x 3
# > places: what share of the weights have they, and what share of the multiplications?


# %%
def layer_costs(model, size=48):
    """A row a convolution: side of its output, weights, MACs."""
    rows = []

    def note(conv, _, out):
        weights = conv.weight.numel()
        places = out.shape[2] * out.shape[3]
        rows.append((out.shape[3], weights, weights * places))

    convs = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
    hooks = [conv.register_forward_hook(note) for conv in convs]
    with torch.inference_mode():
        model(torch.zeros(1, 1, size, size))
    for hook in hooks:
        hook.remove()
    return pd.DataFrame(rows, columns=["side", "weights", "MACs"])


# %%
costs = layer_costs(VGG(CONFIGS["vgg16"]).eval())
share = costs[["weights", "MACs"]] / costs[["weights", "MACs"]].sum()
million = costs["MACs"].sum() / 1e6
print(f"{million:,.0f} million multiply-accumulates for one face")

# %% mystnb={"image": {"alt": "Bars for the 13 convolutions of VGG16, share of the weights on the left and of the multiply-accumulates on the right. The share of the weights rises from nearly nothing to 16% for each of the last five. The multiplications are spread evenly, 6 or 12% a layer, but for the first, with next to none, and the last three, with 3% each."}}
figure, axes = plt.subplots(
    1, 2, figsize=(5.6, 4), sharey=True, layout="constrained"
)
names = [f"{n}: {side} x {side}" for n, side in enumerate(costs.side, 1)]
for ax, what, colour in zip(axes, share, plots.PALETTE, strict=False):
    ax.barh(names, 100 * share[what], color=colour)
    ax.set_xlabel(f"% of the {what}")
axes[0].invert_yaxis()
axes[0].set_ylabel("convolution: side of its output")
plt.show()

# %%
parts = {
    "first seven, 48 to 12 pixels": share[costs.side >= 12].sum(),
    "next three, 6 pixels": share[costs.side == 6].sum(),
    "last three, 3 pixels": share[costs.side == 3].sum(),
}
pd.DataFrame(parts).T.map("{:.0%}".format)

# %% [markdown]
# Each max-pool leaves a quarter of the places, each doubling of the channels makes four times the weights, and the two cancel:
# the work is spread evenly, the weights pile up at the end. Only in the last stage, where places shrink and channels do not
# grow any more, is there less to do.
#
# So a count of parameters says little about how long a network takes. Whoever wants a smaller file must look at the last
# layers; whoever wants a faster network, anywhere but there. Between the four:

# %%
rows = {}
for name in CONFIGS:
    with torch.device("meta"):
        model = create_model(name)
    _, macs = count_macs(model, torch.zeros(1, 1, 48, 48))
    rows[name] = {
        "parameters, million": f"{parameters(name) / 1e6:.1f}",
        "MACs, million": f"{macs / 1e6:,.0f}",
        "paper 1's time, ms": f"{TABLE2[name].milliseconds:,.0f}",
    }
pd.DataFrame(rows).T

# %% [markdown]
# (The time is for all 3,589 test images, on a machine that the paper does not name.) From VGG11 to VGG13 two layers are added
# early: half as many multiplications again, and hardly a parameter. From there on layers are added late: about as many
# multiplications a step, and five million parameters.
#
# ## The head that was left out
#
# *8 minutes*
#
# The first VGG ended otherwise: a fifth max-pool, all values in one row, then dense layers of 4096, 4096 and 1000 for the
# thousand classes of ImageNet. The whole of it is famous for its size:

# %%
original = {
    "num_classes": 1000,
    "in_channels": 3,
    "norm": "none",
    "original_head": True,
}
print(f"VGG16 of 2014: {parameters('vgg16', **original):,} parameters")

# %% [markdown]
# > **Predict.** Which share of these 138 million is in the three dense layers: a quarter, half, or nine tenths?


# %%
def dense_head(size, classes=7):
    """The first paper's head for pictures of a size, shapes only."""
    side = size // 32  # five max-pools
    with torch.device("meta"):
        return nn.Sequential(
            nn.Linear(512 * side * side, 4096),
            nn.Linear(4096, 4096),
            nn.Linear(4096, classes),
        )


def count(model):
    """Parameters of a network or a part of it."""
    return sum(p.numel() for p in model.parameters())


# %%
dense = count(dense_head(224, classes=1000))
print(f"{dense / parameters('vgg16', **original):.0%} are dense")

# %% [markdown]
# What would it cost here? For photographs of 224 pixels the last max-pool leaves 7 x 7 places, for our faces a single one:


# %%
def head_against_body(size):
    """The dense head beside the convolutions of VGG16."""
    with torch.device("meta"):
        body = create_model("vgg16")
    head, pooled = dense_head(size), count(body.head)
    weights = count(body) - pooled
    _, macs = count_macs(body, torch.zeros(1, 1, size, size))
    return {
        "convolutions, parameters": f"{weights / 1e6:.1f} M",
        "4096-wide head, parameters": f"{count(head) / 1e6:.1f} M",
        "pooled head, parameters": f"{pooled:,}",
        "convolutions, MACs": f"{macs / 1e6:,.0f} M",
        "4096-wide head, MACs": f"{count(head) / 1e6:,.1f} M",
    }


# %%
pd.DataFrame({f"{n} x {n} pixels": head_against_body(n) for n in (48, 224)})

# %% [markdown]
# (A dense layer uses each of its weights once for an image, so its MACs are its weights.) The dense head would more than
# double the parameters at 48 pixels, and adds little work. **Global average pooling**
# ([Lin et al., 2014](https://arxiv.org/abs/1312.4400)) leaves all of that out, and takes pictures of any size from 16 pixels
# on, which four max-pools need. What it gives up is *where*: after the average, a mouth in the left corner and one in the right are the same. Convolutions before it
# must have said what is worth saying, which a receptive field as large as the face lets them do.
#
# Any size, really?

# %%
model = create_model("vgg11").eval()
for size in (48, 64, 37):
    with torch.inference_mode():
        print(size, "->", tuple(model(torch.zeros(1, 1, size, size)).shape))

# %% [markdown]
# ## With and without batch norm
#
# *11 minutes*
#
# In 2014 the authors did not start the deep networks from random weights alone. They trained the shallowest first and put
# its layers into the deeper ones to start from; only later did they find that better random weights would have done. What
# is in the way? Send the 64 drawn faces through a fresh, thin VGG19 and look, after each convolution, at how much its values
# still *differ from face to face*. Then go backward, and look at the gradient of its weights.


# %%
def signal_and_gradient(model):
    """By convolution: spread between faces, norm of the gradient."""
    convs = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
    signal = []
    hooks = [
        conv.register_forward_hook(
            lambda _, __, out: signal.append(out.std(dim=0).mean().item())
        )
        for conv in convs
    ]
    F.cross_entropy(model.train()(faces), labels).backward()
    for hook in hooks:
        hook.remove()
    return signal, [conv.weight.grad.norm().item() for conv in convs]


# %% [markdown]
# Three ways to begin: PyTorch's own random weights; those of [He et al., 2015](https://arxiv.org/abs/1502.01852), large
# enough to make up for what a ReLU takes away; and PyTorch's own again, with batch norm after each convolution.


# %%
def begin(config, kind, seed=0):
    """A fresh network, of one of three kinds."""
    torch.manual_seed(seed)
    model = VGG(config, norm="batch" if kind == "batch norm" else "none")
    if kind == "He's start":
        init_weights(model)
    return model


# %%
KINDS = ("PyTorch's start", "He's start", "batch norm")
measured = {
    kind: signal_and_gradient(begin(thin(CONFIGS["vgg19"]), kind))
    for kind in KINDS
}

# %% mystnb={"image": {"alt": "Two panels, one above the other, over the 16 convolutions of a thin VGG19, logarithmic scale, one line for each of three starts. Above, how much values differ from face to face: with PyTorch's start and no batch norm it falls by many powers of ten, with He's start it falls gently, with batch norm it stays level. Below, the norm of the gradient: PyTorch's start lies many powers of ten below the other two in the early layers."}}
figure, axes = plt.subplots(
    2, 1, figsize=(5, 5.2), sharex=True, layout="constrained"
)
what = ("spread between faces", "norm of the gradient")
for column, ax in enumerate(axes):
    for kind, mark in zip(KINDS, "osD", strict=True):
        values = measured[kind][column]
        ax.semilogy(range(1, 17), values, mark + "-", ms=4, label=kind)
    ax.set_title(what[column])
    ax.set_xticks(range(2, 17, 2))
axes[0].legend()
axes[1].set_xlabel("convolution")
plt.show()

# %%
for kind in KINDS:
    signal, gradient = measured[kind]
    print(f"{kind:16} of the spread is left {signal[-1] / signal[0]:.0e}")

# %% [markdown]
# With PyTorch's start each layer and its ReLU leave less than half of the differences. After sixteen, all faces look the
# same to the head, and no gradient worth the name comes back. He's weights keep the signal alive by *starting* right (the
# course's are scaled for the way back: the gradient stays nearly level, the signal shrinks, here to a twentieth). Batch norm measures
# and mends at every layer, at the start and at each step after it
# ([Ioffe and Szegedy, 2015](https://arxiv.org/abs/1502.03167)).
#
# Does it matter for training? A stack of sixteen narrow convolutions is to learn the 64 faces by heart, made small so that a
# laptop can do it in seconds. Whoever only knows how many faces each class has can bring the loss down to this:

# %%
share_of_class = torch.bincount(labels) / len(labels)
counts_alone = -(share_of_class * share_of_class.log()).sum().item()
print(f"{counts_alone:.2f}")

# %%
small = F.avg_pool2d(faces, 4)  # 12 x 12 pixels
DEEP = [16] * 4 + ["M"] + [16] * 6 + ["M"] + [16] * 6


def memorise(model, steps=30):
    """Train on the 64 faces; return the last loss."""
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(steps):
        loss = F.cross_entropy(model(small), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss.item()


# %% [markdown]
# > **Predict.** After thirty steps, which of the three has seen anything but the counts? And does He's start do as well as
# > batch norm?

# %% tags=["nbval-ignore-output"]
final = {kind: memorise(begin(DEEP, kind)) for kind in KINDS}
for kind, loss in final.items():
    print(f"{kind:16} loss {loss:.2f}")

# %%
assert final["PyTorch's start"] > counts_alone - 0.05
assert 0.9 < final["He's start"] < final["PyTorch's start"] - 0.05
assert final["batch norm"] < 0.8
print("The careless start: the counts. He's: some more. Batch norm: most.")

# %% [markdown]
# The careless start has learned the counts and hardly anything of the faces. He's start learns, slowly. Batch norm does far
# better from weights no more careful than the first: it keeps the signal alive at every step, and not only at the beginning.
# (Thirty steps of one stack prove no more than that. Other seeds give other numbers: with some of them He's start, too, has
# got no further than the counts by then; batch norm had in all fourteen that we tried. And with more steps the careless start
# begins to move as well.)
#
# That is why it matters that paper 1 does not say whether it used it, and its count of parameters cannot tell. The
# course settles on batch norm *and* He's start, as nearly everybody would today. Both ways are to be trained
# (`create_model("vgg16", norm="none")` is the other) and judged on val, and a third with dropout before the dense
# layer, of which paper 1 says nothing either:

# %%
pd.DataFrame(
    [
        {"ablation": group.shows, "accuracy on val": group.summary("val")}
        for group in results.groups("ablations")
        if group.model == "vgg16"
    ]
).set_index("ablation")

# %% [markdown]
# ## Training them
#
# *5 minutes*
#
# One cell a network. In *smoke* each takes a few images once, to show that it runs; in *quick* each takes minutes on a
# GPU; *full* is paper 1's 50 epochs.

# %% tags=["nbval-ignore-output"]
network, history = session.train("vgg11")
history.round(3)

# %%
assert history["train_loss"].between(0, 5).all()
print("vgg11 trains.")

# %% tags=["nbval-ignore-output"]
network, history = session.train("vgg13")
history.round(3)

# %%
assert history["train_loss"].between(0, 5).all()
print("vgg13 trains.")

# %% tags=["nbval-ignore-output"]
network, history = session.train("vgg16")
history.round(3)

# %%
assert history["train_loss"].between(0, 5).all()
print("vgg16 trains.")

# %% tags=["nbval-ignore-output"]
network, history = session.train("vgg19")
history.round(3)

# %%
assert history["train_loss"].between(0, 5).all()
print("vgg19 trains.")

# %% [markdown]
# And this is what they reach on FER-2013, as far as it has been recorded:

# %%
results.results_table(list(CONFIGS), "paper1")

# %% mystnb={"image": {"alt": "Recorded accuracy on val over the epochs for VGG11, VGG13, VGG16 and VGG19 with the recipe paper1, one curve a network; where nothing is recorded yet, a frame that says pending."}}
recorded = [
    record
    for record in results.reported(list(CONFIGS), "paper1")
    if record.seed == 0
]
if recorded:
    curves = {results.label(r): r.history["val_accuracy"] for r in recorded}
    plots.history(curves, label="accuracy on val")
else:
    plots.pending("VGG11, VGG13, VGG16 and VGG19, recipe paper1")
plt.show()

# %% [markdown]
# ## What paper 1 says of depth
#
# *6 minutes*
#
# Its Table 2 has the four networks in order of depth. Beside each accuracy on test, its **standard error**: how much it
# would vary if it were measured on other images of the same kind, $\sqrt{p(1-p)/n}$ with $n$ = 3,589.
#
# > **Predict.** From VGG11 to VGG19 the paper's accuracy on test rises by 0.81 points. How many standard errors is that?

# %%
n, rows = 3589, {}
base = TABLE2["vgg11"].test
for name in CONFIGS:
    row = TABLE2[name]
    error = (row.test * (1 - row.test) / n) ** 0.5
    rows[name] = {
        "val": f"{row.val:.2%}",
        "test": f"{row.test:.2%}",
        "standard error": f"{100 * error:.2f} points",
        "test, above vgg11": f"{100 * (row.test - base):+.2f} points",
        "in standard errors": f"{(row.test - base) / error:.1f}",
    }
pd.DataFrame(rows).T

# %% [markdown]
# About one. Both accuracies have such an error, though partly a common one, as they were measured on the same images;
# and each network seems to have been trained once, with one seed. On val, on which the epochs were chosen, the four lie
# within 0.19 points. What can be known from this table:
#
# - More depth did **no harm** on val and test, from 8 convolutions to 16. On the *training* images, which paper 1's
#   table has too, the two deeper networks are worse: 96.51% and 98.62% for VGG11 and VGG13, 90.81% and 94.58% for VGG16
#   and VGG19. Degradation, the subject of the next chapter, would look like that. So would an epoch chosen earlier, and
#   one training each cannot tell them apart.
# - It brought **little, if anything**: the step from VGG11 to VGG13 adds two layers near the start and is most of the rise;
#   VGG19, with a third more parameters than VGG16, is not better.
# - **Why** is open. Three things grow together from row to row: layers, parameters and multiplications. And on faces of 48
#   pixels even VGG11's last values see everything, so depth adds no view, only steps between.
#
# The ledger, the book's page that holds each claim of the papers against our own trainings, will judge it by five seeds
# of each.
#
# ## Quiz
#
# *5 minutes*
#
# **1. Why two 3 x 3 convolutions instead of one 5 x 5?**
#
# <details><summary>They can compute everything that a 5 x 5 can, with fewer weights</summary>
#
# They cannot: without a ReLU between them they make only some of the 5 x 5 kernels.
#
# </details>
#
# <details><summary>The same view for fewer weights, and a ReLU more</summary>
#
# Yes. 18 weights for 25 between any two channels, and the second layer works on what the ReLU has left.
#
# </details>
#
# <details><summary>They see more of the picture</summary>
#
# Exactly as much: 3 + 2 = 5 pixels each way.
#
# </details>
#
# **2. You want VGG16's file much smaller and its speed the same. What do you make narrower?**
#
# <details><summary>The first convolutions</summary>
#
# The first seven hold an eighth of the weights and do most of the work: that would make it faster and hardly
# smaller.
#
# </details>
#
# <details><summary>The last convolutions</summary>
#
# Yes: the last three, on 3 x 3 places, hold nearly half of the weights and do less than a tenth of the work.
#
# </details>
#
# <details><summary>The pooled head</summary>
#
# It has a few thousand weights out of fifteen million.
#
# </details>
#
# **3. A value's receptive field is 196 pixels wide, by the formula. What follows?**
#
# <details><summary>All pixels of the face count equally for it</summary>
#
# No: the gradient gathers in the middle, because pixels there reach the value by many more ways.
#
# </details>
#
# <details><summary>The network needs pictures of 196 pixels</summary>
#
# It takes smaller ones; the rest of the field lies in the padding.
#
# </details>
#
# <details><summary>It can depend on any pixel of a face of 48, and much of its field is padding</summary>
#
# Yes. What it can see is not yet what it looks at.
#
# </details>
#
# **4. A plain network of 16 convolutions stays at a loss of 1.95. Without batch norm, what is worth a try first?**
#
# <details><summary>Look at the spread of the values, layer by layer, and start from weights that keep it level</summary>
#
# Yes. If the faces look the same to the head, no optimiser can help. Exercise 6 does it.
#
# </details>
#
# <details><summary>A larger batch</summary>
#
# The gradient of more images is less noisy, and as small as before.
#
# </details>
#
# <details><summary>Two more layers</summary>
#
# Each would take away some more of the signal.
#
# </details>

# %% [markdown]
# ## Exercises
#
# *100 minutes for all six*
#
# Names, order of definitions and helpers are yours. The checkers try your code on inputs of their own.
#
# ### Exercise 1. What each layer sees
#
# *Easy, 10 minutes.*
#
# `window` walks backwards and tells of one layer. Walk forwards, and tell of all: given a list of (kernel, stride), first
# to last, return the list of the widths of the receptive fields after each layer, in pixels.


# %% exercise="receptive_fields"
def receptive_fields(layers):
    """Return the receptive field after each layer, as a list.

    layers: tuples (kernel, stride), first to last.
    """
    # solution
    fields, field, step = [], 1, 1
    for kernel, stride in layers:
        field += (kernel - 1) * step
        step *= stride
        fields.append(field)
    return fields
    # end


# %% [markdown] hint="receptive_fields"
# One pixel sees itself: begin with 1. A window of *k* values adds *k - 1* more, and neighbours lie a *step* of pixels apart
# which is the product of all strides before this layer. This layer's own stride counts for the layers after it.

# %% [markdown]
# ### Exercise 2. The bill before building
#
# *Easy, 15 minutes.*
#
# Given a list such as `[64, "M", 128]` and the side of a grey picture in pixels, return two numbers: the parameters of
# all convolutions, biases included, and their multiply-accumulates for one image (biases add, they do not multiply). A
# number is a 3 x 3 convolution that keeps the size, `"M"` a max-pool that halves it and rounds down. No batch norm, no head.


# %% exercise="vgg_cost"
def vgg_cost(config, size):
    """Return (parameters, multiply-accumulates) of the convolutions."""
    # solution
    channels, parameters, macs = 1, 0, 0
    for item in config:
        if item == "M":
            size = size // 2
        else:
            weights = 9 * channels * item
            parameters += weights + item
            macs += weights * size * size
            channels = item
    return parameters, macs
    # end


# %% [markdown] hint="vgg_cost"
# Carry two things along: how many channels come in (1 at first, then what the last convolution gave), and the side of the
# picture. A convolution from *a* to *b* channels has 9 *a b* weights and *b* biases, and uses each weight at every place.

# %% [markdown]
# ### Exercise 3. Learn to shrink
#
# *Medium, 15 minutes. Changes a module.*
#
# A max-pool has nothing to learn. Build a VGG in which every `"M"` is a 3 x 3 convolution of stride 2 and padding 1 instead,
# that keeps the number of channels, with batch norm and ReLU like the others
# ([Springenberg et al., 2015](https://arxiv.org/abs/1412.6806)). Numbers are 3 x 3 convolutions with batch norm and ReLU, as
# before; at the end, average over all places and one dense layer. Grey pictures come in, logits go out.


# %% exercise="StridedVGG"
class StridedVGG(nn.Module):
    """(B, 1, H, W) -> logits (B, num_classes); no max-pool."""

    def __init__(self, config, num_classes):
        super().__init__()
        # solution
        layers, channels = [], 1
        for item in config:
            stride = 2 if item == "M" else 1
            width = channels if item == "M" else item
            layers.append(ConvNormAct(channels, width, stride=stride))
            channels = width
        self.features = nn.Sequential(*layers)
        self.dense = nn.Linear(channels, num_classes)
        # end

    def forward(self, x):
        # solution
        return self.dense(self.features(x).mean(dim=(2, 3)))
        # end


# %% [markdown] hint="StridedVGG"
# Keep the number of channels that come in. For `"M"` they stay what they are, and the stride is 2. `ConvNormAct` takes a
# `stride`. A layer for each item, in an `nn.Sequential` or `nn.ModuleList`.

# %% [markdown]
# ### Exercise 4. Take the giant out
#
# *Medium, 15 minutes. Changes a module.*
#
# You are given a model with `features` (convolutions, ReLU, pooling) and `head` (flatten, dense layers), whose forward is
# `self.head(self.features(x))`. Give it another head, in place: the average over all places, then one dense layer to as many
# classes as before. Find out the number of channels and of classes from the model itself. `features` keeps its weights. There
# is no need to return anything.


# %% exercise="pool_the_head"
def pool_the_head(model):
    """Replace model.head by global average pooling and one dense layer."""
    # solution
    convs = [
        m for m in model.features.modules() if isinstance(m, nn.Conv2d)
    ]
    dense = [m for m in model.head.modules() if isinstance(m, nn.Linear)]
    channels, classes = convs[-1].out_channels, dense[-1].out_features
    model.head = nn.Sequential(
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(channels, classes),
    )
    return model
    # end


# %% [markdown] hint="pool_the_head"
# `model.modules()` walks through all layers. The last `nn.Conv2d` of the features knows its `out_channels`, the last
# `nn.Linear` of the old head its `out_features`. `nn.AdaptiveAvgPool2d(1)` averages whatever the size; flatten after it.

# %% [markdown]
# ### Exercise 5. Batch norm for nothing
#
# *Medium, 20 minutes. Changes a module.*
#
# In evaluation mode batch norm computes $\gamma\,(y - \mu) / \sqrt{\sigma^2 + \varepsilon} + \beta$ of each channel, with
# numbers that no longer change. A convolution before it can do that on the side. Given an `nn.Conv2d` and the
# `nn.BatchNorm2d` behind it, return *one new* convolution that gives what both gave, exactly. It may have stride, padding,
# dilation and groups, with or without bias. Leave the two you were given as they are.


# %% exercise="fold_batch_norm"
def fold_batch_norm(conv, norm):
    """Return a convolution equal to norm(conv(x)) in evaluation."""
    # solution
    folded = copy.deepcopy(conv)
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    bias = 0 if conv.bias is None else conv.bias
    shift = norm.bias + scale * (bias - norm.running_mean)
    folded.weight = nn.Parameter(
        (conv.weight * scale[:, None, None, None]).detach()
    )
    folded.bias = nn.Parameter(shift.detach())
    return folded
    # end


# %% [markdown] hint="fold_batch_norm"
# `norm` holds `weight`, `bias`, `running_mean`, `running_var` and `eps`. Each output channel is multiplied by one number,
# so multiply that channel's weights, the first axis, and its bias by it; then what is left is a new bias. A copy of `conv`
# keeps its settings.

# %% [markdown]
# ### Exercise 6. Start right
#
# *Hard, 25 minutes. Changes a module.*
#
# What batch norm does at each step can be done once, before training
# ([Mishkin and Matas, 2016](https://arxiv.org/abs/1511.06422)). Given a model without batch norm and a batch of images: for
# each of its convolutions, from the first to the last, measure the standard deviation of all the values that it gives for
# these images (one number, before any ReLU), and divide its weights and its bias by that number. When you are done, every
# convolution gives values of standard deviation 1. Change the model in place, nothing but its convolutions, and leave no
# hook behind. A convolution may have no bias. They run in the order in which `model.modules()` lists them.


# %% exercise="unit_variance"
@torch.no_grad()
def unit_variance(model, images):
    """Scale each convolution so that its output has deviation 1."""
    # solution
    spread = []
    for conv in model.modules():
        if isinstance(conv, nn.Conv2d):
            hook = conv.register_forward_hook(
                lambda _, __, out: spread.append(out.std())
            )
            model(images)
            hook.remove()
            conv.weight /= spread[-1]
            if conv.bias is not None:
                conv.bias /= spread[-1]
    # end


# %% [markdown] hint="unit_variance"
# A forward hook is called with (module, inputs, output) when its layer has run. Take the deviation there: a ReLU with
# `inplace=True` behind the layer overwrites what it gave. After you scaled a convolution, those behind it get other
# values: run the model anew for each. Change weights under `torch.no_grad()`, and `remove()` each hook.

# %% [markdown]
# ## What to take along
#
# - A VGG is a list: 3 x 3 convolutions and max-pools. Paper 1's four agree with ours to the last printed digit.
# - Small windows in a row see as much as a large one, for less, and bend in between.
# - The receptive field follows from kernels and strides; what counts in it is the middle.
# - Weights pile up late, multiplications are spread; the dense head of 2014 had nine tenths of the weights and hardly any
#   work.
# - Without batch norm a deep stack loses the signal unless it starts right. Paper 1 does not say what it did.
# - In paper 1's table, eight more convolutions change the accuracy by about one standard error.
#
# ## Further reading
#
# - Simonyan and Zisserman, [Very deep convolutional networks for large-scale image
#   recognition](https://arxiv.org/abs/1409.1556) (2015).
# - Lin, Chen and Yan, [Network in network](https://arxiv.org/abs/1312.4400) (2014): global average pooling.
# - Luo et al., [Understanding the effective receptive field](https://arxiv.org/abs/1701.04128) (2016).
# - He et al., [Delving deep into rectifiers](https://arxiv.org/abs/1502.01852) (2015), and Mishkin and Matas, [All you need is
#   a good init](https://arxiv.org/abs/1511.06422) (2016): how to start.
# - Springenberg et al., [Striving for simplicity: the all convolutional net](https://arxiv.org/abs/1412.6806) (2015).
# - Santurkar et al., [How does batch normalization help optimization?](https://arxiv.org/abs/1805.11604) (2018).
