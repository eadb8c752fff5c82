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
# # Preprocessing and imbalance
#
# > **By the end you can** turn pixels and labels into what a network trains on, weigh rare classes and say what that
# > costs, predict the first loss of a training before it runs, and write augmentation as one matrix a picture.
# >
# > **You need** chapter 1: the data set, its counts and its splits. A little calculus: what a gradient is. For two of the
# > exercises, that you have seen an `nn.Module`.
# >
# > **Time** 67 minutes to read and run, 95 more for the six exercises.
#
# Between the file and the network stands a page of code that papers describe in two sentences. Paper 1: pixels to [0, 1],
# one-hot labels, class weights, an initial bias, flips and crops. Most of the silent mistakes in this field are made on
# that page. None of it needs a deep network to be understood, so this chapter has none: a single layer will do.

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
import math

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.nn import functional as F

from fercourse import plots, results
from fercourse.augment import augment, to_float
from fercourse.check import ch02
from fercourse.course import explore
from fercourse.data import EMOTIONS
from fercourse.data.synthetic import draw_faces, emotion_units
from fercourse.recipes import make_config
from fercourse.records import results_folder

plots.use_style()

# %% [markdown]
# ## Numbers near zero
#
# *9 minutes*
#
# Pixels come as `uint8`: whole numbers from 0 to 255, one byte each. That is good for storing and bad for computing, since
# a byte cannot hold 300.
#
# > **Predict.** A pixel of 200 is made brighter by 100, and another of 100 darker by 150. What do the bytes hold?

# %%
pixels = torch.tensor([200, 100], dtype=torch.uint8)
print("200 + 100 =", (pixels + 100)[0].item())
print("100 - 150 =", (pixels - 150)[1].item())

# %% [markdown]
# They wrap round, without a word. So the first thing to do is `.float()`, and the second to bring the numbers near zero.
# Let us see what the second is good for. Here are 2,000 drawn faces to learn from and as many to test on, averaged down to
# 12 x 12 pixels, with the class frequencies of FER-2013.

# %%
from fercourse.data.synthetic import synthetic_faces

drawn = synthetic_faces(sizes=(2000, 0, 2000))


def pooled(faces):
    """uint8 faces -> 144 grey values each from 0 to 255, labels."""
    # Double precision: every machine then shows the same digits.
    images = torch.from_numpy(faces.images).double().unsqueeze(1)
    labels = torch.from_numpy(faces.labels)
    return F.avg_pool2d(images, 4).flatten(1), labels


# %%
raw, labels = pooled(drawn.train)
test_raw, test_labels = pooled(drawn.test)
print(tuple(raw.shape), "from", raw.min().item(), "to", raw.max().item())

# %% [markdown]
# The smallest network that can learn from them is one dense layer, `nn.Linear(144, 7)`: each of the seven **logits**, a
# score for a class, is a weighted sum of the 144 grey values plus a bias. Softmax makes shares of the seven scores, and
# the **cross-entropy** is minus the logarithm of the share that the right class got. To train it, compute the loss of all
# faces, its gradient (`backward` does that), and take a step against the gradient: `lr`, the *learning rate*, times the
# gradient. Again and again. Chapter 3 does this in full; all you need here is that `lr` is the factor between gradient and
# step.


# %%
def descend(x, labels, lr=0.1, steps=100, weight=None, bias=None):
    """Train one dense layer from zero; return it and its losses."""
    layer = nn.Linear(x.shape[1], 7, dtype=torch.float64)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    if bias is not None:
        layer.bias.data.copy_(bias)
    losses = []
    for _ in range(steps):
        loss = F.cross_entropy(layer(x), labels, weight=weight)
        layer.zero_grad()
        loss.backward()
        with torch.no_grad():  # the step itself is not differentiated
            for parameter in layer.parameters():
                parameter -= lr * parameter.grad
        losses.append(loss.item())
    return layer, losses


# %% [markdown]
# Four versions of the same faces. **Standardising** means: minus the mean, divided by the standard deviation, so that the
# values have mean 0 and deviation 1. *Scaled twice* is a mistake that happens when a reader that divides by 255 feeds a
# network that does so again.

# %%
train_pixels = torch.from_numpy(drawn.train.images).double() / 255
mean, std = train_pixels.mean(), train_pixels.std()
scaled = {
    "0 to 255": raw,
    "0 to 1": raw / 255,
    "standardised": (raw / 255 - mean) / std,
    "scaled twice": raw / 255 / 255,
}

# %% [markdown]
# > **Predict.** All start from the loss of a layer that knows nothing, $\ln 7 = 1.95$. With `lr` at 0.1, which of
# > the four learns best in a hundred steps, and what happens to the faces from 0 to 255?

# %%
rates = (1e-6, 0.001, 0.1, 2.0)
losses = pd.DataFrame(
    {
        f"lr {lr:g}": {
            name: descend(x, labels, lr)[1][-1]
            for name, x in scaled.items()
        }
        for lr in rates
    }
)
losses.map(lambda loss: f"{loss:.2f}" if loss < 1.95 else "fails")

# %% [markdown]
# Read it by rows. Each version has its own range of `lr`. An input that is 255 times as large has a gradient 255 times as
# large, and needs a weight, and steps, 255 times as small: its `lr` must be 255² times as small. At 0.1 the raw pixels overshoot
# at every step, and those that were scaled twice hardly move any weight but the bias. (A loss of about 1.82 can be had
# without looking at a face at all, as you will see below.) No error message tells you; the loss is just bad. Two things that
# you will meet in chapter 3 make up for much of this: Adam, paper 1's way of stepping, divides each gradient by its usual size,
# and batch norm, a layer inside the network, standardises what passes through it. That is why the mistake survives in so much
# code.
#
# But standardised faces do better at *their* best `lr` than faces from 0 to 1 at theirs (try 0.2, which is better for
# both: the order stays). This is no matter of scale. Pixels from 0 to 1 are all positive, so that all of them together, the
# brightness of the picture, is by far the strongest thing in the data. The loss then curves sharply in that one direction
# and hardly in the others. Steps short enough for the sharp one are tiny for the rest. How sharply, the eigenvalues of $X^T
# X$ tell, where $X$ holds the inputs, a row a face, with a 1 for the bias: the greatest belongs to the sharpest curve, the
# next to the second.


