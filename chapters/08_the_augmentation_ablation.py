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
# # The augmentation ablation
#
# > **By the end you can** design an ablation that answers the questions it is asked, say what one seed hides and how many
# > it takes, test a difference and correct for having tested ten, and find out whether two changes add up.
# >
# > **You need** chapter 2 (the transforms) and chapter 3 (the training step). A GPU for the full trainings only.
# >
# > **Time** 80 minutes to read and run, 95 more for the six exercises.
#
# Paper 1 chooses its augmentation by a small table: one network, ResNet18, trained five times, each time with other
# transforms. It is the most common experiment in the field, an **ablation**, and it is less simple than it looks. What a
# row means depends on the rows beside it; a difference of one point may be luck; and what helps alone may do nothing in
# company. This chapter takes the table apart, and builds one whose answers you can trust.

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
import contextlib
import itertools

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from scipy import stats
from torch import nn
from torch.nn import functional as F

from fercourse import plots, results
from fercourse.augment import augment
from fercourse.check import ch08
from fercourse.course import explore
from fercourse.data.synthetic import (
    draw_faces,
    emotion_units,
    synthetic_faces,
)
from fercourse.papers import TABLE1

plots.use_style()

# %% [markdown]
# ## Five rows
#
# *6 minutes*
#
# This is the table, with ours beside it. *Pending* means that no training of ours has been recorded yet.

# %%
results.table1()

# %% [markdown]
# From it the paper concludes that horizontal flip brings "about 3%", random resized crop "around 6%", and that rotation or
# erasing on top make it worse. So it trains all its networks with flip and crop. Here is the same as a picture, in which
# each of our trainings will be a dot of its own. Mean and spread are easily hidden in a table of single numbers.

# %% mystnb={"image": {"alt": "Accuracy on val, a row for each of the five augmentations of Table 1, from about 60 to 70 per cent. A diamond marks what the paper reports, dots the seeds that were recorded here, with a bar at their mean; a row without a record says pending. The table above holds the values."}}
ours = {g.shows.partition(":")[0]: g for g in results.groups("table1")}
plots.seeds(
    {name: ours[name].accuracies("val") for name in TABLE1}, paper=TABLE1
)
plt.show()

# %% [markdown]
# Note where these accuracies are from: *val*, the split on which the paper also chooses the epoch whose weights it keeps.
# Chapter 3 showed what a best of many is worth: each row's number is a little better than its network is, and the more its curve
# goes up and down, the more so. To *choose* an augmentation on val is right. To report the chosen one's accuracy, one
# needs images that took no part in the choice.
#
# ## One question a row
#
# *8 minutes*
#
# An ablation compares rows. Two rows answer a question if they differ in **one** thing. In which do these differ?

# %%
NAMES = ("flip", "crop", "rotation", "erasing")
switches = pd.DataFrame(
    {
        row: [getattr(ours[row].config.augment, name) > 0 for name in NAMES]
        for row in TABLE1
    },
    index=NAMES,
).T
switches.replace({True: "on", False: ""})

# %% [markdown]
# > **Predict.** Five rows make ten pairs. How many of the ten differ in one switch only, and so answer one question?

# %%
steps = {}
for one, other in itertools.combinations(TABLE1, 2):
    changed = [n for n in NAMES if switches[n][one] != switches[n][other]]
    if len(changed) == 1:
        name = f"{changed[0]}, beside {one.removesuffix(' alone')}"
        steps[name] = TABLE1[other] - TABLE1[one]
        print(f"{name:32} {100 * steps[name]:+.2f} points")

# %% [markdown]
# Four. The others mix two changes or more: from "none" to "flip and crop" is one number for two transforms. Two things
# follow.
#
# - **The order matters.** Crop was added to flip and never tried alone, rotation only to both. "Crop brings 6%" means: *to a
#   network that has flip already*. This is **adding in**. One could as well **leave out**: begin with all four transforms and
#   switch off one at a time. The two designs ask different questions, and need not agree.
# - **The control decides.** Every "brings" is relative to a row. Without the row "none", nothing could be said about flip.
#
# A design should also say what is **held fixed**. Here it is the network, the learning rate and its plan, the split, and 50
# epochs. That sounds fair, and is not quite: a network that sees other versions of its faces each time learns more slowly,
# and may not be done after as many epochs. If rotation "makes it worse", is it the rotation, or that the training was
# cut short? Only a longer training, or a look at the training loss, can tell. A list to go through before the first
# training:
#
# 1. What is the question, in one sentence, and which two rows answer it?
# 2. Is there a control row, trained by the same code at the same time?
# 3. Same budget for all? Same *tuning* for all? (A learning rate found for one row favours that row.)
# 4. How many seeds, the same for every row?
# 5. On which split is the choice made, and on which the result reported?
#
# ## A laboratory of small faces
#
# *10 minutes*
#
# Five trainings of ResNet18 with several seeds each take a GPU for hours. To see how an ablation behaves, something
# smaller will do: drawn faces of 24 x 24 pixels, and networks with one hidden layer. They are so small that eight of
# them, with different initial weights, can be trained **side by side** in a second, as one batch of matrix products.


