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
# # Why is it fast?
#
# > **You will** walk from the training loop that most repositories have to the one of this course, one change at a
# > time, see what each is worth and where, and learn to say how much faster a loop *could* be before you try.
# >
# > **Time** about 30 minutes, with two exercises. **Needs** a little PyTorch; no GPU, no download.
#
# Training is waiting. Whoever waits half as long tries twice as many ideas, or repeats each with twice as many seeds,
# and that is how differences are told from luck. So it is worth half an hour to ask where the time goes. Most of what
# follows costs nothing: the network, the augmentation and the result stay the same, to rounding.
#
# The figures up to the estimate for a T4 come from a record that `fercourse bench` wrote. It measures both loops in turn, in the
# same run, each measurement in a process of its own, and compares within pairs, so that a machine that is busy
# elsewhere slows down both.

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
import inspect

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import display

from fercourse import plots
from fercourse.bench import report, usual
from fercourse.bench.summary import SLOWER, TARGETS

plots.use_style()
records = report.load_records()
for record in records:
    print(report.where(record))

# %% [markdown]
# ## The loop that everybody writes
#
# This is the loop you find in most repositories on facial expressions, written down without malice: a `Dataset` that
# hands out one picture at a time, torchvision's transforms, a `DataLoader` with two workers, and a training loop
# that reads loss and accuracy as it goes. Nothing in it is wrong. Read it, and guess where the time goes.

# %%
print(inspect.getsource(usual))

# %% [markdown]
# And this is how fast it runs, beside the loop of this course (`fercourse.train.train_one_epoch`), in training images a
# second. The ratio is the median over the pairs, with the least and the greatest of them.

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of this table", "code_prompt_hide": "Hide the code"}
for record in records:
    print(report.where(record))
    display(
        pd.DataFrame(
            {
                model: {
                    "usual loop": f"{row['usual']:,.1f}",
                    "ours": f"{row['ours']:,.1f}",
                    "ratio": report.times(row),
                    "peak memory, MiB": report.memory(row),
                }
                for model, row in record["summary"]["train"].items()
            }
        ).T
    )

# %% [markdown]
# ## One step at a time
#
# Between the two lie a few steps. The record holds the speed after each, so that you can see which of them matter
# and for whom. Each line of the table keeps the changes of the lines above it.

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of this table", "code_prompt_hide": "Hide the code"}
for record in records:
    steps = {}
    for model, rungs in record["summary"]["ladder"].items():
        for rung in rungs:
            name = report.describe(rung["rung"], record)
            steps.setdefault(name, {})[model] = report.times(rung)
    print(f"Ratio to the usual loop, on {record['environment']['device']}")
    display(pd.DataFrame(steps).T.fillna(""))

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of this figure", "code_prompt_hide": "Hide the code", "image": {"alt": "For each network a line of points from top to bottom, one a step from the usual loop to ours, placed by how many times as fast as the usual loop it is, with bars from the least to the greatest pair. The table above holds the values."}}
for record in records:
    ladders = {
        model: [(report.describe("usual", record), 1, 1, 1)]
        + [
            (
                report.describe(rung["rung"], record),
                *(rung[key] for key in ("ratio", "low", "high")),
            )
            for rung in rungs
        ]
        for model, rungs in record["summary"]["ladder"].items()
    }
    if ladders:
        plots.ladder(ladders)
        plt.show()

# %% [markdown]
# ### Images as one tensor on the device, augmented there
#
# The usual loop opens each picture by itself, turns it into a PIL image, flips it, crops it, turns it into a tensor,
# and gathers a batch; all of it in Python, once a picture and epoch. On a machine with few processors the workers
# that do this take their time from the training itself. In front of a GPU they are simply too slow, and the GPU waits.
#
# But the whole data set is small:

# %%
pixels = max(r["data"]["training_images"] for r in records) * 48 * 48
print(f"All training images, a byte a pixel: {pixels / 1e6:.0f} MB")