# %%
def steepness(x):
    """How much sharper the sharpest curve of the loss is than the second."""
    with_bias = F.pad(x, (0, 1), value=1.0)
    curvature = torch.linalg.eigvalsh(with_bias.T @ with_bias)
    return (curvature[-1] / curvature[-2]).item()


for name in ("0 to 1", "standardised"):
    print(f"{name:13} {steepness(scaled[name]):4.1f} times")

# %% [markdown]
# Which mean, and whose? That of **train**, for all splits. For FER-2013 the audit of chapter 1 has it:

# %%
audit = json.loads(
    (results_folder() / "audits" / "fer2013.json").read_text()
)
pixels = audit["pixels"]["train"]
print(f"mean {pixels['mean']:.4f}, deviation {pixels['std']:.4f}")

# %% [markdown]
# Val and test are scaled by the same two numbers. Their own would be wrong, although nothing of them goes into training: a
# picture would be seen differently depending on which pictures lie beside it. What happens when training and test disagree about the scale? Take
# the layer that learned from standardised faces, and give it test faces that were divided by 255 once too often:


# %%
def standard(x):
    """Grey values from 0 to 255 in units of train."""
    return (x / 255 - mean) / std


learned, _ = descend(standard(raw), labels)
for name, x in {
    "as trained": test_raw,
    "scaled twice": test_raw / 255,
}.items():
    preds = learned(standard(x)).argmax(1)
    right = (preds == test_labels).double().mean().item()
    print(f"{name:13} {right:.0%} right, {len(preds.unique())} classes")

# %% [markdown]
# To the layer every picture is now pitch black, and it gives them all the same answer. If a network that was good yesterday
# gives one class for everything, look at the scaling first. Both papers scale to 0 to 1 and no further, and so do this
# course's recipes: in most of its networks the first convolution is followed by batch norm, which standardises what comes out.
#
# ## Labels as rows
#
# *5 minutes*
#
# Paper 1 makes its labels **one-hot**: a row of zeros with a 1 at the class. The loss is then the sum over all classes of
# the target times minus the logarithm of the network's share.

# %%
rows = F.one_hot(labels, 7).double()
print(labels[:3].tolist())
print(rows[:3].long())

# %%
logits = learned(standard(raw))
by_rows = -(rows * logits.log_softmax(1)).sum(1).mean()
by_index = F.cross_entropy(logits, labels)
print(f"one-hot rows: {by_rows.item():.6f}")
print(f"class index:  {by_index.item():.6f}")

# %% [markdown]
# The zeros contribute nothing, and what is left is the term of the right class. So `F.cross_entropy` takes the index and
# saves you the rows, and a paper that says *one-hot* and a program that uses indices do the same. Rows are needed when a
# target is not all or nothing: **label smoothing** moves a little of the 1 to the other classes, and FER+ has the shares of
# ten votes. `F.cross_entropy` takes such rows too, and exercise 2 lets you write it.

# %%
smooth = 0.9 * rows + 0.1 / 7
print([round(value, 3) for value in smooth[0].tolist()])
print(f"{F.cross_entropy(logits, smooth).item():.3f}")

# %% [markdown]
# ## Seven classes, unevenly weighted
#
# *11 minutes*
#
# A loss that is the mean over images cares for a class as much as it has images: in FER-2013 for *happy* many times as much as
# for *disgust*. **Class weights** change that. Paper 1 multiplies the loss of each image by the inverse frequency of its
# class in train.

# %%
sizes = np.array(list(audit["counts"]["train"].values()))
weights = sizes.sum() / (len(sizes) * sizes)
table = pd.DataFrame(
    {
        "images": sizes,
        "weight": weights,
        "images x weight": sizes * weights,
    },
    index=EMOTIONS,
)
table.round(2)

# %% [markdown]
# After weighting, each class counts as much as every other. The scale is a choice. The package takes $N / (K n_k)$, for
# *K* classes, *N* images and $n_k$ of them in class *k*, so that the mean weight of a training image is 1; the paper names
# none. Does it matter?

# %%
from fercourse.train import class_weights, log_prior, set_log_prior

packaged = class_weights(sizes)
print("as in the package:", np.allclose(packaged, weights))
w = class_weights(np.bincount(drawn.train.labels)).double()
batch, few = logits[:64], labels[:64]
for scale in (1, 1000):
    loss = F.cross_entropy(batch, few, weight=scale * w)
    print(f"weights x {scale:4}: loss {loss.item():.4f}")

# %% [markdown]
# In PyTorch it does not: with class indices, the weighted sum is divided by the sum of the weights in the batch. With one-hot
# rows it is divided by the number of images, as in Keras too, and then the scale counts, like a factor on `lr`:

# %%
for scale in (1, 1000):
    loss = F.cross_entropy(batch, rows[:64], weight=scale * w)
    print(f"rows, weights x {scale:4}: loss {loss.item():.4f}")

# %% [markdown]
# This is the one place where *one-hot* and *index* are not the same, and even at scale 1 they differ from batch to batch,
# by how many rare classes a batch holds.
#
# Now train the layer on the drawn faces, without weights and with.
#
# > **Predict.** How will weights change (a) how often the layer answers *happy* and *disgust*, (b) its accuracy on the test
# > faces, (c) the mean of the seven recalls?