# %%
def small(faces):
    """Return faces as (N, 24, 24), about -2 to 2, and their labels."""
    x = torch.from_numpy(faces.images).unsqueeze(1).float()
    x = (F.avg_pool2d(x / 255, 2) - 0.5) / 0.25
    return x[:, 0], torch.from_numpy(faces.labels)


# %%
drawn = synthetic_faces("easy", sizes=(2000, 1000, 0))
train_faces, train_labels = small(drawn.train)
val_faces, val_labels = small(drawn.val)
framed = F.pad(train_faces, (1, 1, 1, 1), mode="replicate")  # to shift in
SEEDS = 8


# %%
class SideBySide(nn.Module):
    """Dense networks, one a seed, that know nothing of one another."""

    def __init__(self, seeds, pixels=576, hidden=32):
        super().__init__()
        first = torch.randn(seeds, pixels, hidden) / pixels**0.5
        second = torch.randn(seeds, hidden, 7) / hidden**0.5
        self.first = nn.Parameter(first)
        self.second = nn.Parameter(second)
        self.bias1 = nn.Parameter(torch.zeros(seeds, 1, hidden))
        self.bias2 = nn.Parameter(torch.zeros(seeds, 1, 7))

    def forward(self, x):  # (seeds, B, pixels) -> (seeds, B, 7)
        x = torch.baddbmm(self.bias1, x, self.first).relu()
        return torch.baddbmm(self.bias2, x, self.second)


# %% [markdown]
# Three transforms, each decided image by image: **flip** with probability one half; **shift** by up to one pixel of the 24
# in each direction; **erase** a box of 8 x 8 with probability one half. All random numbers are drawn whether a transform is
# switched on or not, so that switching one changes nothing else: every row sees the same faces in the same order, and
# begins with the same weights. Seeds are **paired** across rows.
#
# All this runs in one thread of the processor. The matrices are so small that several threads would wait for one another
# longer than they work.


# %%
def transformed(chosen, u, flip=False, shift=False, erase=False):
    """Return train faces, each changed by its own six numbers u."""
    x, place = train_faces[chosen], torch.arange(24)
    if shift:
        rows, columns = (3 * u[:, :2].T[..., None]).long() + place
        x = framed[chosen[:, None, None], rows[..., None], columns[:, None]]
    if flip:
        x = torch.where(u[:, 2, None, None] < 0.5, x.flip(-1), x)
    if erase:
        corner = (17 * u[:, 3:5]).long()[..., None]
        inside = (place >= corner) & (place < corner + 8)
        box = inside[:, 0, :, None] & inside[:, 1, None]
        x = x.masked_fill(box & (u[:, 5, None, None] < 0.5), 0.0)
    return x


# %%
@contextlib.contextmanager
def one_thread():
    """Use one thread for a while, then as many as before."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


# %%
@one_thread()
def train_row(count=200, steps=300, **switches):
    """Train a network for every seed on the first `count` faces."""
    torch.manual_seed(0)
    model = SideBySide(SEEDS)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    draw = torch.Generator().manual_seed(1)
    for _ in range(steps):
        chosen = torch.randint(count, (SEEDS * 32,), generator=draw)
        u = torch.rand(len(chosen), 6, generator=draw)
        x = transformed(chosen, u, **switches)
        logits = model(x.view(SEEDS, 32, -1)).flatten(0, 1)
        loss = SEEDS * F.cross_entropy(logits, train_labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model


# %%
@one_thread()
@torch.inference_mode()
def score(model, mirror=False):
    """Return each seed's accuracy on val, never on changed faces."""
    x = val_faces.flatten(1).expand(SEEDS, -1, -1)
    probs = model(x).softmax(2)
    if mirror:  # ask about the mirrored face as well, and average
        x = val_faces.flip(-1).flatten(1).expand(SEEDS, -1, -1)
        probs = probs + model(x).softmax(2)
    hits = probs.argmax(2) == val_labels
    return hits.double().mean(1).numpy()


# %% [markdown]
# > **Predict.** Two hundred faces to train on, all drawn within a pixel or so of the middle of the picture, and so are those
# > of val. Will flip help this network? Will shift? And will erasing, beside flip?

# %%
ROWS = {
    "none": {},
    "flip": {"flip": True},
    "flip, erase": {"flip": True, "erase": True},
    "shift": {"shift": True},
    "flip, shift": {"flip": True, "shift": True},
}

# %% tags=["nbval-ignore-output"]
models = {name: train_row(**row) for name, row in ROWS.items()}
lab = {name: score(model) for name, model in models.items()}
for name, values in lab.items():
    print(f"{name:12} {values.mean():.1%} ± {100 * values.std(ddof=1):.1f}")

# %%
gain = {name: values - lab["none"] for name, values in lab.items()}
assert gain["flip"].mean() > 0.02
assert gain["shift"].mean() < -0.05
print("Flip helps, shift harms.")

