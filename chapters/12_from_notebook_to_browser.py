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
# # From notebook to browser
#
# > **By the end you can** turn a trained network into one file that other programs run, prove that the file answers as the
# > network did, make it smaller and say what that costs, measure how long an answer takes, and write down what the network
# > is for and what it is not for.
# >
# > **You need** chapter 3: batch norm, the training step. The paired test of chapter 9 helps. No GPU is needed anywhere.
# >
# > **Time** 75 minutes to read and run, 120 more for the eight exercises.
#
# So far every network has lived in the notebook that trained it. A network that somebody *uses* lives elsewhere: in a
# telephone, on a server, in a web page. On the way there its weights stay the same, and yet much can go wrong, because an
# answer depends on more than weights. This chapter walks the whole way, with a network small enough to watch.

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

# %% [markdown]
# Colab has no ONNX, the format of this chapter. This cell installs it there, without touching what is there already, and does nothing
# elsewhere; on your own machine, the package's extra `export` brings it.

# %%
if IN_COLAB:
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    # Newer ones need a newer protobuf than Colab has.
    onnx_packages = ["onnx<1.22", "onnx-ir", "onnxscript", "onnxruntime"]
    subprocess.run([*pip, *onnx_packages], check=True)
    importlib.invalidate_caches()

# %%
import onnx
import onnxruntime
from onnx import numpy_helper
from onnxruntime import quantization
from onnxruntime.quantization.shape_inference import quant_pre_process

onnxruntime.set_default_logger_severity(3)  # errors only

# %%
import copy
import statistics
import tempfile
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.nn import functional as F

from fercourse import plots, results
from fercourse.check import ch12
from fercourse.course import explore
from fercourse.data import EMOTIONS
from fercourse.data.synthetic import (
    draw_faces,
    emotion_units,
    synthetic_faces,
)
from fercourse.evaluate import bootstrap_interval, mcnemar
from fercourse.export import export_onnx, to_onnx
from fercourse.layers import ConvNormAct
from fercourse.models import model_table
from fercourse.records import read_record

plots.use_style()

# %% [markdown]
# ## What a network is besides its weights
#
# *10 minutes*
#
# The network of this chapter has three convolutions of stride 2 and a dense layer. It first halves the picture and scales
# the grey values, *inside* its forward pass. Remember where that happens; it will matter.


# %%
class Little(nn.Module):
    """(B, 1, 48, 48), grey values from 0 to 1 -> logits (B, 7)."""

    def __init__(self):
        super().__init__()
        self.blocks = nn.Sequential(
            ConvNormAct(1, 16, stride=2),
            ConvNormAct(16, 32, stride=2),
            ConvNormAct(32, 64, stride=2),
        )
        self.head = nn.Linear(64 * 3 * 3, 7)

    def forward(self, x):
        x = (F.avg_pool2d(x, 2) - 0.5) / 0.25
        return self.head(self.blocks(x).flatten(1))


# %% [markdown]
# It learns from 700 drawn faces of the easy kind, in seconds. What it reaches says nothing about FER-2013; it only has to be
# good enough that one can see when something breaks.

# %%
easy = synthetic_faces("easy", sizes=(700, 210, 700))


def prepared(split):
    """The faces of a split as a network takes them."""
    return torch.from_numpy(split.images).unsqueeze(1).float() / 255


images, labels = prepared(easy.test), torch.from_numpy(easy.test.labels)