# %%
x, test_x = standard(raw), standard(test_raw)
plain, _ = descend(x, labels, steps=300)
weighted, _ = descend(x, labels, steps=300, weight=w)


# %%
def answers(layer):
    """Share of the test faces given each class, recalls, accuracy."""
    preds = layer(test_x).argmax(1)
    hits = (preds == test_labels).double()
    recalls = [hits[test_labels == k].mean().item() for k in range(7)]
    share = torch.bincount(preds, minlength=7) / len(preds)
    return share.tolist(), recalls, hits.mean().item()


# %%
kinds = {"no weights": answers(plain), "weights": answers(weighted)}
for name, (_, recalls, accuracy) in kinds.items():
    print(f"{name:10} accuracy {accuracy:.0%}", end=", ")
    print(f"mean recall {np.mean(recalls):.0%}", end=", ")
    print(f"disgust {recalls[1]:.0%}, happy {recalls[3]:.0%}")

# %% mystnb={"image": {"alt": "Three bars for each of seven classes: the share of the test faces that are labelled so, the share answered without weights, and the share answered with weights. Without weights, happy is answered far more often than it is labelled and disgust never; with weights, the answers are spread more evenly, and disgust is answered many times as often as it is labelled."}}
true_share = np.bincount(drawn.test.labels, minlength=7) / len(drawn.test)
bars = {"labelled": true_share, **{k: v[0] for k, v in kinds.items()}}
ax = plt.subplots(figsize=(6.4, 3.4), layout="constrained")[1]
for place, (name, values) in enumerate(bars.items()):
    where = np.arange(7) + 0.27 * (place - 1)
    ax.bar(where, values, 0.25, label=name, hatch=["", "//", ".."][place],
           edgecolor="white")  # fmt: skip
ax.set_xticks(range(7), EMOTIONS, rotation=30)
ax.set_ylabel("share of the test faces")
ax.legend()
plt.show()

# %% [markdown]
# Without weights a layer that is unsure says *happy*, because that is right most often, and it never says *disgust*. With
# weights its answers are spread much more evenly. It finds some of the *disgust* now, and pays with many false alarms: the
# accuracy falls. **Weights do not make a classifier better; they change what it is good at**, from the share of images that
# are right to the mean recall. Which one you want must be said beforehand. Paper 1 trains for the second and reports the
# first.
#
# One warning before you take this to large networks. A network that learns its training images by heart has a loss near
# zero on all of them, whatever their weights, and weights then change little
# ([Byrd and Lipton, 2019](https://arxiv.org/abs/1812.03372)). Paper 1's networks reach 85 to 99% on train (its Table 2). What
# weights do for them is a question for the records, below.
#
# ## The first answer
#
# *9 minutes*
#
# Before the first step, a good network should know nothing about faces, and yet it can know one thing: how frequent the
# classes are. If all logits come from the bias of the last layer, softmax gives back the frequencies when the bias is their
# logarithm, the **log prior**: $b_k = \ln (n_k / N)$. (A constant added to all seven changes nothing.) Paper 1 initialises
# its last bias, and the recipe does it this way. The first loss is then the mean of $-\ln(n_k / N)$ over the images, which is
# the **entropy** of the prior.

# %%
prior = sizes / sizes.sum()
print(f"all classes alike: ln 7 = {math.log(7):.3f}")
print(f"log prior: entropy = {-(prior * np.log(prior)).sum():.3f}")

# %% [markdown]
# > **Predict.** Of the drawn training faces, 200 go through a basic CNN that has never been trained (chapter 3 builds it).
# > What is its loss as it comes, and what after its last bias is set to the log of *their* class shares?

# %%
from fercourse.models import create_model

first = drawn.train.subset(slice(200))
images, few = to_float(torch.from_numpy(first.images)), labels[:200]
counts = np.bincount(first.labels, minlength=7)
shares = torch.from_numpy(counts / counts.sum())
torch.manual_seed(0)
model = create_model("basic_cnn").eval()


# %%
@torch.no_grad()  # only to look: no gradient is needed
def first_loss(weight=None):
    """The loss of the 200 faces before any step."""
    return F.cross_entropy(model(images), few, weight=weight).item()


# %%
print(f"as it comes: {first_loss():.2f}, ln 7 = {math.log(7):.2f}")
set_log_prior(model, counts)  # model.head[-1].bias
entropy = -(shares * shares.log()).sum().item()
print(f"log prior:   {first_loss():.2f}, entropy = {entropy:.2f}")

# %% [markdown]
# Right to a hundredth or so, before any training. Use it as a test: if your first loss is not what the bias and the counts
# say, look for a softmax too many, labels out of order, or a last layer that starts too large.
#
# Now the two measures of paper 1 together. It weighs the loss *and* starts from the log prior.
#
# > **Predict.** With inverse-frequency weights, is the first loss at the log prior below $\ln 7$, at it, or above?

# %%
few_weights = class_weights(counts)
print(f"weighted, at the log prior: {first_loss(few_weights):.2f}")
print(f"mean of -ln(share):         {-shares.log().mean().item():.2f}")
nn.init.zeros_(model.head[-1].bias)
print(f"weighted, at zero:          {first_loss(few_weights):.2f}")
print(f"FER-2013, at the log prior: {-np.log(prior).mean():.2f}")

# %% [markdown]
# Above. In the weighted loss all classes are equally frequent, so the answer that costs least is the same share for all,
# a bias of **zero**, and it costs $\ln 7$. At the log prior the weighted loss is the mean of $-\ln$ of the seven shares.
# That mean is always greater than $\ln 7$, unless the shares are equal: on the rare classes the logarithm loses more than it
# gains on the common ones. At the log prior the weighted loss starts worse than from nothing, and the first steps undo what the
# bias was set to. In general the best constant answer has shares proportional to $w_k n_k$; exercise 3 sets that one.
#
# The gradient of the biases says the same. At the start it is the share that the network gives each class, minus the share
# that the class has in the loss, and it is zero only where the two agree:


# %%
def bias_gradient(bias, weight=None):
    """The gradient of the seven biases at the first step."""
    bias = bias.clone().requires_grad_()
    F.cross_entropy(bias.expand(200, 7), few, weight=weight).backward()
    return [round(value, 2) + 0.0 for value in bias.grad.tolist()]


at_prior = shares.log()
print("plain, from zero     ", bias_gradient(torch.zeros(7)))
print("plain, log prior     ", bias_gradient(at_prior.float()))
print("weighted, log prior  ", bias_gradient(at_prior.float(), few_weights))

# %% mystnb={"image": {"alt": "Four curves of the loss over the first thirty steps. Without weights, the start at the log prior lies below the start at zero. With weights, it is the other way round: the start at the log prior is the highest of all and comes down to the other weighted curve only slowly."}}
log_share = log_prior(np.bincount(drawn.train.labels)).double()
curves = {}
for name, weight in {"no weights": None, "weights": w}.items():
    for start, bias in {"zero": None, "log prior": log_share}.items():
        _, path = descend(x, labels, 0.05, 30, weight, bias)
        curves[f"{name}, from {start}"] = path
ax = plots.history(curves, label="loss")
ax.set_xlabel("step")
plt.show()

# %% [markdown]
# How much does that matter in the end? A start is forgotten, and fifty epochs are long, so one would expect little; but that is
# a guess until somebody has measured it. The recipe `paper1` does what the paper says, both at once, and the list of
# ablations holds trainings without the one, without the other, and without both:

# %%
asked = ("as settled in the recipe", "no class weights", "no initial bias", "neither")  # fmt: skip
found = {
    group.shows: group.summary("val")
    for group in results.groups("ablations")
    if group.model == "resnet18" and group.shows in asked
}
pd.DataFrame({"ResNet18, accuracy on val": found})

# %% [markdown]
# ## The same face, many times
#
# *7 minutes*
#
# A face that is mirrored, turned a little or cut a little closer still shows the same expression. **Augmentation** shows the
# network another version of each training image in every epoch, so that it cannot learn the pixels by heart. Here is one
# drawn face, and what each of the seven transforms that the papers use makes of it, four times each with other random
# numbers (each is flipped with probability 0.5, as it always should be):

# %%
KINDS = ("flip", "crop", "zoom", "shear", "rotation", "translation", "erasing")  # fmt: skip
picture = draw_faces(emotion_units("happy"), identity=[4], yaw=0.3)


def versions(count=4, seed=0, **options):
    """The same face, augmented ``count`` times: (count, 48, 48)."""
    generator = torch.Generator().manual_seed(seed)
    same = torch.from_numpy(picture).expand(count, 48, 48)
    return augment(same, generator=generator, **options)[:, 0].numpy()


# %% mystnb={"image": {"alt": "Seven rows of four small versions of one smiling drawn face. Flip: some are mirrored. Crop: parts of the face, enlarged and slightly stretched. Zoom: larger or smaller, with a black frame where smaller. Shear: leaning. Rotation: tilted a little. Translation: shifted, with black gaps. Erasing: a black box of varying size hides a part."}}
grid = [versions(**{k: 0.5 if k == "flip" else 1.0}) for k in KINDS]
names = [kind for kind in KINDS for _ in range(4)]
plots.faces(np.concatenate(grid), titles=names, columns=4, size=1.1)
plt.show()

# %% [markdown]
# Every image gets draws of its own, and new ones in every epoch. In a running notebook, look at more of them, one kind at a
# time:


# %%
def look(kind="rotation", seed=0):
    """Eight draws of one transform."""
    plots.faces(versions(8, seed, **{kind: 1.0}), columns=4, size=1.1)
    plt.show()


# %%
explore(look, kind=list(KINDS), seed=(0, 50))

# %% [markdown]
# The two papers differ in more than the choice. Here is with which probability an image gets each transform in the recipes
# that follow them:

# %%
recipes = {
    name: make_config("resnet18", name).augment
    for name in ("paper1", "paper2")
}
pd.DataFrame(
    {
        name: {kind: getattr(chosen, kind) for kind in KINDS}
        for name, chosen in recipes.items()
    }
)

# %% mystnb={"image": {"alt": "Two rows of five versions of one face. Top, paper 1: some as they were, some mirrored, some cropped. Bottom, paper 2: all tilted, sheared, shifted and rescaled at once, the edge pixels drawn out into streaks where the face has moved away."}}
shown = [versions(5, 3, augmentation=chosen) for chosen in recipes.values()]
titles = ["paper 1"] * 5 + ["paper 2"] * 5
plots.faces(np.concatenate(shown), titles=titles, columns=5, size=1.1)
plt.show()

# %% [markdown]
# Paper 1 takes flip and random resized crop, each with probability 0.5, so that one image in four passes unchanged. (It tried
# rotation and erasing on top and found them worse; chapter 8 looks into that.) Paper 2 lists what a Keras generator offers,
# where everything but the flip is always on, by an amount that is drawn, for the shifts up to 20% of width and height. What
# lies outside a moved picture is then its drawn-out edge. Neither paper gives all of its ranges: what is missing is our
# choice, with the reason beside each number in `fercourse/recipes.py`. So an accuracy of one paper and an accuracy of the other
# differ by their augmentation too, and by settings that nobody wrote down.
#
# ## One matrix, one resampling
#
# *14 minutes*
#
# Flip, rotation, shift, zoom and shear are all **affine**: they take a place $(x, y)$ to sums of multiples of $x$ and $y$
# plus a constant. With the trick of a third coordinate that is always 1, **homogeneous coordinates**, the constant fits into
# the matrix too:
#
# $$\begin{pmatrix} x' \\ y' \\ 1 \end{pmatrix} = \begin{pmatrix} a & b & t_x \\ c & d & t_y \\ 0 & 0 & 1 \end{pmatrix}
# \begin{pmatrix} x \\ y \\ 1 \end{pmatrix}$$
#
# and one transform after another is a product of matrices, the first on the right. We count places in pixels from the
# centre of the image, x to the right and y *down*, as images do.