# %% mystnb={"image": {"alt": "Accuracy on val of eight seeds a row, drawn faces. Flip lies about five points above none, flip with erasing about three, and the two rows with shift about ten points below it. Within each row the seeds spread over about three points or more; the dots of flip and of flip with erasing overlap."}}
plots.seeds(lab)
plt.show()

# %% [markdown]
# Flip helps because a mirrored face is as good a face as any. Shift *harms*: it teaches the network to bear something that
# hardly happens in val, at the price of what does happen, and 32 hidden units have little to spare. Erasing, beside flip,
# moves the mean by less than either, and the dots overlap: to that we come next. This is the first thing
# an ablation can teach: **a transform is good or bad for a network, a data set and a budget**, not in itself. On faces that
# are not centred, and with convolutions, shift may well win; FER-2013 is to be asked, and that is what Table 1 does.
#
# ## What one seed hides
#
# *10 minutes*
#
# Look at the dots again. All eight of a row had the same faces, the same kinds of transform, as many steps; only the initial
# weights and the random draws differ. Suppose you had trained each row once. Would you prefer flip with erasing, or without?

# %% tags=["nbval-ignore-output"]
without, beside = lab["flip"], lab["flip, erase"]
wins = (beside[:, None] > without).mean()
print(f"means: {without.mean():.1%} without, {beside.mean():.1%} with")
print(f"one seed each: 'with' comes out ahead in {wins:.0%} of 64 cases")
print(f"best of one row less worst of the same: {np.ptp(without):.1%}")

# %%
assert 0.01 < np.ptp(without) < 0.1
assert 0 < wins < 0.6
print("Between the seeds of one row lies more than a point.")

# %% [markdown]
# A paper with one training a row has picked one of such 64 cases for you. How often that gives the wrong order depends on
# two numbers only: the true difference, and the spread between seeds. Suppose that erasing really takes as much as the
# paper's table says, and try three spreads:


# %%
def wrong_order(difference, spread, seeds, repeats=20_000):
    """How often the worse of two rows has the better mean."""
    draw = np.random.default_rng(0)
    means = draw.normal(size=(2, repeats, seeds)).mean(2) * spread
    return (means[0] > means[1] + abs(difference)).mean()


# %%
lost = 100 * (TABLE1["flip, crop and erasing"] - TABLE1["flip and crop"])
print(f"true difference {lost:+.2f} points; the order comes out wrong:")
for spread in (0.3, 0.6, 1.2):
    shares = [wrong_order(lost, spread, seeds) for seeds in (1, 3, 10)]
    print(f"spread {spread}:", *(f"{share:4.0%}" for share in shares))

# %% [markdown]
# (The columns are 1, 3 and 10 seeds a row.) What is the spread of ResNet18 on FER-2013? The paper does not say, and with one
# training a row nobody can. It will stand in the table above, after the ±, as soon as ours are recorded.
#
# Turned round, the same calculation *plans* an ablation: how large must a difference be, for a t test at the usual 5% to find it in four cases of
# five? This is the **detectable difference**. It falls as one over the root of the number of seeds, and faster while seeds are few, since their
# spread itself is badly known then.


# %%
def detectable(seeds, spread, power=0.8):
    """The difference that a t test at 5% finds with this power."""
    free = 2 * seeds - 2
    factor = stats.t.ppf(0.975, free) + stats.t.ppf(power, free)
    return factor * spread * np.sqrt(2 / seeds)


# %%
def draw_detectable(ax, spread):
    """Detectable difference by seeds; the paper's are dashed lines."""
    seeds = np.arange(2, 21)
    ax.plot(seeds, detectable(seeds, spread), "o-", markersize=4)
    for name, step in steps.items():
        ax.axhline(
            100 * abs(step), color="0.6", linestyle="--", linewidth=1
        )
        ax.text(20.8, 100 * abs(step), name.partition(",")[0], va="center")
    ax.set_xlabel("seeds a row")
    ax.set_ylabel("points")
    ax.set_title(f"detectable where seeds spread by {spread:.1f} points")
    ax.set_xticks((2, 5, 10, 15, 20))
    ax.set_xlim(1.4, 20.6)
    ax.set_ylim(0, 8)


# %% mystnb={"image": {"alt": "Detectable difference in points by seeds a row, for spreads between seeds of 0.5 and 1.2 points. Both curves fall steeply up to five seeds and slowly afterwards. Dashed lines mark the paper's four steps. With a spread of 0.5, crop, flip and rotation lie above the curve from two seeds on, erasing from eight; with 1.2, crop from three seeds on, flip from about three, rotation from four, erasing never up to twenty."}}
figure, axes = plt.subplots(
    2, 1, figsize=(5.8, 5.6), sharex=True, layout="constrained"
)
for ax, spread in zip(axes, (0.5, 1.2), strict=True):
    draw_detectable(ax, spread)
plt.show()

# %% [markdown]
# In a running notebook, move the spread:


# %%
def plan(spread=0.6):
    """One panel."""
    draw_detectable(plt.subplots(figsize=(5, 3))[1], spread)
    plt.show()