# %% [markdown]
# So it can lie on the device from the start, once and for all. A batch is then one indexing operation, and a
# few operations augment all its pictures together. Each picture still gets its own random flip and crop. Flip and crop
# become *one* map from output to input, and the picture is resampled once.
# **Helps** everywhere, and most where the network is small and the device fast.
#
# ### No `.item()` in a step
#
# `loss.item()` asks for a number, so Python waits until the device has worked off everything it was told so far. Then
# the device has nothing to do while Python prepares the next step. Ours adds up loss and hits in tensors on the
# device and reads them once an epoch. **Helps** on a GPU. On a CPU the operations are done in order anyway, and
# nobody waits for anybody; there the ratio of this step is noise, and a good measure of how much noise there is.
#
# ### Channels last
#
# A batch of features has four axes: picture, channel, row, column. PyTorch keeps one channel after the other, each
# a plane of pixels. With `channels_last`, all channels of a pixel lie side by side. A convolution sums over channels,
# and now finds what it sums next to each other, in the order in which the fast kernels want it; no copy needs to be
# turned around before and after. **Helps** on CPUs, and on GPUs with matrix units in half precision. It changes no
# value but for rounding.
#
# ### Fused Adam
#
# Adam reads four numbers for each weight and writes three. Step by step that is a dozen passes over memory for each of a
# hundred tensors; fused, it is one pass. **Helps** where a network has many weights for the little it
# computes, and on GPUs, where each pass is a kernel to be started.
#
# ### Half precision
#
# In bf16, a number has half the bits of a float, so that memory moves twice as many of them, and hardware that was made
# for it multiplies several times as many. The weights and the sums stay in fp32. **Helps** on GPUs since Ampere (bf16;
# before that, fp16 with a scaled loss) and on CPUs with AMX or AVX512-BF16. On any other CPU bf16 is emulated,
# and you are better off without (see below). `fercourse` looks at the hardware and chooses.
#
# ### cuDNN's choice, and CUDA graphs
#
# Two steps are for NVIDIA's GPUs only. cuDNN has many kernels for one convolution; allowed to, it times them once and
# keeps the fastest. And a small network on a fast GPU is not held up by the computing at all, but by Python
# *describing* it: hundreds of kernels a step, one call each. A CUDA graph records the description once and replays
# it, from the augmentation to the optimiser, in a single call. The last step of the ladder, which is ours, does that.

# %%
if not any(r["environment"]["device_kind"] == "cuda" for r in records):
    print("On a GPU: pending, no record yet.")

# %% [markdown]
# ## Choices that are slower
#
# Not everything that is called an optimisation is one. The record also holds a few choices against the loop that they
# would change; below 1x they are slower.

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of this table", "code_prompt_hide": "Hide the code"}
for record in records:
    print(report.where(record))
    display(
        pd.DataFrame(
            [
                {
                    "choice": SLOWER[row["choice"]][1],
                    "network": row["model"],
                    "beside": report.compared(row),
                    "speed": report.times(row),
                }
                for row in record["summary"]["slower"]
            ]
        ).set_index("choice")
    )

# %% [markdown]
# *bf16 without hardware for it* is the costly mistake, because the same line of code is the best advice on the next
# machine. *Contiguous* is what you get when the network is not converted. (Its input alone would do for colour pictures; with one channel, both layouts are the same.)
# With *no workers*, the loop reads and augments by itself; where there are as few processors as here, that need not be
# slower at all, because the workers take theirs from the training. Measure it before you set it.
#
# ## How fast could it be?
#
# Before you tune, find out how much there is to gain. The bulk of a network's work is multiplying and adding, and both
# can be counted: a training step takes six operations for each of the network's multiply-accumulates and picture (a
# product and a sum; forward, and twice backward, once for the features, once for the weights). And what the
# device multiplies at best can be measured, with two large matrices. Their quotient is the **share of the peak**,
# and its inverse a bound: no loop that does these multiplications in the same number format can be faster than that,
# however clever. (There are tricks that need fewer multiplications, such as Winograd's for 3x3 convolutions. Where a
# library uses one, the share comes out too high.)

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of this table", "code_prompt_hide": "Hide the code"}
for record in records:
    matmul = {
        row["variant"]: row["flops"]
        for row in record["measurements"]
        if row["what"] == "matmul"
    }
    print(report.where(record))
    for name, flops in matmul.items():
        print(f"large products in {name}: {flops / 1e9:,.0f} GFLOP/s")
    display(
        pd.DataFrame(
            {
                model: {
                    "million multiplications": f"{record['mmacs'][model]:,.0f}",
                    "usual loop's share": f"{row['usual_share']:.0%}",
                    "our share": f"{row['ours_share']:.0%}",
                    "our ratio": report.times(row, span=False),
                    "at most": f"{row['most'] / row['usual']:.1f}x",
                }
                for model, row in record["summary"]["train"].items()
            }
        ).T
    )

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of this table", "code_prompt_hide": "Hide the code"}
for record in records:
    rows = record["summary"]["train"]
    large = [m for m in rows if record["mmacs"][m] >= 100]
    where = record["environment"]["device"]
    if record["environment"]["device_kind"] == "cpu" and large:
        shares = [rows[m]["usual_share"] for m in large]
        most = [rows[m]["most"] / rows[m]["usual"] for m in large]
        print(f"On {where}, the usual loop already reaches")
        print(
            f"{min(shares):.0%} to {max(shares):.0%} of the peak", end=" "
        )
        print(f"with {', '.join(large)}:")
        print(f"nothing could be more than {max(most):.1f}x as fast there.")
        bf16 = record["environment"]["cpu_multiplies_bf16"]
        print(f"This CPU has {'' if bf16 else 'no '}bf16 instructions.")