# %% tags=["inline"]
def affine(xx=1.0, xy=0.0, x=0.0, yx=0.0, yy=1.0, y=0.0):
    """(u, v) to (xx u + xy v + x, yx u + yy v + y), as a matrix."""
    return torch.tensor([[xx, xy, x], [yx, yy, y], [0.0, 0.0, 1.0]])


# %% tags=["inline"]
def flip():
    return affine(xx=-1.0)


def zoom(factor):
    return affine(xx=factor, yy=factor)


def move(right, down):
    return affine(x=right, y=down)


def shear(degrees):
    return affine(xy=-math.tan(math.radians(degrees)))


def rotate(degrees):
    """Anticlockwise, as you see it; y points down."""
    cos = math.cos(math.radians(degrees))
    sin = math.sin(math.radians(degrees))
    return affine(xx=cos, xy=sin, yx=-sin, yy=cos)


# %% [markdown]
# > **Predict.** The centre of the picture lies at (0, 0). Where does it end up if the picture is moved 10 pixels to the right
# > and then turned by 90 degrees anticlockwise, and where if it is turned first?

# %%
move_first = rotate(90) @ move(10, 0)
turn_first = move(10, 0) @ rotate(90)
centre = torch.tensor([0.0, 0.0, 1.0])
print("moved, then turned:", (move_first @ centre).round().int().tolist())
print("turned, then moved:", (turn_first @ centre).round().int().tolist())

# %% [markdown]
# Turned about the middle of the frame, a picture that has moved right swings upwards. Order matters, and it is read from
# right to left.
#
# Now to the pixels. The obvious way is to send each pixel to where the matrix says. It is the wrong one:


# %%
def pushed(image, matrix):
    """Send every pixel of (48, 48) to its new place."""
    places = torch.arange(48) - 23.5
    y, x = torch.meshgrid(places, places, indexing="ij")
    ends = matrix @ torch.stack([x, y, torch.ones_like(x)]).flatten(1)
    column, row = (ends[:2] + 23.5).round().long()
    inside = (column >= 0) & (column < 48) & (row >= 0) & (row < 48)
    out = torch.zeros_like(image)
    out[row[inside], column[inside]] = image.flatten()[inside]
    return out


# %% [markdown]
# Where the picture grows, places stay empty, since no pixel was sent there. So go the other way: for each place of the
# *output*, ask by the **inverse** matrix which place of the input is seen there, and mix the four pixels around it
# (**bilinear** interpolation). Each place gets exactly one value. This is what `F.grid_sample` does. It has two
# conventions to get right: its places run from -1 to 1, and with `align_corners=False` these are the *edges* of the image,
# so that the centre of the first of 48 pixels lies at -1 + 1/48.


# %% tags=["inline"]
def warp(images, matrix):
    """Move images (B, 1, S, S) by a matrix, sampling them once."""
    back = torch.linalg.inv(matrix)[:2]  # from output to input
    back[:, 2] *= 2 / images.shape[-1]  # from pixels to -1 ... 1
    theta = back.expand(len(images), 2, 3)
    grid = F.affine_grid(theta, images.shape, align_corners=False)
    return F.grid_sample(images, grid, align_corners=False)


# %% mystnb={"image": {"alt": "Three pictures of a drawn face. Left as it is. In the middle, turned and enlarged by sending pixels forward: a regular pattern of black holes. Right, by asking back for every place: complete."}}
face = to_float(torch.from_numpy(picture))
matrix = rotate(15) @ zoom(1.3)
trio = [face[0, 0], pushed(face[0, 0], matrix), warp(face, matrix)[0, 0]]
plots.faces(
    torch.stack(trio).numpy(),
    titles=["as it is", "pixels sent", "pixels fetched"],
    columns=3,
    size=1.8,
)
plt.show()

# %% [markdown]
# Now the point of the matrices. To flip, turn, zoom and shift a picture you can sample four times, or multiply four matrices
# and sample once. Bilinear sampling mixes neighbours, which blurs, a little each time.
#
# > **Predict.** As a measure of sharpness take the mean squared difference of neighbouring pixels. How much of it is left
# > after turning by 8 degrees, shifting by (1.5, -2.5) and enlarging by 1.1, if you sample three times? If you sample once?


# %%
def sharpness(images):
    """Mean squared difference of neighbours, away from the edges."""
    inner = images[..., 8:-8, 8:-8]
    across, down = inner.diff(dim=-1), inner.diff(dim=-2)
    return (across.square().mean() + down.square().mean()).item()


# %%
three = warp(warp(warp(images, rotate(8)), move(1.5, -2.5)), zoom(1.1))
once = warp(images, zoom(1.1) @ move(1.5, -2.5) @ rotate(8))
before = sharpness(images)
print(f"sampled three times: {sharpness(three) / before:.0%} left")
print(f"sampled once:        {sharpness(once) / before:.0%} left")

# %% mystnb={"image": {"alt": "Three enlarged pictures of a face: as it was, sampled three times, which is soft like out of focus, and sampled once, which keeps the frame of the glasses and much of the grain."}}
trio = torch.stack([images[9, 0], three[9, 0], once[9, 0]])
plots.faces(
    trio.numpy(),
    titles=["before", "three times", "once"],
    columns=3,
    size=1.8,
)
plt.show()