# %%
explore(plan, spread=(0.1, 2.0, 0.1))

# %% [markdown]
# ## Is it more than luck?
#
# *12 minutes*
#
# Two kinds of luck are in an accuracy, and they call for different tests.
#
# **Which images.** Val has 3,589, and others would have given another number. Two networks are measured on the *same*
# images, so only those count of which exactly one network is right; if they are a share $d$ of all, the standard error
# of the difference is about $\sqrt{d / n}$. The paper does not give $d$. Two
# recorded networks of this project can stand in for it. They are smaller than the paper's, so take it as a rough size:

# %%
n, d = 3589, 0.25  # a guess, where there is no record
recorded = {
    record.model: record
    for record in results.reported(["basic_cnn", "small_vgg"], "quick")
}
if len(recorded) == 2:
    hits = [r.preds("val") == r.labels("val") for r in recorded.values()]
    d = (hits[0] != hits[1]).mean()
print(f"exactly one is right on {d:.0%} of the val images")
print(f"standard error of a difference: {100 * (d / n) ** 0.5:.2f} points")

# %% [markdown]
# **Which seed.** This one is measured by training again. With several seeds a row, a **t test** asks whether the means
# differ by more than their spread explains: Welch's for rows as such, the **paired** one for the differences seed by
# seed. Pairing pays if a seed that is good for one row is good for the other too. The **permutation test** of exercise 3
# needs no distribution: if the transform did nothing, each seed's difference might as well have the other sign.

# %% tags=["nbval-ignore-output"]
for one, other in [("none", "flip"), ("flip", "flip, erase")]:
    a, b = lab[one], lab[other]
    welch = stats.ttest_ind(a, b, equal_var=False).pvalue
    paired = stats.ttest_rel(a, b).pvalue
    print(f"{one} to {other}: {b.mean() - a.mean():+.1%}", end="; ")
    print(f"p = {welch:.2g} (Welch), {paired:.2g} (paired)")
print(f"correlation over seeds: {np.corrcoef(a, b)[0, 1]:.2f}")

# %%
assert stats.ttest_rel(lab["none"], lab["flip"]).pvalue < 0.01
assert abs((b - a).mean()) < gain["flip"].mean()
print("Flip is beyond doubt; erasing moves less than flip does.")

# %% [markdown]
# For erasing the two tests may well fall on different sides of 5%. Then the honest answer is "not settled by eight seeds",
# and not the test that one likes better: choose the test before you look.
#
# A p value is not the probability that a transform is useless. It says how often luck alone would give a difference
# at least as large. And so it invites the next trap: ask often enough, and luck answers.
#
# > **Predict.** Five rows that are all *the same* training, five seeds each; all ten pairs are tested at 5%. How often is
# > at least one pair "significant": in 5%, 25% or 50% of such tables?

# %%
draw = np.random.default_rng(0)
tables = draw.normal(size=(4000, 5, 5))  # table, row, seed: all alike
tested = [
    stats.ttest_ind(tables[:, i], tables[:, j], axis=1).pvalue
    for i, j in itertools.combinations(range(5), 2)
]
least = np.min(tested, axis=0)
print(f"at least one of ten below 5%: {(least < 0.05).mean():.0%}")
print(f"at least one of ten below 0.5%: {(least < 0.005).mean():.0%}")

# %% [markdown]
# More than a quarter of all such tables would have something to report. (Ten *independent* tests would reach 40%; these
# share their rows.) **Bonferroni's** answer is to divide the 5% by the number of
# tests; **Holm's** (exercise 4) is as safe, and finds more. Better still is to ask less: decide beforehand which four pairs
# are the questions. And say how many you asked.
#
# One more number belongs in every table with seeds. The **standard error of the mean** tells how well the mean is known,
# and shrinks with every seed. The **prediction interval** tells where *one further training* will lie, yours for
# instance; it does not shrink to nothing (exercise 2). A single published run must be held against the second.
#
# ## Two at a time
#
# *8 minutes*
#
# "Flip brings five points, so let us add it to the rest." The four rows without erasing can tell whether that is a
# good plan, because they are complete: both transforms, each with and without the other. This is a **factorial** design, and it gives three numbers. A
# **main effect** is what a transform brings on average over the other's settings. The **interaction** is the difference
# of its effect beside the other and alone: zero, if effects add up.

# %%
factorial = np.array(
    [[lab["none"], lab["shift"]], [lab["flip"], lab["flip, shift"]]]
)  # flip off and on, shift off and on, seed

# %% tags=["nbval-ignore-output"]
alone, beside = factorial[1] - factorial[0]
interaction = beside - alone
print(f"flip alone {alone.mean():+.1%}, beside shift {beside.mean():+.1%}")
print(f"main effect of flip {(alone + beside).mean() / 2:+.1%}")
print(f"interaction {interaction.mean():+.1%}, ", end="")
print(f"standard error {stats.sem(interaction):.1%}")