# %% [markdown]
# That is worth a moment. On a plain CPU, a large network spends its time in convolutions that were tuned by people
# who do nothing else, and whoever writes the loop around them can win little. A promise of "three times as fast" for
# such a network, in the same number format, is a promise to beat the multiplier. What *can* change it is the
# hardware: a CPU with bf16 instructions raises the peak itself, and a GPU raises it so far that everything else in
# the loop, the workers, the waiting, the describing, suddenly is what counts. The same loop that is nearly optimal here
# wastes most of a large GPU.
#
# What was aimed at before anything was measured, and what came out:

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of this table", "code_prompt_hide": "Hide the code"}
aims = []
for device, targets in TARGETS.items():
    found = [r for r in records if device in r["environment"]["device"]]
    for model, target in targets.items():
        row = found[0]["summary"]["train"].get(model) if found else None
        aims.append(
            {
                "device": device,
                "network": model,
                "aim": f"{target:g}x",
                "measured": report.times(row) if row else "pending",
            }
        )
pd.DataFrame(aims).set_index(["device", "network"])

# %% [markdown]
# The aims for the CPU came from a trial on a machine *with* bf16 instructions. Where the table above shows less than the
# aim, the table of shares shows why.
#
# ## Evaluation and reading
#
# The other loops of a training are the evaluation after each epoch, and reading the file at the start. The usual reader is
# torchvision's. Ours parses the file once; after that its cache keeps the images as arrays.

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of this table", "code_prompt_hide": "Hide the code"}
for record in records:
    summary = record["summary"]
    print(report.where(record))
    display(
        pd.DataFrame(
            {
                f"evaluating {model}, images/s": {
                    "usual": f"{row['usual']:,.0f}",
                    "ours": f"{row['ours']:,.0f}",
                    "ratio": report.times(row),
                }
                for model, row in summary["evaluate"].items()
            }
            | {
                f"reading fer2013.csv, {name}, s": {
                    "usual": f"{row['usual_seconds']:.1f}",
                    "ours": f"{row['seconds']:.2f}",
                    "ratio": report.times(row),
                }
                for name, row in summary["load"].items()
            }
        ).T
    )

# %% [markdown]
# ## An estimate for a T4 in Colab
#
# Nobody has measured the course on Colab's free GPU yet, so here is an **estimate**, and how it is made: the
# operations of a training by paper 1's recipe, divided by a share of the T4's published peak in fp16. How large a
# share a training reaches is a guess; the table shows three.

# %%
from fercourse.bench.summary import PUBLISHED_PEAK
from fercourse.models import model_table
from fercourse.recipes import make_config

epochs = make_config("resnet18").epochs
faces = max(r["data"]["training_images"] for r in records)
networks = {
    row["name"]: row["mmacs"]
    for row in model_table()
    if row["paper"] == "paper 1"
}
work = {name: 6e6 * m * faces * epochs for name, m in networks.items()}
work[f"all {len(networks)} of Table 2"] = sum(work.values())
estimate = pd.DataFrame(
    {
        f"at {share:.0%} of the peak": {
            name: f"{operations / (share * PUBLISHED_PEAK['T4']) / 60:,.0f} min"
            for name, operations in work.items()
        }
        for share in (0.1, 0.2, 0.4)
    }
)
print(f"Estimate, not a measurement: {epochs} epochs, {faces:,} images,")
print(f"T4 at {PUBLISHED_PEAK['T4'] / 1e12:.0f} TFLOP/s in fp16")
estimate.loc[["vgg11", "resnet18", "resnet50", list(work)[-1]]]

# %% [markdown]
# Networks with few multiplications, the MobileNets above all, reach a smaller share than the large ones: their time
# goes into memory and into starting kernels, which this estimate knows nothing of.
#
# ## Your machine
#
# Enough of other people's machines. This cell trains the smallest network for a few seconds with each loop, here and
# now. It is a rough measurement, in one process and once; `fercourse bench` in a terminal does it properly, in some
# minutes.

# %%
import time

import torch

from fercourse.data.synthetic import synthetic_faces
from fercourse.device import pick_device, pick_precision
from fercourse.models import create_model
from fercourse.train import make_optimizer, train_one_epoch