# %% [markdown]
# One sampling costs sharpness too, and enlarging itself makes edges less steep; but two samplings more cost more than half of
# what was left. Drawn faces carry noise like photographs, and noise goes first. But wrinkles, lids and the line between the
# lips are one or two pixels wide as well, and they are what expressions are made of. A network trained on soft pictures is
# then tested on sharp ones. The extreme case, a turn there and back:

# %%
there_and_back = warp(warp(images, rotate(15)), rotate(-15))
as_one = warp(images, rotate(-15) @ rotate(15))
print(f"two samplings: {sharpness(there_and_back) / before:.0%} left")
print(f"one matrix:    {sharpness(as_one) / before:.0%} left")

# %% [markdown]
# The package does the same for a whole batch, each image with a matrix of its own: it draws the amounts, makes the inverse
# matrices, and samples once. Is it the same as ours?

# %%
from fercourse.augment import Draws, frame_matrices, resample

draws = Draws(
    flip=torch.tensor([[-1.0]]),
    zoom=torch.tensor([[1.2]]),
    angle=torch.tensor([[20.0]]),
    shift=torch.tensor([[3.0, -4.0]]),
)
packaged = resample(face, frame_matrices(draws), None)
ours = warp(face, move(3, -4) @ rotate(20) @ zoom(1.2) @ flip())
print("the same:", torch.allclose(packaged, ours, atol=1e-4))

# %% [markdown]
# A random resized crop is a matrix too, one that stretches a box over the whole picture; erasing is not, since it moves
# nothing. In a running notebook, turn all the knobs yourself:

# %%
from fercourse.augment import crop_matrices, erase