# %%
assert alone.mean() > 0.02
assert interaction.mean() < -0.005
print("Flip gains less beside shift than alone.")

# %% [markdown]
# Flip's effect is not a property of flip: beside shift, much of it is gone. One table that adds in (none, shift, flip with
# shift) would have called flip a small help; another (none, flip) calls it the best of all. Neither is wrong. They answer
# different questions.
#
# Why do effects fail to add up? Often because two changes do **the same job**. Here is a case with a clear reason. At the
# time of the answer one can also ask the network about the *mirrored* face, and average both (test-time augmentation). It
# costs a second pass, and no training.
#
# > **Predict.** By how many points does the mirrored question help a network that was trained without flip, and by how many
# > one that was trained with it?

# %% tags=["nbval-ignore-output"]
mirrored = {name: score(models[name], mirror=True) for name in lab}
table = pd.DataFrame(
    {
        "one question": [lab["none"].mean(), lab["flip"].mean()],
        "mirrored too": [mirrored["none"].mean(), mirrored["flip"].mean()],
    },
    index=["trained without flip", "trained with flip"],
)
table.map("{:.1%}".format)

# %%
helps = {name: (mirrored[name] - lab[name]).mean() for name in lab}
assert helps["none"] > 0.015
assert abs(helps["flip"]) < 0.012
assert helps["flip"] < helps["none"] / 2
print("The mirrored question helps where flip was not trained.")

# %% mystnb={"image": {"alt": "Accuracy on val of networks trained without and with flip, as two lines: asked once, and asked about the mirrored face too. Trained without flip, the second line lies clearly above the first; trained with flip, the two nearly meet."}}
_, ax = plt.subplots(figsize=(5.6, 3.2), layout="constrained")
styles = {"one question": "o-", "mirrored too": "s--"}
for (name, style), values in zip(
    styles.items(), (100 * table).to_numpy().T, strict=True
):
    ax.plot(
        ["trained without flip", "with flip"], values, style, label=name
    )
ax.set_xlim(-0.3, 1.3)
ax.set_ylabel("accuracy on val, %")
ax.legend()
plt.show()

# %% [markdown]
# Parallel lines would mean: no interaction. These nearly meet. A network that was trained on mirrored faces gives a face and
# its mirror image nearly the same answer, and there is nothing left to average. Alone, each of the two helps; together they
# are worth little more than one. Trying **one thing at a time** from the control would have found two improvements, and
# promised their sum.
#
# With four transforms a full factorial has sixteen rows. Nobody trains sixteen rows with five seeds for a footnote; but one
# can train those in which the expected partners meet, or leave one out of the full set *and* add one to the empty one.
# Where the two disagree, there is an interaction.
#
# ## When labels are scarce
#
# *6 minutes*
#
# Augmentation stands in for faces that one does not have. So its effect should depend on how many one has.
#
# > **Predict.** Flip brings about five points with 200 faces. What does it bring with 600, and what with 2,000, for as many
# > steps?

# %% tags=["nbval-ignore-output"]
by_count = {200: (lab["none"], lab["flip"])}
for count in (600, 2000):
    pair = [score(train_row(count, flip=flip)) for flip in (False, True)]
    by_count[count] = pair
for count, (off, on) in by_count.items():
    print(f"{count:5} faces: {off.mean():.1%}, with flip {on.mean():.1%}")

# %%
flips = {c: (on - off).mean() for c, (off, on) in by_count.items()}
assert flips[200] > flips[2000] + 0.015
assert flips[600] > 0.01
assert by_count[200][1].mean() < by_count[600][0].mean() - 0.05
print("Flip is worth most where faces are few.")

# %% [markdown]
# With 600 faces flip still brings some points; with 2,000 hardly anything is left, at least in three hundred steps, which is
# less than five passes over so many.
# And all of flip's five points are far less than what four hundred more faces bring. Augmentation is the cheap way to more
# data, not the better one.
#
# An ablation on a tenth of the data therefore says little about the whole. For FER-2013 the grid `scarce` asks this of
# ResNet18, with `train_fraction` in the configuration: a share of every class, drawn by the seed. The number of *epochs* is
# the same in all rows, so that the small shares take fewer steps: that, too, is a choice, and a different one from above.

# %%
pd.DataFrame(
    {
        g.shows: {"ours, val": g.summary("val")}
        for g in sorted(
            results.groups("scarce"), key=lambda g: g.config.train_fraction
        )
        if g.config.pretrained == "none"  # the others: a track of their own
    }
).T

# %% [markdown]
# ## What faces ask of a transform
#
# *6 minutes*
#
# Transforms are borrowed from photographs of things. For faces, three questions are worth asking.
#
# **Is a mirrored face still the same expression?** For the seven labels of FER-2013, yes: no class is defined by a side.
# (For lips drawn up on one side only, or for the direction of a gaze, the label would have to be mirrored too.) It is the
# one transform here that leads from one possible face to another, with no border, no blur and nothing lost.
#
# **How far may it turn, and how much may be cut off?** FER-2013's faces were found by a detector and are roughly upright
# and centred. The paper gives a probability for each transform, one half, and neither angle nor size of crop. A crop of
# 8% of the area, torchvision's default at the lower end, is a patch of 14 x 14 pixels:

# %%
face = torch.from_numpy(draw_faces(emotion_units("happy"), identity=3))
draw = torch.Generator().manual_seed(4)
shown, titles = [], []
for words, options in {
    "crops, 8%": {"crop": 1.0, "crop_scale": (0.08, 0.08)},
    "crops, 50%": {"crop": 1.0, "crop_scale": (0.5, 0.5)},
    "crops, 80%": {"crop": 1.0, "crop_scale": (0.8, 0.8)},
    "up to 30°": {"rotation": 1.0, "rotation_degrees": 30.0},
}.items():
    batch = augment(face.repeat(5, 1, 1), generator=draw, **options)
    shown.append(batch[:, 0].numpy())
    titles += [words, "", "", "", ""]

# %% mystnb={"image": {"alt": "A drawn happy face, five times in each of four rows. Crops of 8 per cent of the area show a nose, a mouth, or a forehead with brows; crops of 50 per cent most of the face, crops of 80 per cent nearly all of it; in the last row it is turned by up to 30 degrees, with black corners."}}
plots.faces(np.concatenate(shown), titles, columns=5, size=0.95)
plt.show()

# %% [markdown]
# Is "happy" still a true label for a nose? The course settles on crops of 50% to 100% and on 10 degrees, and says so in the recipe;
# the grid `ablations` tries torchvision's crops and milder ones beside it:

# %%
open_choices = results.groups("ablations")[:3]
pd.DataFrame(
    {g.shows: {"ours, val": g.summary("val")} for g in open_choices}
).T

# %% [markdown]
# **Does it hide what decides?** Erasing a box over the mouth of a happy face takes the evidence away and keeps the label.
# That is the point of erasing, to make the network look elsewhere too; on 48 x 48 pixels there may be no elsewhere.
#
# ## Training the five rows
#
# *4 minutes*
#
# Each row as a training of ResNet18, by the code that makes the records. In *smoke* each takes a few drawn faces once; in
# *quick* each takes minutes on a GPU; *full* is the paper's 50 epochs. Set `seed` to 1, 2, ... for further dots.

# %%
OFF = dict.fromkeys(
    ("flip", "crop", "rotation", "erasing", "translation", "zoom"), 0.0
)
augments = {
    row: OFF | {name: 0.5 for name in NAMES if switches[name][row]}
    for row in TABLE1
}
seed, histories = 0, {}

# %% tags=["nbval-ignore-output"]
for row, switched in augments.items():
    print(row)
    network, histories[row] = session.train(
        "resnet18", augment=switched, seed=seed
    )

# %%
losses = pd.concat(histories)["train_loss"]
assert losses.between(0, 5).all()
print(f"{len(histories)} rows of Table 1 train.")

# %% [markdown]
# Outside the notebook, `fercourse reproduce table1 --seeds 5` trains the whole table, goes on after interruptions, and leaves
# the records that fill the first figure.
#
# ## What the five numbers support
#
# *5 minutes*
#
# Back to the paper's four steps. For each: how many standard errors of the choice of images it is, and how small the spread
# between seeds must be, for a difference of two single trainings to be beyond chance (1.96 times the root of 2 times the
# spread).

# %%
pd.DataFrame(
    {
        name: {
            "step, points": f"{100 * step:+.2f}",
            "standard errors (images)": f"{abs(step) / (d / n) ** 0.5:.1f}",
            "holds if seeds spread less than": f"{100 * abs(step) / 2.77:.2f}",
        }
        for name, step in steps.items()
    }
).T