config = make_config("basic_cnn")
device = pick_device()
drawn = synthetic_faces(sizes=(640, 0, 0)).train
weight = torch.ones(7, device=device)

# %%
plain = create_model("basic_cnn").to(device)
plain_optimizer = usual.make_optimizer(plain)


def usual_loop(count: int) -> None:
    loader = usual.make_train_loader(
        drawn.images[:count], drawn.labels[:count]
    )
    criterion = torch.nn.CrossEntropyLoss(weight=weight)
    usual.train(plain, loader, criterion, plain_optimizer, device)


# %%
model = create_model("basic_cnn")
precision = pick_precision(model, device)
model.to(device, memory_format=precision.memory_format)
optimizer = make_optimizer(model, config)
images = torch.from_numpy(drawn.images).to(device)
labels = torch.from_numpy(drawn.labels).to(device)


def our_loop(count: int) -> None:
    train_one_epoch(
        model,
        images,
        labels,
        optimizer,
        order=torch.arange(count, device=device),
        batch_size=64,
        generator=torch.Generator(device=device).manual_seed(0),
        precision=precision,
        augmentation=config.augment,
        weight=weight,
    )


# %%
def seconds(train, count: int) -> float:
    """Time without the first batches, which are slow in both loops."""
    train(128)
    start = time.perf_counter()
    train(count)
    if device.type != "cpu":
        getattr(torch, device.type).synchronize()
    return time.perf_counter() - start


# %% tags=["nbval-ignore-output", "measured"]
times = {"usual": usual_loop, "ours": our_loop}
for name, loop in times.items():
    times[name] = seconds(loop, len(drawn))
    print(f"{name:6}{len(drawn) / times[name]:8.0f} images a second")
print(f"ratio {times['usual'] / times['ours']:.1f}x")

# %%
assert 0.3 < times["usual"] / times["ours"] < 300
print("Both loops were timed.")

# %% [markdown]
# (On a GPU this leaves out the CUDA graphs, which `fercourse train` uses. And the usual loop pays for the start of its
# workers here, as it does in every epoch.)
#
# ## Exercises
#
# ### 1. The bound, by hand
#
# Take the first record. How many seconds does one epoch of ResNet18 take at least on that device, if every operation
# ran at the measured peak of fp32? And how many does the usual loop take?
#
# <details><summary>Hint</summary>
#
# `record["mmacs"]` holds the multiply-accumulates in millions, and the row with `what` equal to `"matmul"` the peak in
# operations a second.
#
# </details>

# %%
# Your code here: `records[0]` is the first record.

# %% tags=["hide-cell"] cellView="form" jupyter={"source_hidden": true} mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
# @title Solution
first = records[0]
peak = next(
    row["flops"]
    for row in first["measurements"]
    if row["what"] == "matmul" and row["variant"] == "fp32"
)
operations = 6e6 * first["mmacs"]["resnet18"] * faces
speed = first["summary"]["train"]["resnet18"]["usual"]
print(f"at least {operations / peak:,.0f} s an epoch")
print(f"usual loop: {faces / speed:,.0f} s an epoch")

# %% [markdown]
# ### 2. One by one, or together
#
# How much of the gain is the augmentation alone? Time `usual.train_transform` on the 640 drawn faces one by one (no
# workers), and `fercourse.augment.augment` on all of them in batches of 64, and print the ratio. Do both on the CPU.
#
# <details><summary>Hint</summary>
#
# `Image.fromarray` from PIL makes a picture of an array; `config.augment` is the recipe's augmentation. Run both once
# before you start the clock.
#
# </details>

# %%
# Your code here: `drawn.images` holds the faces.

# %% tags=["hide-cell", "nbval-ignore-output", "measured"] cellView="form" jupyter={"source_hidden": true} mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
# @title Solution
import timeit

from PIL import Image

from fercourse.augment import augment


def one_by_one() -> None:
    for picture in drawn.images:
        usual.train_transform(Image.fromarray(picture))


def together() -> None:
    for batch in torch.from_numpy(drawn.images).split(64):
        augment(batch, config.augment)


taken = [
    min(timeit.repeat(way, number=1, repeat=4))  # the least disturbed
    for way in (one_by_one, together)
]
print(
    f"one by one {taken[0] * 1000:.0f} ms, together {taken[1] * 1000:.0f}"
)
print(f"ratio {np.divide(*taken):.1f}x")

# %% tags=["hide-cell"] cellView="form" jupyter={"source_hidden": true} mystnb={"code_prompt_show": "Show the check of the solution", "code_prompt_hide": "Hide the check"}
# @title Check of the solution
assert taken[0] > taken[1]
print("Together is faster.")