def moved(
    flip=False,
    angle=0,
    right=0,
    down=0,
    shear=0,
    zoom=1.0,
    crop=48,
    erased=0,
):
    """One face under a transform of your own."""

    def row(*values):
        return torch.tensor([values], dtype=torch.float32)

    box = row(24 - erased // 2, 24 - erased // 2, erased, erased)
    draws = Draws(
        row(-1 if flip else 1), row(0, 0, crop, crop), row(zoom),
        row(shear, 0), row(angle), row(right, down), box,
    )  # fmt: skip
    frame, cut = frame_matrices(draws), crop_matrices(draws, 48)
    result = erase(resample(face, frame, cut), draws)
    plots.faces(torch.cat([face, result])[:, 0].numpy(), size=2.5)
    plt.show()


# %%
explore(
    moved,
    flip=[False, True],
    angle=(-45, 45),
    right=(-12, 12),
    down=(-12, 12),
    shear=(-30, 30),
    zoom=(0.5, 2.0, 0.1),
    crop=(12, 48),
    erased=(0, 32),
)

# %% [markdown]
# ## What augmentation must not do
#
# *7 minutes*
#
# **It must not change the label.** A mirrored smile is a smile. A face without its mouth may be anything. Photographs do not
# tell where their mouth is, drawn faces do: `masks` gives its pixels. How often does a random box take away more than half
# of them?

# %%
from fercourse.augment import draw
from fercourse.augmentation import Augmentation
from fercourse.data.synthetic import masks

some = drawn.train.subset(slice(500))
known = masks(some.truth["parameters"])["mouth"]
mouths = torch.from_numpy(known).float().unsqueeze(1)


# %%
def mouth_lost(**options):
    """Share of the faces that lose more than half of their mouth."""
    generator = torch.Generator().manual_seed(0)
    draws = draw(500, 48, Augmentation(**options), generator=generator)
    left = erase(mouths, draws)
    if draws.crop is not None:  # what lies in the box is what is left
        left = mouths - erase(mouths, Draws(erase=draws.crop))
    total = mouths.sum((1, 2, 3))
    return (left.sum((1, 2, 3)) < total / 2).float().mean().item()


# %% [markdown]
# > **Predict.** torchvision's random resized crop takes, by default, between 8% and 100% of the area. In how many of a hundred
# > such crops is more than half of the mouth gone? And if at least half of the area is kept?

# %%
for low in (0.08, 0.5, 0.8):
    lost = mouth_lost(crop=1.0, crop_scale=(low, 1.0))
    print(f"crops of {low:.0%} to 100%: {lost:.0%} lose the mouth")
print(f"erasing of 2% to 33%: {mouth_lost(erasing=1.0):.0%}")

# %% [markdown]
# torchvision's default was made for photographs of things, of which a part is often enough. For faces that fill the frame it
# makes many pictures whose label nobody could guess. Paper 1 does not give its range. The recipe keeps at least half of the
# area, and its ablation tries 8% and 80%. A number that a paper leaves out can matter more than one that it reports.
#
# **It must not touch evaluation.** Val and test are measured as they are. Otherwise the number is one about other pictures, and
# changes from run to run. Here is the layer from above, without weights, on test faces that went through paper 2's recipe:

# %%
uint8 = torch.from_numpy(drawn.test.images)
for seed in range(3):
    generator = torch.Generator().manual_seed(seed)
    changed = augment(uint8, recipes["paper2"], generator=generator)
    values = F.avg_pool2d(255 * changed.double(), 4).flatten(1)
    hits = plain(standard(values)).argmax(1) == test_labels
    print(f"augmented test faces: {hits.double().mean().item():.0%}")
print(f"as they are:          {kinds['no weights'][2]:.0%}")

# %% [markdown]
# **It must come after the split.** Some copies of FER-2013 on the web were *filled up* with augmented images, to balance the
# classes, and split afterwards. Versions of one photograph then lie on both sides. The memoriser of chapter 1, which answers
# with the label of the nearest training image, shows what that does:


# %%
def nearest(train_x, train_y, x, y):
    """Accuracy of the nearest neighbour."""
    found = torch.cdist(x.flatten(1), train_x.flatten(1)).argmin(1)
    return (train_y[found] == y).double().mean().item()


generator = torch.Generator().manual_seed(0)
unchanged, some_labels = torch.from_numpy(some.images), labels[:500]
copies = unchanged.repeat(4, 1, 1)
many = augment(copies, recipes["paper1"], generator=generator)
many_labels = some_labels.repeat(4)

# %%
order = torch.randperm(len(many), generator=generator)
a, b = order[:1600], order[1600:]  # split afterwards
late = nearest(many[a], many_labels[a], many[b], many_labels[b])
of_train = torch.arange(len(many)) % 500 < 400  # split by face
early = nearest(
    many[of_train],
    many_labels[of_train],
    to_float(unchanged[400:]),
    some_labels[400:],
)
print(f"augmented, then split: {late:.0%}")
print(f"split, then augmented: {early:.0%}")

# %% [markdown]
# The first number looks like a good classifier and is a memory of the very same faces.
#
# ## Quiz
#
# *5 minutes*
#
# **1. You standardise the test images with the mean and deviation of train. Their mean comes out as -0.006. What now?**
#
# <details><summary>Leave it: they are seen in train's units</summary>
#
# Yes. FER-2013's test pixels are a trifle darker than train's, and the network should see that they are.
#
# </details>
#
# <details><summary>Use the mean and deviation of the test images, so that it becomes zero</summary>
#
# Then a picture would be seen differently depending on which others are tested with it, and test in other units than the network was trained in.
#
# </details>
#
# <details><summary>Use the mean of all images, which is fairest to both</summary>
#
# That carries something of val and test into training. The two numbers must come from train alone.
#
# </details>
#
# **2. A network that is trained with weights of inverse frequency loses 3 points of accuracy. What follows?**
#
# <details><summary>The weights are computed wrongly</summary>
#
# They may be right all the same: a weighted loss asks for something else than accuracy, and gets it.
#
# </details>
#
# <details><summary>Weights do harm and should be left out</summary>
#
# That depends on what you want. If every class shall be found, look at the mean recall before you judge.
#
# </details>
#
# <details><summary>Nothing yet: look at the recalls, for it was trained to treat all classes alike</summary>
#
# Yes. Accuracy counts images, the weighted loss counts classes, and the two pull in different directions.
#
# </details>
#
# **3. The loss is weighted by inverse frequency. Which initial bias of the last layer gives the lowest first loss?**
#
# <details><summary>The log prior, as always</summary>
#
# It fits the loss without weights. The weighted loss sees all classes equally often, and there the log prior starts worse
# than zero.
#
# </details>
#
# <details><summary>Zero: in the weighted loss all classes are equally frequent</summary>
#
# Yes. Shares proportional to weight times count are all alike, and equal shares come from equal biases.
#
# </details>
#
# <details><summary>The logarithm of the weights, so that rare classes are found from the start</summary>
#
# That would answer *disgust* most of all, and costs more still on the other classes: 2.48 for FER-2013, against 2.18 at the log prior and 1.95 at zero.
#
# </details>
#
# **4. An image is to be turned, then shifted. Which matrix does the sampling need (as `warp` gives it to `F.affine_grid`)?**
#
# <details><summary>The shift times the rotation, and of that the inverse</summary>
#
# Yes. What comes first stands on the right, and sampling asks from the output back to the input.
#
# </details>
#
# <details><summary>The rotation times the shift, and of that the inverse</summary>
#
# That shifts first and then turns the shifted picture about the middle of the frame: it ends up elsewhere.
#
# </details>
#
# <details><summary>The shift times the rotation, as it is</summary>
#
# That is the way forward. Sampling with it turns and shifts the picture the other way.
#
# </details>

# %% [markdown]
# ## Exercises
#
# *95 minutes for all six*
#
# Each has a cell to work in and one that checks what you did. `ch02.standardise.hint()` and `ch02.standardise.solution()`
# print what else is folded below.
#
# ### Exercise 1. In train's units
#
# *Easy, 10 minutes.*
#
# You get the `uint8` images of three splits as tensors. Return all three as floats, standardised as they should be.


# %% exercise="standardise"
def standardise(train, val, test):
    """uint8 tensors (N, H, W) -> three float tensors, standardised."""
    # solution
    scaled = [split.float() / 255 for split in (train, val, test)]
    mean, std = scaled[0].mean(), scaled[0].std()
    return [(split - mean) / std for split in scaled]
    # end


# %% [markdown] hint="standardise"
# Convert to float before anything else. One mean and one deviation, over all pixels of all training images, serve for all
# three.

# %% [markdown]
# ### Exercise 2. Targets that are shares
#
# *Easy, 10 minutes.*
#
# Write the cross-entropy for targets that are rows of shares, one-hot or not, without `F.cross_entropy`: the mean over the
# images of minus the sum of target times log share. It must take logits of any size, and a gradient must come back from it.


# %% exercise="soft_cross_entropy"
def soft_cross_entropy(logits, targets):
    """Logits and targets (B, K) -> one number, a tensor."""
    # solution
    log_shares = logits - logits.logsumexp(1, keepdim=True)
    losses = -(targets * log_shares).sum(1)
    return losses.mean()
    # end


# %% [markdown] hint="soft_cross_entropy"
# The logarithm of a softmax is the logit minus the logarithm of the sum of all exponentials: `logits.log_softmax(1)` or
# `logits.logsumexp(1)`. To take the softmax first and then the logarithm goes wrong where a share rounds to 0.

# %% [markdown]
# ### Exercise 3. The bias that fits the loss
#
# *Medium, 15 minutes. Changes a module.*
#
# Set the bias of a network's last layer, `model.head[-1]`, so that softmax of the bias gives the constant answer with the
# lowest loss. Without weights these are the class shares. With weights the loss sees class *k* as often as its count times
# its weight. Change the model in place, and nothing but this bias.


# %% exercise="start_at_prior"
def start_at_prior(model, counts, weights=None):
    """Set the last bias; counts and weights are tensors (K,)."""
    # solution
    seen = counts if weights is None else counts * weights
    shares = seen / seen.sum()
    with torch.no_grad():
        model.head[-1].bias.copy_(shares.log())
    # end


# %% [markdown] hint="start_at_prior"
# Softmax undoes the logarithm. `tensor.copy_(other)` writes into a tensor that is there; a parameter may be written to only
# under `torch.no_grad()`.

# %% [markdown]
# ### Exercise 4. A step that cares for every class
#
# *Medium, 15 minutes. Changes the training step.*
#
# Write one step of gradient descent, as in `descend`, with a loss that is weighted by inverse frequency. `counts` are the
# images of each class in train, a tensor. The loss of the batch is the weighted sum divided by the sum of the weights, as
# `F.cross_entropy` has it, which you may use. Gradients from before must not count. Return the loss that the step was made
# from, as a number.


# %% exercise="weighted_step"
def weighted_step(model, images, labels, counts, lr):
    """Take one step, in place, and return the weighted loss."""
    # solution
    weight = counts.sum() / (len(counts) * counts)
    loss = F.cross_entropy(model(images), labels, weight=weight)
    model.zero_grad()
    loss.backward()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter -= lr * parameter.grad
    return loss.item()
    # end


# %% [markdown] hint="weighted_step"
# The step is in `descend`. The weights go into `F.cross_entropy(..., weight=...)` as a tensor of a float for each class; their
# scale cancels.

# %% [markdown]
# ### Exercise 5. Five steps, one matrix
#
# *Hard, 20 minutes.*
#
# Most libraries count places from the corner: pixel (0, 0) is the *centre* of the top left pixel, x runs to the right, y
# down. Return the 3 x 3 matrix that takes the place of a point in the input to its place in the output, when the image is
# first mirrored left to right (if `flip`), then turned anticlockwise by `degrees`, both about its centre, and then moved by
# `right` and `down` pixels.


# %% exercise="forward_matrix"
def forward_matrix(size, flip, degrees, right, down):
    """Return the matrix, (3, 3), for images of size x size pixels."""
    # solution
    centre = (size - 1) / 2
    cos = math.cos(math.radians(degrees))
    sin = math.sin(math.radians(degrees))
    to_centre = np.array([[1, 0, -centre], [0, 1, -centre], [0, 0, 1]])
    mirror = np.diag([-1.0 if flip else 1.0, 1.0, 1.0])
    turn = np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]])
    back = np.array(
        [[1, 0, centre + right], [0, 1, centre + down], [0, 0, 1]]
    )
    return back @ turn @ mirror @ to_centre
    # end