# %% [markdown]
# - **Crop beside flip**, and **flip**: large against the luck of the images, and a spread between seeds of more than a
#   point would be needed to explain them. One training each makes these two *likely*. "About 3%" is 3.64 in the table.
# - **Rotation beside both**: probably more than luck too, but of what? The angle is not given, and no row shows what happens
#   after more epochs.
# - **Erasing beside both**: about one standard error, of the images alone. From this table nobody can say that it makes
#   anything worse.
# - Nothing is said about crop, rotation or erasing alone, nor about the last two without crop. The paper's *choice*, flip and crop, is
#   reasonable on this evidence. The sentence "rotation and erasing make it worse" is more than it shows.
#
# ## Quiz
#
# *5 minutes*
#
# **1. A table has the rows none, A, A + B, A + B + C. What is known about C?**
#
# <details><summary>What it brings to a network without A and B</summary>
#
# There is no such row. What C does alone may be quite another number.
#
# </details>
#
# <details><summary>What it brings beside A and B, for this network, data and budget</summary>
#
# Yes. Two rows that differ in C alone are the last two, and that is their question.
#
# </details>
#
# <details><summary>Whether C is better than B</summary>
#
# B was added to A alone, C to both. The steps are taken from different starting points.
#
# </details>
#
# **2. Row X has 70.1% and row Y 69.6%, one seed each. The seeds of other networks of this kind spread by 0.6 points. What
# now?**
#
# <details><summary>Take X: it is better by half a point</summary>
#
# The difference of two trainings of the very same row has a standard deviation of 0.6 times the root of 2, about 0.85 points.
#
# </details>
#
# <details><summary>They are equally good</summary>
#
# That is not known either: a true difference of a point would often look like this.
#
# </details>
#
# <details><summary>Train more seeds, or take the cheaper one and say that there is no evidence</summary>
#
# Yes. No evidence of a difference is not evidence of none, and a choice can be made by cost.
#
# </details>
#
# **3. Eight of ten pairs are not significant, two are, at p = 0.03 and p = 0.04, uncorrected. What may be claimed?**
#
# <details><summary>Two real differences</summary>
#
# Where nothing at all is going on, more than a quarter of such tables have such a pair, as you saw.
#
# </details>
#
# <details><summary>No difference yet; these two pairs are worth a training with new seeds</summary>
#
# Yes. After Holm's correction neither is below 5%; as a question put beforehand to new seeds, each may be.
#
# </details>
#
# <details><summary>That all rows are the same</summary>
#
# A test that finds nothing has not shown that there is nothing, least of all with few seeds.
#
# </details>
#
# **4. Alone, A brings 2 points and B brings 2 points. Together they bring 2.5. What is the interaction?**
#
# <details><summary>+0.5 points</summary>
#
# That is what the second of them adds to the first. The interaction compares this with what it brings alone.
#
# </details>
#
# <details><summary>-1.5 points</summary>
#
# Yes: beside A, B brings 0.5 points and alone 2. They seem to do the same job in part.
#
# </details>
#
# <details><summary>None: both still help</summary>
#
# Both help, and yet their effects do not add up to 4. That is what an interaction is.
#
# </details>

# %% [markdown]
# ## Exercises
#
# *95 minutes for all six*
#
# `np`, `torch`, `nn`, `F`, `stats` and `itertools` are imported above. How you compute is up to you.
#
# ### Exercise 1. Does it add up?
#
# *Easy, 10 minutes.*
#
# `accuracy` is an array of shape (2, 2, seeds): `accuracy[a][b]` holds the accuracies of all seeds without (0) or with (1)
# transform A, and without or with B. Return three numbers, computed from the means over the seeds: the main effect of A (the
# mean of its effect without B and with B), the main effect of B, and the interaction (the effect of A with B, less the effect
# of A without B).


# %% exercise="effects"
def effects(accuracy):
    """Return (main effect of A, main effect of B, interaction)."""
    # solution
    (none, only_b), (only_a, both) = accuracy.mean(axis=2)
    effect_a = (only_a - none + both - only_b) / 2
    effect_b = (only_b - none + both - only_a) / 2
    return effect_a, effect_b, (both - only_b) - (only_a - none)
    # end


# %% [markdown] hint="effects"
# First take the mean over the last axis; four numbers are left: none, only B, only A, both. Write each effect as a
# difference of two of them.

# %% [markdown]
# ### Exercise 2. Where will yours lie?
#
# *Medium, 15 minutes.*
#
# `values` is an array, the accuracies of $n$ seeds. Return the **prediction interval** of one further seed, as (low, high): the mean, less
# and plus $t \cdot s \cdot \sqrt{1 + 1/n}$. Here $s$ is the standard deviation of the sample, and $t$ the point of the t
# distribution with $n - 1$ degrees of freedom that leaves half of the rest, $(1 - \text{level}) / 2$, above it.


# %% exercise="prediction_interval"
def prediction_interval(values, level=0.95):
    """Return (low, high) for the accuracy of one further seed."""
    # solution
    n = len(values)
    t = stats.t.ppf((1 + level) / 2, n - 1)
    half = t * np.std(values, ddof=1) * np.sqrt(1 + 1 / n)
    return np.mean(values) - half, np.mean(values) + half
    # end


# %% [markdown] hint="prediction_interval"
# `stats.t.ppf(q, n - 1)` is the value below which a share q lies; below yours lie (1 + level) / 2. NumPy's `std` divides by n
# unless you say `ddof=1`.

# %% [markdown]
# ### Exercise 3. Exchange within a seed
#
# *Medium, 15 minutes.*
#
# `a` and `b` are arrays, the accuracies of two rows, seed by seed. If the transform did nothing, each seed's difference might as
# well have the other sign. Go through all $2^n$ patterns of signs. Return the share of them whose mean difference is at least
# as far from zero, in either direction, as the observed one; the pattern as observed counts too. Sums of the same numbers
# may differ in the last digit: means that differ by less than 1e-9 count as equal.


# %% exercise="permutation_p"
def permutation_p(a, b):
    """Return the p value of the paired permutation test."""
    # solution
    d = np.asarray(b) - np.asarray(a)
    signs = np.array(list(itertools.product((1, -1), repeat=len(d))))
    means = (signs * d).mean(axis=1)
    return np.mean(np.abs(means) >= abs(d.mean()) - 1e-9)
    # end