# %%
def train_little(epochs=6):
    """A trained network, in evaluation mode."""
    torch.manual_seed(0)
    network = Little()
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    x, y = prepared(easy.train), torch.from_numpy(easy.train.labels)
    for _ in range(epochs):
        for batch in torch.randperm(len(x)).split(50):
            loss = F.cross_entropy(network(x[batch]), y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return network.eval()


# %%
@torch.inference_mode()
def accuracy(network, images):
    """The share of the test faces that are named right."""
    return (network(images).argmax(1) == labels).float().mean().item()


# %% tags=["nbval-ignore-output"]
network = train_little()
print(f"{accuracy(network, images):.0%} of 700 drawn test faces are right")

# %%
right = accuracy(network, images)
assert right > 0.75
print("Good enough to see when something breaks.")

# %% [markdown]
# > **Predict.** You give these weights to a friend, who writes a program around them. Each of the following is one slip in
# > that program. Which do harm, and which cost these faces less than ten points?
# >
# > 1. Pixels from 0 to 255 instead of 0 to 1.
# > 2. Pixels divided by 255 twice.
# > 3. Class names in alphabetical order.
# > 4. `eval()` forgotten, one image at a time.
# > 5. The picture mirrored, as in a selfie.


# %%
def alphabetical(network):
    """Accuracy if the names of the classes come in alphabetical order."""
    with torch.inference_mode():
        places = network(images).argmax(1)
    names = np.array(sorted(EMOTIONS))[places]
    return (names == np.array(EMOTIONS)[labels]).mean().item()


def forgotten_eval(network):
    """Accuracy in training mode, an image at a time."""
    network = copy.deepcopy(network).train()
    with torch.inference_mode():
        found = [network(image).argmax(1) for image in images.split(1)]
    return (torch.cat(found) == labels).float().mean().item()


# %% tags=["nbval-ignore-output"]
slips = {
    "none": right,
    "0 to 255": accuracy(network, 255 * images),
    "divided by 255 twice": accuracy(network, images / 255),
    "alphabetical names": alphabetical(network),
    "eval() forgotten": forgotten_eval(network),
    "mirrored": accuracy(network, images.flip(3)),
}
pd.Series(slips, name="accuracy").map("{:.0%}".format).to_frame()

# %%
mild = {"none", "eval() forgotten", "mirrored"}
near = {name for name, value in slips.items() if abs(value - right) < 0.1}
assert near == mild
print("Three do harm, two cost less than ten points, none raises an error.")

# %% [markdown]
# Mirrored faces are about as good as others here. With `eval()` forgotten, batch norm takes mean and variance from the pixels of
# the one picture, 9 to 144 a channel, which is nearly enough: a few points are lost, which one would blame on something else.
# It is not harmless. As soon as several pictures come in one batch, the answer to each depends on the others.

# %%
wrong_mode = copy.deepcopy(network).train()
with torch.inference_mode():
    for mode, one in {"eval": network, "train": wrong_mode}.items():
        same = torch.allclose(
            one(images[:1]), one(images[:64])[:1], atol=1e-3
        )
        print(f"{mode}: same logits alone and in company: {same}")

# %% [markdown]
# Nothing crashed. The file of weights was right all the time; what was missing is the rest of the network:
#
# - **what goes in**: shape, number format, range, colour or grey, how the picture was cut and made small;
# - **what comes out**: logits or probabilities, and which place is which class. FER-2013's order is not alphabetical;
# - **the mode**: batch norm with the running statistics, dropout off;
# - **where it comes from**: model, recipe, seed, data, version of the code. Without that, nobody can tell two files apart.
#
# So the first rule of shipping: **put into the file whatever can be put there**. Scaling inside the network cannot be
# forgotten outside. What cannot go into the graph goes into the file's metadata, as text.
#
# ## One file
#
# *9 minutes*
#
# **ONNX** is a file format for networks: a graph of operations such as *Conv* and *Gemm*, and their weights. PyTorch traces
# the forward pass and writes it down; other programs, *runtimes*, read it and need neither Python nor your class `Little`.
# The package's `to_onnx` calls PyTorch's exporter and adds the metadata that you give.

# %%
about = {
    "model": "Little, chapter 12",
    "data": "drawn faces, easy",
    "classes": ",".join(EMOTIONS),
    "input": "float32 (N, 1, 48, 48), grey from 0 (black) to 1 (white)",
}
proto = to_onnx(network, about)

# %%
folder = Path(tempfile.mkdtemp())
onnx.save(proto, folder / "little.onnx")
print(f"{(folder / 'little.onnx').stat().st_size / 1000:.0f} kB")

# %% [markdown]
# > **Predict.** The forward pass has a pooling, a subtraction, a division, three times convolution, batch norm and ReLU, a
# > flattening and a dense layer: 14 steps. How many nodes will the graph have, and which kind will be missing?

# %%
graph = onnx.load(folder / "little.onnx").graph
print(len(graph.node), "nodes:", *(node.op_type for node in graph.node))

# %% [markdown]
# The three batch norms are gone. The next section says where they went. Here are the weights in the file; each convolution has
# a bias now, which it never had in PyTorch:

# %%
for tensor in graph.initializer:
    if len(tensor.dims) and tensor.data_type == onnx.TensorProto.FLOAT:
        print(f"{tensor.name:25} {tuple(tensor.dims)}")

# %%
for value in (*graph.input, *graph.output):
    shape = value.type.tensor_type.shape.dim
    print(value.name, [size.dim_param or size.dim_value for size in shape])

# %% [markdown]
# The first size has a name instead of a number: it is **dynamic**, and any number of images may come. An exporter that is
# shown a batch of one, and told nothing else, may write down a 1 for ever. And the metadata:

# %%
stored = {entry.key: entry.value for entry in proto.metadata_props}
for key in ("classes", "input"):
    print(f"{key}: {stored[key]}")

# %% [markdown]
# Now run it, with **onnxruntime**. Its session is given the number of threads, for otherwise it takes what it finds.


# %%
def load(path, threads=1):
    """A function from images (N, 1, 48, 48) to logits, by onnxruntime."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    runtime = onnxruntime.InferenceSession(
        path, options, providers=["CPUExecutionProvider"]
    )
    return lambda x: runtime.run(["logits"], {"images": np.asarray(x)})[0]


# %%
little = load(folder / "little.onnx")
for batch in (1, 3, 64):
    print(batch, "images ->", little(images[:batch]).shape)

# %% [markdown]
# Does it answer as PyTorch does? To the last bit: no. Adding numbers of limited precision in another order gives another last
# digit, and the batch norms have been multiplied into the weights. So the question is *how far* the logits may be apart.
# The measure is the largest logit of the batch: a float32 has about seven digits, a hundred sums lose two or three of them,
# so a gap of a ten-thousandth of the largest logit is rounding, and a hundredth is a mistake.

# %%
with torch.inference_mode():
    expected = network(images).numpy()
gap = np.abs(little(images) - expected).max()
largest = np.abs(expected).max()
print("as PyTorch, within 1e-4 of the largest logit:", gap < 1e-4 * largest)
print("to the last bit:", gap == 0)

# %% [markdown]
# `fercourse export` does all of this for a trained run: it writes the file, runs it beside PyTorch on noise and on drawn faces,
# in batches of 1, 3 and 64, and gives it its name only if all agree. Exercise 6 is that check.
#
# ## Where the batch norms went
#
# *6 minutes*
#
# In evaluation, batch norm does the same to every image: it subtracts the running mean $\mu$, divides by the running standard
# deviation, multiplies by $\gamma$ and adds $\beta$, for each channel. That is a straight line, and a convolution is
# linear too. So the two are one convolution:
#
# $$\gamma\,\frac{(w * x + b) - \mu}{\sqrt{\sigma^2 + \epsilon}} + \beta \;=\; (s\,w) * x + \big(\beta + s\,(b - \mu)\big), \qquad
# s = \frac{\gamma}{\sqrt{\sigma^2 + \epsilon}}.$$
#
# The exporter has done it. The weights of the first convolution in the file should be the network's, each filter times its $s$:

# %%
conv, norm = network.blocks[0].conv, network.blocks[0].norm
in_file = numpy_helper.to_array(graph.initializer[0])
ratio = torch.from_numpy(in_file.copy()) / conv.weight.detach()
s = norm.weight / (norm.running_var + norm.eps).sqrt()
print("one factor a channel:", bool((ratio.flatten(1).std(1) < 1e-4).all()))
print("and it is s:", torch.allclose(ratio[:, 0, 0, 0], s, rtol=1e-3))

# %% [markdown]
# Folding saves time and memory, and changes the last digits only. It holds in evaluation alone: in training, mean and
# variance come from the batch, and the function is no straight line. Exercise 3 lets you fold any convolution.
#
# ## Bytes
#
# *5 minutes*
#
# A weight is a **float32**: four bytes. As **float16** it takes two, as an **int8** one. For the networks of both papers:

# %%
table = pd.DataFrame(model_table()).set_index("name")
some = ["mobilenet_v3_small", "basic_cnn", "resnet18", "vgg19", "resnet50"]
megabytes = pd.DataFrame(
    {
        kind: table.loc[some, "params"] * size / 1e6
        for kind, size in {"fp32": 4, "fp16": 2, "int8": 1}.items()
    }
)
megabytes.map("{:.1f} MB".format)

# %% [markdown]
# For a web page this is the waiting time of every first visitor: at 10 megabits a second, 8 seconds for every 10 megabytes.
#
# Half precision has about three decimal digits and ends at 65,504. Weights fit easily, and their rounding rarely changes an
# answer; sums along the way may not fit. Many processors compute in float32 anyway, and so does a browser (WebAssembly, further
# below): there, float16 halves the download and nothing else.

# %%
for value in (0.1, 2049, 65_504, 70_000):
    print(value, "becomes", torch.tensor(value).half().item())

# %% [markdown]
# ## Eight bits
#
# *15 minutes*
#
# Eight bits hold 256 values. To **quantise** is to lay a grid of 256 points over the range of the numbers and to store, for
# each, the place on the grid. Two numbers describe the grid:
#
# - the **scale**, the distance between two points;
# - the **zero point**, the place that stands for 0.
#
# $$q = \mathrm{round}(x / \text{scale}) + \text{zero point}, \qquad x \approx \text{scale} \cdot (q - \text{zero point}).$$
#
# Take the range from -0.6 to 1.95. There are 255 steps between 256 points, so the scale is 2.55 / 255 = 0.01; -0.6 shall be
# place 0, so the zero point is 60. The number 0.123 is stored as 60 + 12 = 72 and comes back as 0.12. The rounding error is at
# most half a step; what lies beyond the range is **clipped** to its end, and that error has no bound. Zero itself must be
# a point of the grid, exactly, because padding and ReLU put so many zeros into a network. Exercise 4 makes such a grid.
#
# Weights lie about evenly around 0, so their grid is usually **symmetric**: zero point 0, places from -127 to 127, and the
# scale is the largest weight divided by 127. One scale may serve the whole layer (**per tensor**) or each output channel may
# have its own (**per channel**).


# %%
def round_weights(weight, per_channel, bits=8):
    """Weights (out, ...) put on a symmetric grid, and back."""
    rows = weight.flatten(1)
    largest = rows.abs().amax(1) if per_channel else rows.abs().max()
    scale = (largest / (2 ** (bits - 1) - 1)).reshape(-1, 1)
    return ((rows / scale).round() * scale).reshape(weight.shape)


# %% [markdown]
# > **Predict.** A layer has four filters. The weights of the first are of the size of 1, those of the last of 0.01: folding a
# > batch norm leaves such layers behind. With one scale for all, how many different values are left to the last filter?


# %%
def four_filters():
    """Weights of four filters whose sizes differ a hundredfold."""
    draw = torch.Generator().manual_seed(0)
    sizes = torch.tensor([1.0, 0.3, 0.05, 0.01])
    return sizes[:, None] * torch.randn(4, 64, generator=draw)


# %%
weight = four_filters()
for per_channel in (False, True):
    rounded = round_weights(weight, per_channel)
    error = (rounded - weight).norm(dim=1) / weight.norm(dim=1)
    left = [len(row.unique()) for row in rounded]
    print(f"per channel: {per_channel!s:5} values left: {left}, ", end="")
    print("error:", *(f"{100 * value:.1f}%" for value in error))


# %%
def draw_rounding(bits):
    """Each filter's weights before and after rounding, one dot a weight."""
    figure, axes = plt.subplots(
        2, 2, figsize=(6, 4.6), layout="constrained"
    )
    for place, ax in enumerate(axes.flat):
        whole = round_weights(weight, False, bits)[place]
        own = round_weights(weight, True, bits)[place]
        ax.plot(weight[place], whole, "_", ms=8, label="one scale for all")
        ax.plot(weight[place], own, ".", ms=4, label="own scale")
        ax.set_title(f"filter {place + 1}")
        ax.locator_params(nbins=4)
    figure.supxlabel("weight")
    figure.supylabel("after rounding")
    axes[0, 0].legend(fontsize=9, loc="upper left")


# %% mystnb={"image": {"alt": "Four panels, one a filter: weights before and after rounding to 8 bits. In the first two, both ways lie on the diagonal. In the third, one scale for all leaves nine steps, in the fourth three, while dots with an own scale stay on the diagonal in all four."}}
draw_rounding(8)
plt.show()

# %% [markdown]
# In a running notebook, take bits away until the own scales fail as well:


# %%
def rounding(bits=8):
    """Two ways to round four filters."""
    draw_rounding(bits)
    plt.show()


# %%
explore(rounding, bits=(2, 10))

# %% [markdown]
# ### What flows through the network
#
# Weights are known beforehand. What flows between the layers is not, and its range must be known to lay a grid over it.
# **Static quantisation** finds the ranges by running a few hundred images, the **calibration set**, and noting the least and the
# greatest value at each place. These images decide something about the network, as training images do. So they come
# **from train**; who calibrates on test has looked at it.


# %%
class Reader(quantization.CalibrationDataReader):
    """Hands images to onnxruntime, twenty at a time."""

    def __init__(self, images):
        self.batches = iter(images.split(20))

    def get_next(self):
        batch = next(self.batches, None)
        return None if batch is None else {"images": batch.numpy()}


# %%
def quantise_file(name, calibration, per_channel=True):
    """Write an 8-bit version of little.onnx; return what runs it."""
    quant_pre_process(
        folder / "little.onnx",
        folder / "pre.onnx",
        skip_symbolic_shape=True,
    )
    quantization.quantize_static(
        folder / "pre.onnx",
        folder / name,
        Reader(calibration),
        per_channel=per_channel,
        activation_type=quantization.QuantType.QUInt8,
        weight_type=quantization.QuantType.QUInt8,
    )
    return load(folder / name)


# %% tags=["nbval-ignore-output"]
eight_bits = quantise_file("int8.onnx", prepared(easy.train)[:200])
places = {name: run(images).argmax(1) for name, run in
          {"fp32": little, "int8": eight_bits}.items()}  # fmt: skip
test = mcnemar(labels.numpy(), places["fp32"], places["int8"])
print(
    {
        name: f"{(p == labels.numpy()).mean():.1%}"
        for name, p in places.items()
    }
)
alone = f"{test['only_a']} and {test['only_b']}"
print(f"right in one alone: {alone}, p = {test['p']:.2f}")

# %%
changed = (places["fp32"] != places["int8"]).mean()
assert 0 < changed < 0.05
assert test["p"] > 0.01
small, large = (
    (folder / name).stat().st_size for name in ("int8.onnx", "little.onnx")
)
assert small < large / 2
print("Smaller, and no loss that 700 faces could show.")

# %% [markdown]
# Two readings of this result are wrong. "It costs nothing": the answers of some faces *did* change, in both directions, and
# whoever belongs to these faces gets another word. And "the accuracy is the same, so the files are the same": compare
# predictions image by image, with the paired test, as in chapter 9. With 700 faces, a loss of a point would be hard to see.
#
# > **Predict.** What if the ranges are measured on other pictures than those that come later? Calibrate on faces in the dark,
# > at three tenths of their brightness.

# %% tags=["nbval-ignore-output"]
in_the_dark = quantise_file("dark.onnx", 0.3 * prepared(easy.train)[:200])
dark = (in_the_dark(images).argmax(1) == labels.numpy()).mean()
print(f"calibrated in the dark: {dark:.0%} right, before {right:.0%}")

# %%
assert dark < right - 0.05
print("A wrong calibration set costs more than the eight bits.")

# %% [markdown]
# The graph is the same and the weights are the same. What the ranges did not foresee was clipped.
#
# ### Eight bits are not eight bits everywhere
#
# There is a trap below the floor. Processors of the x86 kind with AVX2, and without the newer VNNI instructions, multiply unsigned
# values by *signed* weights in pairs and add each pair up in 16 bits, where it may not fit:

# %%
pair = 255 * 127 + 255 * 127
print("two products:", pair, "largest number in 16 bits:", 2**15 - 1)
print("too large:", pair > 2**15 - 1)

# %% [markdown]
# Then the sum is cut off, silently, and the same file gives other answers on another processor. The larger the weights are on
# their grid, the likelier this is, and so the finer grid, per channel, can make things *worse* there. This chapter's file has
# unsigned weights, for which onnxruntime takes another way; its option `reduce_range` (7 bits) is the other remedy. The lesson is
# general: **compare the file with PyTorch on the device it is for**.
#
# ## How long does it take?
#
# *8 minutes*
#
# This is how it is often measured:


# %%
def careless_ms(run, batch_size):
    """Milliseconds for a batch. Three mistakes; see exercise 7."""
    begun = time.perf_counter()
    for _ in range(5):
        run(torch.rand(batch_size, 1, 48, 48))
    return 1000 * (time.perf_counter() - begun) / 5


# %% [markdown]
# The images are made while the clock runs. The first call is counted, in which a runtime allots memory and chooses its ways.
# And it takes the mean, which one interruption by another program spoils. The careful way: make the input beforehand, warm
# up, time each call, take the **median**.


# %%
def times_ms(run, batch_size, repeats=15):
    """Milliseconds of each call, the first (cold) one included."""
    batch = torch.rand(batch_size, 1, 48, 48)
    taken = []
    for _ in range(1 + repeats):
        begun = time.perf_counter()
        run(batch)
        taken.append(1000 * (time.perf_counter() - begun))
    return taken


# %% tags=["nbval-ignore-output", "measured"]
fresh = {
    "PyTorch": torch.inference_mode()(network),
    "fp32": load(folder / "little.onnx"),
    "int8": load(folder / "int8.onnx"),
}
timed = {
    (name, size): times_ms(run, size)
    for size in (1, 64)
    for name, run in fresh.items()
}
for (name, size), taken in timed.items():
    middle = statistics.median(taken[1:])
    print(f"{name:8} {size:3} images: {middle:7.3f} ms, ", end="")
    print(f"{middle / size:.3f} ms an image; cold {taken[0]:.3f}")

# %%
medians = {
    key: statistics.median(taken[1:]) for key, taken in timed.items()
}
assert all(0 < value < 1000 for value in medians.values())
for name in ("fp32", "int8"):
    assert min(timed[name, 64]) < 64 * medians[name, 1]
print("All take milliseconds; the fastest 64 at once beat 64 single calls.")

# %% [markdown]
# What to report with such a number: the device, the number of threads, the batch size, the number format, what was inside the
# clock. **Batch 1** is what a person waits for. Batch 64 is what a server with a queue cares for, and flatters every network
# whose single image cannot keep the processor busy. How much faster 64 at once are than 64 alone says as
# much about the machine as about the network.
#
# And int8 need not be faster. For so small a network, turning numbers into eight bits and back can cost what it saves; chapter
# 7 told the same of multiplications that were saved and did not save time.
#
# ## In the browser
#
# *7 minutes*
#
# A web page runs the file by onnxruntime's version for **WebAssembly**, compiled code that every browser can execute. What changes:
#
# - **The file is downloaded** before the first answer, and the runtime with it, which is larger than our network.
# - **One thread.** Several need memory that threads share, and browsers allow that only to pages whose server sends two
#   headers (cross-origin isolation). A plain host of static pages, GitHub Pages for one, sends none. The runtime then takes one thread by
#   itself. Write your measurements for one thread.
# - **The picture never leaves the machine.** No server sees it. This is the best reason for a browser, and worth saying on the page.
# - **Preparing the picture is your code again**, in another language. Here most demos go wrong.
#
# A camera gives, say, 640 x 480 coloured pixels; the network knows 48 x 48 grey ones. Cut out a square, turn it grey, and make it small
# **as the training pictures were made small**. The contest's paper does not say how FER-2013's were; the mean of the area that each new
# pixel covers is the safe choice, for it uses every pixel and is the same sum in every language. Taking every tenth pixel is something
# else, and what a canvas does by default differs between browsers:

# %%
face = draw_faces(emotion_units("surprise"), size=480)[0].astype(float)
noise = np.random.default_rng(0).normal(0, 40, face.shape)
frame = np.clip(face + noise, 0, 255)  # a camera in the evening
every_tenth = frame[5::10, 5::10]
mean_of_area = frame.reshape(48, 10, 48, 10).mean(axis=(1, 3))

# %% mystnb={"image": {"alt": "Three pictures of one drawn, surprised face: the large frame with grainy noise; made small by taking every tenth pixel, where the grain is as strong as before; made small by the mean of each area, where it is smooth and clear."}}
figure, axes = plt.subplots(1, 3, figsize=(7.4, 2.8), layout="constrained")
pictures = {
    "camera": frame,
    "every tenth pixel": every_tenth,
    "mean of the area": mean_of_area,
}
for ax, (name, picture) in zip(axes, pictures.items(), strict=True):
    ax.imshow(picture, vmin=0, vmax=255)
    ax.set_title(name)
    ax.axis("off")
plt.show()

# %%
clean = face.reshape(48, 10, 48, 10).mean(axis=(1, 3))
for name in ("every tenth pixel", "mean of the area"):
    off = np.abs(pictures[name] - clean).mean()
    print(f"{name}: {off:.0f} grey values off on average")

# %% [markdown]
# A **parity test** settles it: give the page's code and the training's code the same picture and compare the 2,304 numbers. Keep one such
# picture, and its numbers, beside the page. Exercise 1 is this square, and its checker is such a test.
#
# ## What a demo must say
#
# *7 minutes*
#
# The softmax turns any logits into seven shares that add up to one. Whatever is shown, one of seven words comes out. Show
# the network its test faces, the same upside down, and noise:

# %% tags=["nbval-ignore-output"]
draw = torch.Generator().manual_seed(0)
strange = {
    "test faces": images,
    "upside down": images.flip(2),
    "grey noise": torch.rand(300, 1, 48, 48, generator=draw),
}
surest = {
    name: F.softmax(torch.from_numpy(little(x)), 1).amax(1)
    for name, x in strange.items()
}
for name, top in surest.items():
    above = (top > 0.7).float().mean()
    print(f"{name:12} greatest share {top.mean():.0%} on average, ", end="")
    print(f"above 70% in {above:.0%}")

# %%
assert surest["grey noise"].mean() > 2 / 7
assert (surest["grey noise"] > 0.7).float().mean() > 0.05
assert surest["upside down"].mean() > 2 / 7
print("On noise, too, it often names an emotion with a large share.")

# %% [markdown]
# A share of 90% is not "right in 9 of 10". Where a network is calibrated in the sense of chapter 10 (which is not
# what the calibration set above does), it is that for pictures like those of the test, and nothing at all for others. The seven have no
# way to say *none of these* or *I do not know*. So a demo that people will meet says, beside the bars:
#
# - **what it shows**: which of seven words, written beside other pictures, fits this picture best. Not what someone feels;
# - **how often it is right**, on which data, by class, with an interval;
# - **that it answers always**, also for a wall;
# - **where the picture goes**: nowhere, it stays on this machine;
# - **what it must not be used for**: to judge, sort or watch anybody. In workplaces and schools of the European Union, inferring emotions is
#   prohibited with few exceptions. The book's page on ethics, under *What not to build*, has the list and the reasons.
#
# ### The model card
#
# A **model card** is the page that travels with a network ([Mitchell et al., 2019](https://arxiv.org/abs/1810.03993)): what it
# is, what it was trained and tested on, how good it is and for whom, what it is meant for, what not, and who answers for it. Its
# numbers come from the record, none from memory. Here is what the records give for the two small networks:

# %%
results.results_table(["basic_cnn", "small_vgg"], "quick")

# %%
record = read_record("small_vgg-quick-seed0-cpu")
measured = record.metrics("test")
low, high = bootstrap_interval(record.labels("test"), record.preds("test"))
print(record.name, "trained on", record.data["data"]["sizes"]["train"])
print(f"accuracy {measured['accuracy']:.3f} ({low:.3f} to {high:.3f})")
print(f"without twins {measured['accuracy_without_twins']:.3f}")

# %%
recalls = dict(zip(EMOTIONS, measured["per_class_recall"], strict=True))
for name, value in recalls.items():
    print(f"{name:9}{value:.2f}")
print("least often found:", min(recalls, key=recalls.get))

# %% [markdown]
# A card that gives the accuracy alone hides the last line. Exercise 8 is to write the card, as a function of the record, and its checker
# compares every number.
#
# ## A file of your own
#
# *3 minutes*
#
# The page "Try it" of this book runs a network in your browser: `small_vgg` by the same recipe for 20 epochs, another training than
# the one above, whose model card lies beside its files in `fercourse/small`. The page takes a file of yours, too. What it
# asks for is what `fercourse export` writes: an input `images`, float32 (N, 1, 48, 48), grey from 0 to 1; an output `logits`, (N, 7), in
# the order of `EMOTIONS`; metadata that say what it is. This cell makes one, of the little network; for a trained run, it is
# `export_onnx("runs/NAME", "my-network.onnx")`, or the same on the command line.

# %%
session.folder.mkdir(exist_ok=True)
mine = session.folder / "my-network.onnx"
mine.write_bytes((folder / "little.onnx").read_bytes())
answers = load(mine)(images[:5])
print(mine.name, answers.shape, answers.dtype)

# %% [markdown]
# ## Quiz
#
# *5 minutes*
#
# **1. A colleague's program gives other answers than your notebook, with the same weights. Where do you look first?**
#
# <details><summary>At the rounding of the other runtime</summary>
#
# Rounding moves the last digits of a logit. It changes an answer only where two classes are all but level.
#
# </details>
#
# <details><summary>At what goes in and how the classes are ordered</summary>
#
# Yes. Range of the pixels, how it was made grey, cut and made small, then the order of the names. None of these raises an error.
#
# </details>
#
# <details><summary>At the seed</summary>
#
# The seed decided how the weights were found. Once they are the same, nothing in evaluation depends on it.
#
# </details>
#
# **2. Why may batch norm be folded into the convolution only after training?**
#
# <details><summary>Because in evaluation it is the same straight line for every image</summary>
#
# Yes. In training, mean and variance come from the batch, and the result of one image depends on the others.
#
# </details>
#
# <details><summary>Because convolutions have no bias in training</summary>
#
# They could have one. It is left out because batch norm would subtract it again.
#
# </details>
#
# <details><summary>Because the weights are too small before</summary>
#
# Their size does not matter: a factor for each channel can be multiplied in at any time.
#
# </details>
#
# **3. A layer has output channels of very different size. What does an own scale for each of them buy?**
#
# <details><summary>A smaller file</summary>
#
# It is larger by one scale for each channel, which is next to nothing.
#
# </details>
#
# <details><summary>The small channels keep as many steps as the large ones</summary>
#
# Yes. With one scale for all, the large channel sets the step, and the small ones fall on a few values.
#
# </details>
#
# <details><summary>No clipping of what flows through the network</summary>
#
# That is the range of the activations, which the calibration set decides, not the weights' scales.
#
# </details>
#
# **4. On 700 faces, fp32 and int8 differ in six answers, three each way. Which statement is safe?**
#
# <details><summary>Quantisation costs nothing</summary>
#
# Six answers changed, and a loss of a point would hardly be seen on 700 faces. No loss was *shown*, which is less.
#
# </details>
#
# <details><summary>These 700 faces give no sign of a loss; single answers do change</summary>
#
# Yes. That is what was measured. A larger test set could show a smaller difference.
#
# </details>
#
# <details><summary>Int8 is as accurate as fp32 on every device</summary>
#
# It was tried on one processor, and on another the sums may be cut off. Compare on the device that it is for.
#
# </details>

# %% [markdown]
# ## Exercises
#
# *120 minutes for all eight*
#
# ### Exercise 1. The square of the camera
#
# *Easy, 10 minutes.*
#
# A frame is uint8, shape (H, W, 3), in the order red, green, blue, H and W at least 48. Return what the network takes: float32, shape
# (1, 1, 48, 48), from 0 to 1. Cut out the square in the middle, as large as fits with a side that is a multiple of 48 (where
# the rest is odd, round down the upper and the left margin). Grey is 0.299 red + 0.587 green + 0.114 blue. Each pixel is the mean of its
# area. NumPy or PyTorch, as you like.


# %% exercise="to_48"
def to_48(frame):
    """Return float32 (1, 1, 48, 48) from uint8 (H, W, 3)."""
    # solution
    height, width = frame.shape[:2]
    cell = min(height, width) // 48
    side = 48 * cell
    top, left = (height - side) // 2, (width - side) // 2
    square = frame[top : top + side, left : left + side]
    grey = square @ np.array([0.299, 0.587, 0.114]) / 255
    small = grey.reshape(48, cell, 48, cell).mean(axis=(1, 3))
    return small[None, None].astype(np.float32)
    # end


# %% [markdown] hint="to_48"
# The side is `48 * (min(H, W) // 48)`. A picture of (48 * k, 48 * k) becomes (48, k, 48, k) by `reshape`; the mean over the two
# axes of length k is the small picture.

# %% [markdown]
# ### Exercise 2. Put it inside
#
# *Easy, 10 minutes. Changes a module.*
#
# A canvas gives values from 0 to 255. Write a module around a trained network that takes such pixels, float32 (N, 1, 48, 48), and returns
# probabilities, (N, 7). The network was trained on pixels that were first divided by 255, then had `mean` subtracted, then were
# divided by `std`. After `.eval()` on your module, the network within must be in evaluation mode too. The pixels that came in stay as they are.


# %% exercise="Packed"
class Packed(nn.Module):
    """Pixels (N, 1, 48, 48) from 0 to 255 -> probabilities (N, 7)."""

    def __init__(self, network, mean, std):
        super().__init__()
        # solution
        self.network = network
        self.mean = mean
        self.std = std
        # end

    def forward(self, pixels):
        # solution
        x = pixels / 255
        x = (x - self.mean) / self.std
        return F.softmax(self.network(x), dim=1)
        # end


# %% [markdown] hint="Packed"
# Undo nothing of the network: prepare its input, call it, and take the softmax over the classes, which lie along axis 1. `x /= 255` would
# change the caller's tensor.

# %% [markdown]
# ### Exercise 3. Fold
#
# *Medium, 15 minutes. Changes a module.*
#
# Return a new `nn.Conv2d` that does alone what `conv` and then `norm`, an `nn.BatchNorm2d`, do in evaluation. It takes any stride,
# padding, dilation and groups; `conv` may have a bias or none. Both that you are given stay as they are, their
# mode included.


# %% exercise="fold"
def fold(conv, norm):
    """Return one convolution for conv, then norm, in evaluation."""
    # solution
    folded = nn.Conv2d(
        conv.in_channels,
        conv.out_channels,
        conv.kernel_size,
        stride=conv.stride,
        padding=conv.padding,
        dilation=conv.dilation,
        groups=conv.groups,
    )
    bias = 0 if conv.bias is None else conv.bias
    with torch.no_grad():
        s = norm.weight / (norm.running_var + norm.eps).sqrt()
        folded.weight.copy_(conv.weight * s[:, None, None, None])
        folded.bias.copy_(norm.bias + s * (bias - norm.running_mean))
    return folded
    # end


# %% [markdown] hint="fold"
# The formula is in "Where the batch norms went". $s$ has one value for each *output* channel, which is the first axis of the weight. The old
# bias goes through the batch norm as well.

# %% [markdown]
# ### Exercise 4. A grid of 256 points
#
# *Medium, 15 minutes.*
#
# Put the tensor `x` on a grid of whole numbers from 0 to 255 that covers the range from `low` to `high`. First widen the range, if need
# be, so that it contains 0. The scale is its width / 255, the zero point is -low / scale, rounded. Return two tensors of the shape of `x`: the
# places `q`, whole numbers, clipped to 0 to 255, and what they stand for, `back`.


# %% exercise="quantise"
def quantise(x, low, high):
    """Return (q, back): places from 0 to 255, and what they stand for."""
    # solution
    low, high = min(low, 0.0), max(high, 0.0)
    scale = (high - low) / 255
    zero_point = round(-low / scale)
    q = ((x / scale).round() + zero_point).clamp(0, 255)
    return q, scale * (q - zero_point)
    # end


# %% [markdown] hint="quantise"
# Round x / scale, add the zero point, then clamp. For the way back, beware of uint8: 3 - 60 is no negative number there, so subtract
# in float.

# %% [markdown]
# ### Exercise 5. Which images set the ranges?
#
# *Medium, 15 minutes.*
#
# From `faces`, with `.train`, `.val` and `.test`, each of `.images` (uint8, (N, 48, 48)) and `.labels`, choose calibration
# images: from train, `per_class` different ones of each of the seven classes (all there are, where there are fewer), and none whose pixels also stand in
# val or test. Return them as the network takes them: float32 (M, 1, 48, 48), from 0 to 1, in any order. A NumPy array or a tensor.


# %% exercise="calibration_images"
def calibration_images(faces, per_class):
    """Return float32 (M, 1, 48, 48) from 0 to 1."""
    # solution
    held_out = np.concatenate([faces.val.images, faces.test.images])
    seen = {image.tobytes() for image in held_out}
    chosen, count = [], dict.fromkeys(range(7), 0)
    for image, label in zip(
        faces.train.images, faces.train.labels, strict=True
    ):
        if count[int(label)] < per_class and image.tobytes() not in seen:
            chosen.append(image)
            count[int(label)] += 1
            seen.add(image.tobytes())
    return np.stack(chosen)[:, None].astype(np.float32) / 255
    # end


# %% [markdown] hint="calibration_images"
# `image.tobytes()` can be kept in a set. Count what you have of each class on the way through train; an image that stands in train
# twice counts once.

# %% [markdown]
# ### Exercise 6. Do two runtimes agree?
#
# *Medium, 15 minutes.*
#
# `reference` and `other` are functions from images to logits; both return arrays. For a list of batches, return the greatest absolute
# difference of a logit, over all batches, and whether they agree: in *every* batch, shapes are equal, all logits of `other` are
# finite numbers, and the difference is at most 1e-4 of that batch's largest absolute logit of `reference`. Where a shape differs or a
# value is not finite, the difference is infinite.


# %% exercise="same_answers"
def same_answers(reference, other, batches):
    """Return (greatest difference, whether they agree)."""
    # solution
    greatest, agree = 0.0, True
    for batch in batches:
        expected = np.asarray(reference(batch))
        found = np.asarray(other(batch))
        gap = np.inf
        if found.shape == expected.shape and np.isfinite(found).all():
            gap = float(np.abs(found - expected).max())
        agree = agree and gap <= 1e-4 * np.abs(expected).max()
        greatest = max(greatest, gap)
    return greatest, bool(agree)
    # end


# %% [markdown] hint="same_answers"
# Compare shapes before you subtract: NumPy would stretch (1, 7) to (64, 7) without a word. And NaN is neither larger nor smaller than
# anything, so `gap > limit` is false for it; look with `np.isfinite`.

# %% [markdown]
# ### Exercise 7. Mend the clock
#
# *Medium, 15 minutes.*
#
# Mend `careless_ms` from above, all three mistakes. `make_input()` makes an input, `call(x)` runs the network on it, `clock()` returns the time in
# seconds. Return the median of `repeats` calls in milliseconds. The first call is not counted, and making the input is not timed.


# %% exercise="median_ms"
def median_ms(call, make_input, clock, repeats):
    """Return the median time of a warm call, in milliseconds."""
    # solution
    x = make_input()
    call(x)  # warm up
    taken = []
    for _ in range(repeats):
        begun = clock()
        call(x)
        taken.append(1000 * (clock() - begun))
    return statistics.median(taken)
    # end


# %% [markdown] hint="median_ms"
# Make the input first, call once without the clock, then put the clock close around each single call. `statistics.median` takes a list.

# %% [markdown]
# ### Exercise 8. The model card
#
# *Hard, 25 minutes.*
#
# Write the card of any record, as a dictionary. Numbers come from the record (see the cells above: `record.metrics("test")`,
# `bootstrap_interval`, `record.data["data"]`), as shares between 0 and 1; the rest is text in your words.
#
# | key | value |
# | --- | --- |
# | `"name"`, `"data"` | the record's name; the fingerprint of the data |
# | `"train"`, `"val"`, `"test"` | how many images each split has |
# | `"accuracy"`, `"interval"` | on test; its 95% interval, two numbers |
# | `"without_twins"` | accuracy on the test images without a twin |
# | `"recall"` | a dictionary: each of the seven classes, by name, and its recall on test |
# | `"intended_use"`, `"out_of_scope"` | what it is for; what it must not be used for |
# | `"limits"` | what to know; names the class with the least recall |
# | `"contact"`, `"licence"` | an address (e-mail or web), and under which terms it may be used |


# %% exercise="model_card"
def model_card(record):
    """Return the model card of a record, a dictionary."""
    # solution
    measured = record.metrics("test")
    labels, preds = record.labels("test"), record.preds("test")
    recall = dict(zip(EMOTIONS, measured["per_class_recall"], strict=True))
    return {
        "name": record.name,
        "data": record.data["data"]["fingerprint"],
        **record.data["data"]["sizes"],
        "accuracy": measured["accuracy"],
        "interval": bootstrap_interval(labels, preds),
        "without_twins": measured["accuracy_without_twins"],
        "recall": recall,
        "intended_use": "To learn how such networks are made and compared.",
        "out_of_scope": "Judging, sorting or watching people: at work, in "
        "schools, in health, in policing. It knows nothing of feelings.",
        "limits": "Web photographs of 48 x 48 pixels, uncertain labels; "
        f"{min(recall, key=recall.get)} is found least often.",
        "contact": "the.one.who.answers@example.org",
        "licence": "Code MIT; the rights in the photographs are unclear.",
    }
    # end


# %% [markdown] hint="model_card"
# Type no number: the checker tries several records. `record.metrics("test")` is a dictionary; print its keys. `zip(EMOTIONS, ...)` gives the
# classes their names in the right order.

# %% [markdown]
# ## What to take along
#
# - An answer depends on weights, preparation, class order and mode. Put into the file what can go there, the rest into its metadata.
# - A file is trusted after a comparison: all logits, several batch sizes, a tolerance that follows from the number format.
# - In evaluation, batch norm folds into the convolution. In eight bits, the grid is a scale and a zero point; channels want their own.
# - Calibration images come from train. What 8 bits cost is a paired comparison, on the device that counts.
# - Time with a warm network, one call at a time, by the median, and say device, threads and batch.
# - A share is not certainty, and a demo says what it must not be used for. The card's numbers come from the record.
#
# ## Further reading
#
# - Jacob et al., [Quantization and training of neural networks for efficient integer-arithmetic-only
#   inference](https://arxiv.org/abs/1712.05877) (2018): scale and zero point.
# - Nagel et al., [A white paper on neural network quantization](https://arxiv.org/abs/2106.08295) (2021): per channel, calibration,
#   and what to do when eight bits do cost.
# - Mitchell et al., [Model cards for model reporting](https://arxiv.org/abs/1810.03993) (2019).
# - Nguyen, Yosinski and Clune, [Deep neural networks are easily fooled](https://arxiv.org/abs/1412.1897) (2015): sure answers to what
#   is nothing.
# - The book's page on ethics: what not to build, and why.