# %% [markdown] hint="forward_matrix"
# Move the centre to (0, 0), mirror, turn, move it back, shift: what comes first stands on the right. Of `size` pixels with
# centres from 0 to size - 1, the middle lies at (size - 1) / 2.

# %% [markdown]
# ### Exercise 6. Erasing as a module
#
# *Hard, 25 minutes. Changes a module.*
#
# Write augmentation as a layer, which `model.eval()` switches off. In training each image, by itself, has with `probability` a
# square of `side` x `side` pixels set to 0, in all its channels. The square lies wholly within the image, each place equally
# likely. In evaluation images pass unchanged. The images that come in must not be changed. (`model.train()` and
# `model.eval()` set `training` in every layer of a model to True and False.)


# %% exercise="RandomErase"
class RandomErase(nn.Module):
    """(B, C, H, W) -> the same shape, some with a square erased."""

    def __init__(self, probability, side):
        super().__init__()
        # solution
        self.probability = probability
        self.side = side
        # end

    def forward(self, x):
        # solution
        if not self.training:
            return x
        x = x.clone()
        height, width = x.shape[2:]
        for image in x:
            if torch.rand(()) < self.probability:
                top = torch.randint(0, height - self.side + 1, ())
                left = torch.randint(0, width - self.side + 1, ())
                rows = slice(top, top + self.side)
                image[:, rows, left : left + self.side] = 0
        return x
        # end


# %% [markdown] hint="RandomErase"
# `self.training` tells the mode, and `x.clone()` makes a copy that you may write into. `torch.randint(0, n, ())` draws from 0 to
# n - 1. Images need not be square.

# %% [markdown]
# ## What to take along
#
# - Bytes wrap round, scales decide the learning rate, and only centring changes the shape of the problem. The numbers come
#   from train.
# - One-hot rows and class indices give the same loss, until there are weights.
# - Class weights trade accuracy for mean recall. Say beforehand which you want.
# - The first loss can be predicted: entropy at the log prior, $\ln 7$ at zero. With inverse-frequency weights zero is the
#   bias that fits.
# - Transforms of places multiply; samplings blur. Multiply first, sample once, by the inverse.
# - Augment train only, after the split, and never so far that the label is gone.
#
# ## Further reading
#
# - LeCun et al., *Efficient BackProp* (1998): why inputs should have mean zero.
# - Lin et al., [Focal loss for dense object detection](https://arxiv.org/abs/1708.02002) (2017): where starting the last bias
#   at the prior became usual, and another way to weigh.
# - Byrd and Lipton, [What is the effect of importance weighting in deep
#   learning?](https://arxiv.org/abs/1812.03372) (2019): less than one would think.
# - Menon et al., [Long-tail learning via logit adjustment](https://arxiv.org/abs/2007.07314) (2021): shifting the logits
#   by the log prior instead of weighing the loss.
# - Jaderberg et al., [Spatial transformer networks](https://arxiv.org/abs/1506.02025) (2015): where sampling by a grid
#   entered deep learning.
# - Zhong et al., [Random erasing data augmentation](https://arxiv.org/abs/1708.04896) (2020).