# %% [markdown] hint="permutation_p"
# `itertools.product((1, -1), repeat=n)` gives every pattern. Compare absolute values of *means*, and take 1e-9
# off the observed one.

# %% [markdown]
# ### Exercise 4. Ten questions, one error
#
# *Medium, 15 minutes.*
#
# `p_values` is a list. Holm's correction: sort the $m$ p values. Multiply the smallest by $m$, the next by $m - 1$, and so on, the greatest by 1. None
# may be smaller than the one before it (then it takes that one's value), and none above 1. Return the adjusted values
# in the order in which the p values came.


# %% exercise="holm"
def holm(p_values):
    """Return Holm's adjusted p values, in the given order."""
    # solution
    p = np.asarray(p_values)
    order = np.argsort(p)
    rising = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(rising, 1)
    return adjusted
    # end


# %% [markdown] hint="holm"
# `order = np.argsort(p)` tells where the smallest stands, the next, and so on; `adjusted[order] = ...` puts them back.
# `np.maximum.accumulate` keeps the greatest so far.

# %% [markdown]
# ### Exercise 5. A step with a mirror
#
# *Medium, 15 minutes. Changes the training step.*
#
# Write a training step that augments. `images` are uint8, (B, 1, H, W), on whatever device the model is. Each image is mirrored
# left to right with probability `p`, by a random draw of its own, at every step anew. Then: values between 0 and 1, the model in
# training mode, mean cross-entropy, one step of the optimiser, and the loss as a number. The images that were given must
# stay as they are: the next epoch, and every evaluation, begins from them.


# %% exercise="mirrored_step"
def mirrored_step(model, images, labels, optimizer, p=0.5):
    """Take one training step on randomly mirrored images."""
    # solution
    model.train()
    lots = torch.rand(len(images), 1, 1, 1, device=images.device)
    x = torch.where(lots < p, images.flip(-1), images).float() / 255
    loss = F.cross_entropy(model(x), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()
    # end


# %% [markdown] hint="mirrored_step"
# One number for each image, of shape (B, 1, 1, 1), decides about all its pixels in `torch.where(condition, one, other)`.
# `flip(-1)` mirrors the last axis, left and right, and makes a new tensor.

# %% [markdown]
# ### Exercise 6. Mixing faces
#
# *Hard, 25 minutes. Changes a module.*
#
# Mixup ([Zhang et al., 2018](https://arxiv.org/abs/1710.09412)) is an augmentation that belongs to no single image. In
# training, draw one share $\lambda$ for the batch from the distribution Beta($\alpha$, $\alpha$), and one random order of the
# batch. Return $\lambda$ times each image plus $1 - \lambda$ times its partner in that order, and the same for the targets,
# which are one-hot or shares, (B, classes). In evaluation, return both as they came.


# %% exercise="Mixup"
class Mixup(nn.Module):
    """(images, targets) -> (images, targets), mixed in training."""

    def __init__(self, alpha):
        super().__init__()
        # solution
        self.beta = torch.distributions.Beta(alpha, alpha)
        # end

    def forward(self, images, targets):
        # solution
        if not self.training:
            return images, targets
        share = self.beta.sample()
        order = torch.randperm(len(images), device=images.device)
        images = share * images + (1 - share) * images[order]
        targets = share * targets + (1 - share) * targets[order]
        return images, targets
        # end


# %% [markdown] hint="Mixup"
# `torch.distributions.Beta(alpha, alpha).sample()` draws the share, `torch.randperm(len(images))` an order. Both are drawn in
# `forward`, once a call, and used for images and targets alike. `self.training` tells the mode.

# %% [markdown]
# ## What to take along
#
# - Two rows answer a question if they differ in one thing. Of ten pairs in Table 1, four do.
# - An effect belongs to a network, a data set, a budget, and to the company it was measured in.
# - One seed hides the spread. Without it, a difference of one point cannot be read; decide on the number of seeds first.
# - Test few pairs, chosen beforehand, or correct for all. Report means, spread and the number of seeds.
# - What helps alone may do nothing beside another that does the same job. A factorial of two costs four rows and shows it.
# - Augmentation is worth most where labels are scarce. Choose it on val, and report on images that took no part.
#
# ## Further reading
#
# - Bouthillier et al., [Accounting for variance in machine learning benchmarks](https://arxiv.org/abs/2103.03098) (2021).
# - Picard, [torch.manual_seed(3407) is all you need](https://arxiv.org/abs/2109.08203) (2021): ten thousand seeds.
# - Dror et al., [The hitchhiker's guide to testing statistical significance in natural language
#   processing](https://aclanthology.org/P18-1128/) (2018): which test when, and it holds for pictures too.
# - Holm, *A simple sequentially rejective multiple test procedure*, Scandinavian Journal of Statistics 6 (1979).
# - Zhong et al., [Random erasing data augmentation](https://arxiv.org/abs/1708.04896) (2020); Zhang et al., [mixup: beyond
#   empirical risk minimization](https://arxiv.org/abs/1710.09412) (2018).
