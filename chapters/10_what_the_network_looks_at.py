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
# # What the network looks at
#
# > **By the end you can** write Grad-CAM and occlusion by hand, read them beside a gradient map, score a map where the truth is known, tell an
# > explanation from a picture that only looks like one, find a shortcut, mend a confidence, and say which questions about
# > errors, noisy labels and groups of people this data can answer.
# >
# > **You need** chapter 3 for training and chapter 5 for the networks. A GPU for the training of section *Into a network of
# > yours* only.
# >
# > **Time** 100 minutes to read and run, 110 more for the six exercises.
#
# A network says *happy*. What did it look at? There are many methods that answer with a coloured map, and every map looks
# convincing. On photographs nobody can check them, since nobody knows what the network *should* have looked at. On drawn
# faces we do: we know where the mouth is, which muscles moved, and we can take the mouth away and draw the face again. So here
# the explanations themselves are put to the test. The second half asks the same of the answers: which are wrong, how sure are they,
# who labelled them, and about whom are they wrong?

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
# The library [captum](https://captum.ai) (Kokhlikyan et al., 2020) has most methods of this field, well kept and tested. We hold our
# own lines against it. Colab does not bring it, so there the next cell installs it:

# %%
if IN_COLAB and importlib.util.find_spec("captum") is None:
    pip = [sys.executable, "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, "--no-deps", "captum"], check=True)
    importlib.invalidate_caches()

# %%
import copy
import json

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from scipy.stats import binomtest, spearmanr
from torch import nn
from torch.nn import functional as F

from fercourse import explain, plots
from fercourse.check import ch10
from fercourse.course import explore
from fercourse.data import EMOTIONS
from fercourse.data.synthetic import (
    ACTION_UNITS,
    PARAMETERS,
    draw,
    draw_faces,
    emotion_units,
    masks,
    synthetic_faces,
)
from fercourse.evaluate import metrics
from fercourse.layers import ConvNormAct, pooled_head
from fercourse.papers import TABLE2
from fercourse.records import read_record, results_folder

plots.use_style()

# %% [markdown]
# ## A network to look into
#
# *6 minutes*
#
# Fifteen hundred easy drawn faces, and a small network: three convolutions, whose last maps have 12 x 12 places, an average over
# them, and a dense layer.

# %%
threads = torch.get_num_threads()
torch.set_num_threads(1)  # such small layers are slower with more

faces = synthetic_faces("easy", sizes=(1500, 400, 1500))
table = faces.test.truth["parameters"]
parts = {name: torch.from_numpy(m) for name, m in masks(table).items()}


def ready(images):
    """uint8 (N, 48, 48) -> (N, 1, 48, 48), 0 is the middle grey."""
    x = torch.from_numpy(images).unsqueeze(1).float() / 255
    return (x - 0.5) / 0.25


images, labels = ready(faces.train.images), torch.tensor(faces.train.labels)
others, truth = ready(faces.test.images), torch.tensor(faces.test.labels)


# %%
class Small(nn.Module):
    """(B, 1, 48, 48) -> maps (B, 48, 12, 12) -> logits (B, 7)."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            ConvNormAct(1, 12, stride=2),
            ConvNormAct(12, 24, stride=2),
            ConvNormAct(24, 48),
        )
        self.head = pooled_head(48, len(EMOTIONS))

    def forward(self, x):
        return self.head(self.features(x))


# %% [markdown]
# So that a few seconds are enough, the rate of learning rises and falls once (Smith's one-cycle schedule), and is ten times as high in
# the dense layer.


# %%
def learn(model, x, y, epochs, size=30):
    """Train on these faces; return the network in evaluation mode."""
    both = model.features.parameters(), model.head.parameters()
    optimizer = torch.optim.Adam(
        [{"params": group} for group in both], fused=True
    )
    steps = epochs * -(-len(x) // size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, [0.02, 0.2], total_steps=steps
    )
    for _ in range(epochs):
        model.train()
        for batch in torch.randperm(len(x)).split(size):
            loss = F.cross_entropy(model(x[batch]), y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return model.eval()


# %% tags=["nbval-ignore-output"]
torch.manual_seed(0)
network = learn(Small(), images, labels, epochs=6)
with torch.no_grad():
    logits = network(others)
right = logits.argmax(1) == truth
print(f"{right.float().mean():.0%} of other drawn faces")

# %%
assert right.float().mean() > 0.75
found = [k for k in range(7) if int((right & (truth == k)).sum()) >= 12]
print("found often enough to look at:", *(EMOTIONS[k] for k in found))

# %% [markdown]
# *Disgust* is missing: of the classes it is the rarest, with one face in seventy, and this network hardly ever names it. What
# is never answered cannot be explained, so we go on with the six others, twelve faces of each that are rightly named:

# %%
pick = torch.cat(
    [torch.nonzero(right & (truth == k))[:12, 0] for k in found]
)
shown, targets = others[pick], truth[pick]
where = {name: mask[pick] for name, mask in parts.items()}

# %% [markdown]
# ## Grad-CAM in ten lines
#
# *11 minutes*
#
# The last convolution gives maps $A_c$: channel $c$ says *where* it sees *what* it has learned to see. Which channels speak for
# *happy*? The gradient of that logit says so. **Grad-CAM** (Selvaraju et al., 2017) takes three steps:
#
# 1. For each channel, the mean $w_c$ of the gradient over the map: how much the logit rises if the channel rises.
# 2. The sum of the maps with these weights, $\sum_c w_c A_c$.
# 3. Only what speaks *for* the class is kept (ReLU), and the small map is stretched to the size of the image.
#
# To get at the maps inside a network, PyTorch has **hooks**: functions that are called when a layer has computed its output.


# %% tags=["inline"]
def grad_cam(model, images, targets, layer):
    """Where the layer's maps speak for the targets, (B, H, W)."""
    kept = []
    hook = layer.register_forward_hook(
        lambda _, __, output: kept.append(output)
    )
    logits = model(images)
    hook.remove()
    score = logits.gather(1, targets[:, None]).sum()
    (gradient,) = torch.autograd.grad(score, kept[0])
    weights = gradient.mean((2, 3), keepdim=True)
    cam = (weights * kept[0]).sum(1, keepdim=True).relu()
    size = images.shape[2:]
    return F.interpolate(cam, size=size, mode="bilinear")[:, 0].detach()


# %% [markdown]
# > **Predict.** The score is the *sum* of the logits of all images in the batch. Does image 1 then get a share of image 2's
# > gradient? What would have to be different for the answer to change?

# %%
last = network.features[-1]
alone = grad_cam(network, shown[:1], targets[:1], last)
together = grad_cam(network, shown, targets, last)
print(
    "alone as in the batch:", torch.allclose(alone, together[:1], atol=1e-5)
)

# %% [markdown]
# In evaluation mode each image goes its own way through the network, so that its logit depends on its own maps alone. In
# *training* mode batch norm mixes the batch, and the explanation of a face would depend on the other faces. An explanation
# computed in training mode is a common mistake, and no error message tells.
#
# Does captum say the same?

# %%
from captum.attr import LayerAttribution, LayerGradCam, Occlusion

theirs = LayerGradCam(network, last).attribute(
    shown, target=targets, relu_attributions=True
)
theirs = LayerAttribution.interpolate(theirs, (48, 48), "bilinear")
gap = (theirs[:, 0] - together).abs().max().item()
print("the same as captum's:", gap < 1e-5)

# %%
from fercourse.explain import grad_cam  # the package's, careful with modes


# %%
def overlay(pictures, maps, titles, columns=6, size=1.0):
    """Show maps over faces: the brighter, the more relevant."""
    grey = (pictures[:, 0] * 0.25 + 0.5).mul(255).round().byte()
    axes = plots.faces(grey.numpy(), titles, columns=columns, size=size)
    for ax, one in zip(axes.flat, maps.clamp(min=0), strict=True):
        strength = (one / one.max().clamp(min=1e-9)).numpy()
        ax.imshow(strength, cmap="inferno", alpha=0.75 * strength)
    plt.show()


# %% mystnb={"image": {"alt": "Six drawn faces, one each for angry, fear, happy, sad, surprise and neutral, with a soft bright patch over each where Grad-CAM sees the reason: patches lie on brows, eyes or mouth, in several faces on two of them, and have soft edges."}}
first = torch.arange(0, len(pick), 12)
overlay(
    shown[first],
    grad_cam(network, shown[first], targets[first], last),
    [EMOTIONS[k] for k in found],
)

# %% [markdown]
# Convincing? The patches lie on the face, on parts of it that have to do with expressions. Do not believe it yet. Note first
# how coarse they are: one place of a 12 x 12 map stands for 4 x 4 pixels, and has seen more around them. With paper 1's ResNets
# the last maps have 6 x 6 places, each 8 pixels wide.
#
# ## Covering, and asking again
#
# *9 minutes*
#
# The other way to find out what matters needs no gradient: cover a square with grey, and see how far the logit falls
# (**occlusion**; Zeiler and Fergus, 2014). Move the square, and let every pixel have the mean over the squares that covered it:


# %% tags=["inline"]
@torch.no_grad()
def occlusion(model, images, targets, *, size=8, stride=4):
    """How far the target's logit falls where a square covers."""

    def score(x):
        return model(x).gather(1, targets[:, None])[:, 0]

    whole = score(images)
    side = images.shape[-1]
    falls = torch.zeros(len(images), side, side)
    covers = torch.zeros(side, side)
    for top in range(0, side - size + stride, stride):
        for left in range(0, side - size + stride, stride):
            rows, columns = slice(top, top + size), slice(left, left + size)
            covered = images.clone()
            covered[:, :, rows, columns] = 0
            falls[:, rows, columns] += (whole - score(covered))[
                :, None, None
            ]
            covers[rows, columns] += 1
    return falls / covers


# %%
ours = occlusion(network, shown[:6], targets[:6])
theirs = Occlusion(network).attribute(
    shown[:6], (1, 8, 8), strides=(1, 4, 4), target=targets[:6]
)
gap = (theirs[:, 0] - ours).abs().max().item()
print("the same as captum's:", gap < 1e-5)

# %%
from fercourse.explain import input_gradients, occlusion

# %% [markdown]
# > **Predict.** How many passes through the network does this cost an image, with squares of 8 that move by 4 on 48 pixels?
# > And Grad-CAM?

# %%
steps = len(range(0, 48 - 8 + 4, 4))
print(f"occlusion: {steps**2} squares and the whole face, {steps**2 + 1}")
print("Grad-CAM: one pass forward, and one backward from logit to layer")

# %% [markdown]
# The third map is the **gradient of the logit by the pixels** (Simonyan et al., 2013), without its sign. It is as fine as the image itself,
# and asks another question: not what matters that is there, but which pixel would move the answer if it *changed a little*. Here
# are all three, from top to bottom: Grad-CAM, occlusion, gradient.

# %%
maps = {
    "Grad-CAM": grad_cam(network, shown, targets, last),
    "occlusion": occlusion(network, shown, targets),
    "gradient": input_gradients(network, shown, targets),
}

# %% mystnb={"image": {"alt": "Three rows of the same six drawn faces with maps over them. Grad-CAM's are soft patches on mouth, eyes or brows; those of occlusion are blocks, often in the same places; those of the gradient are specks around eyes, mouth and outlines. The three rows do not agree on every face."}}
overlay(
    shown[first].repeat(3, 1, 1, 1),
    torch.cat([one[first] for one in maps.values()]),
    [EMOTIONS[k] for k in found],
)


# %%
def look(person=3, emotion="happy", turned=0.0):
    """Grad-CAM, occlusion and gradient of a face of your choice."""
    units = emotion_units(emotion)
    face = ready(draw_faces(units, identity=person, yaw=turned))
    answer = network(face).argmax(1)
    three = [
        grad_cam(network, face, answer, last),
        occlusion(network, face, answer),
        input_gradients(network, face, answer),
    ]
    titles = [f"{EMOTIONS[answer]}:", *maps]
    overlay(
        face.repeat(4, 1, 1, 1),
        torch.cat([torch.zeros(1, 48, 48), *three]),
        titles,
        columns=4,
        size=1.5,
    )


explore(look, person=(0, 20), emotion=list(EMOTIONS), turned=(-0.6, 0.6))

# %% [markdown]
# The three maps differ, on the same face and the same network. Which one is right?
#
# ## Two truths
#
# *13 minutes*
#
# "Right" may mean two things, and mixing them up is a common mistake in reading such maps.
#
# - **What makes the class.** Whoever drew these faces made *happy* by pulling the lip corners (*action unit* 12, AU12 for short: one muscle, or a few
#   that move together), raising the cheeks (AU6) and parting the lips (AU25). A map that points there agrees with the *drawing*.
# - **What moves this network.** A network is free to go by anything that works, for instance by brows that are *not* lowered. A map
#   is faithful if it points to what *this network* uses.
#
# An explanation is about the network. If the map of a happy face points to the brows, the map may be wrong or the network
# may be odd, and the map alone cannot tell which. On drawn faces we can ask the network directly: draw the same person, light and noise
# again **without a part**, and see how far the logit falls.


# %%
@torch.no_grad()
def target_logit(pictures):
    return network(pictures).gather(1, targets[:, None])[:, 0].numpy()


names = ("mouth", "eyes", "brows", "nose")
rows = table[pick.numpy()]
whole = target_logit(shown)
falls = {}
for name in names:
    without = ready(draw(rows, without=(name,)))
    falls[name] = whole - target_logit(without)

# %% mystnb={"image": {"alt": "Six drawn happy and surprised faces in two rows: above as they are, below drawn again without a mouth; everything else is the same, down to the noise."}}
places = np.flatnonzero(np.isin(targets.numpy(), [3, 5]))[
    [0, 4, 8, 12, 16, 20]
]
pair = [draw(rows[places]), draw(rows[places], without=("mouth",))]
plots.faces(np.concatenate(pair), columns=6)
plt.show()

# %%
by_class = np.array(
    [
        [falls[name][(targets == k).numpy()].mean() for name in names]
        for k in found
    ]
)

# %% mystnb={"image": {"alt": "A table in shades of blue: how far the logit of each class falls when a part is left out. Fear falls furthest, without mouth or without eyes; angry and surprise fall mostly without eyes; happy, sad and neutral without brows, neutral without the mouth as well. Without the nose little happens, except that happy falls by 0.8."}}
figure, ax = plt.subplots(figsize=(4.6, 4.0), layout="constrained")
ax.imshow(by_class, cmap="Blues", vmin=0, vmax=4, aspect="auto")
ax.set_xticks(range(4), names)
ax.set_yticks(range(len(found)), [EMOTIONS[k] for k in found])
for (row, column), value in np.ndenumerate(by_class):
    shade = "white" if value > 2.4 else "black"
    ax.text(
        column, row, f"{value:z.1f}", ha="center", va="center", color=shade
    )
ax.set_title("fall of the logit without ...")
plt.show()

# %%
happy = dict(zip(names, by_class[found.index(3)], strict=True))
assert happy["brows"] > 0.5
assert np.abs(by_class[:, 3]).max() < 1 < by_class[:, :3].max()
print("Without brows a happy face is less happy to this network.")

# %% [markdown]
# So it does go by the brows of happy faces, although no happy expression moves them. That is no fault: brows at rest speak against *angry*,
# *sad* and *surprise*. And the shape of the mouth alone is no proof of a smile, as the units show when they are set to zero one by one on the
# same faces. (AU4, lowered brows, and AU15, lowered lip corners, are the control: a smile has next to none of them.)

# %%
smiles = (targets == 3).numpy()
units = {}
for unit in ("AU12", "AU6", "AU25", "AU4", "AU15"):
    changed = rows.copy()
    changed[:, ACTION_UNITS.index(unit)] = 0
    gone = whole - target_logit(ready(draw(changed)))
    units[unit] = gone[smiles].mean()

# %%
control = max(units[name] for name in ("AU25", "AU4", "AU15"))
assert min(units["AU12"], units["AU6"]) > control + 0.2
print("AU12 (lip corners) and AU6 (cheeks) carry the smile;")
print("AU25 (parted lips) carries less, AU4 and AU15 as well.")

# %% [markdown]
# Now a score. A map says how relevant each pixel is; the mask says where the part is. `explain.inside` divides the share of
# the relevance that lies inside the mask by the mask's share of the area. 1 is what a map gets that knows nothing. (You will write it
# in exercise 1.)
#
# > **Predict.** A map that has never seen the network and only knows that faces are in the middle: a soft disc. Will it score
# > about 1 on mouth, eyes, brows and nose together, or nearly what Grad-CAM gets?

# %%
across = torch.arange(48.0) - 23.5
disc = torch.exp(-(across**2 + across[:, None] ** 2) / 200)
blurred = F.avg_pool2d(shown, 5, stride=1, padding=2)
maps["disc"] = disc.expand(len(shown), 48, 48)
maps["edges"] = (shown - blurred)[:, 0].abs()
maps["noise"] = torch.rand(
    (len(shown), 48, 48), generator=torch.Generator().manual_seed(0)
)


# %%
def scores(one):
    """Mean score of a map, (classes, parts)."""
    table = np.empty((len(found), len(names)))
    for column, name in enumerate(names):
        score = explain.inside(one, where[name])
        for row, k in enumerate(found):
            table[row, column] = score[targets == k].nanmean()
    return table


scored = {name: scores(one) for name, one in maps.items()}

# %% mystnb={"image": {"alt": "Two horizontal bar charts for six maps. Left, the mean score over all four parts: Grad-CAM, occlusion and gradient lie between 2.3 and 2.9, the disc just below them at 2.2, edges at 1.8, noise at 1. Right, the rank correlation with what the network uses: occlusion, gradient and edges are high, Grad-CAM in the middle, noise near zero, the disc negative."}}
agreement = {
    name: spearmanr(one.ravel(), by_class.ravel())[0]
    for name, one in scored.items()
}
figure, axes = plt.subplots(
    1, 2, figsize=(6.4, 3.0), sharey=True, layout="constrained"
)
axes[0].barh(list(scored), [one.mean() for one in scored.values()])
axes[0].axvline(1, color="0.5", linewidth=1)
axes[0].set_xlabel("mean score on the parts")
axes[1].barh(list(scored), list(agreement.values()), color=plots.PALETTE[1])
axes[1].axvline(0, color="0.5", linewidth=1)
axes[1].set_xlabel("rank correlation with\nwhat the network uses")
axes[0].invert_yaxis()
plt.show()

# %%
mean = {name: one.mean() for name, one in scored.items()}
assert mean["disc"] > 2 > 1.2 > mean["noise"]
assert agreement["occlusion"] > max(agreement["disc"], agreement["noise"])
assert agreement["edges"] > max(0.4, agreement["Grad-CAM"])
print("A disc scores well on the parts; edges agree with the network.")

# %% [markdown]
# Two lessons, both humbling.
#
# **Pointing at the parts of the face is easy.** A disc that knows nothing but where the middle is scores more than twice chance, nearly as much as
# the gradient and not far below Grad-CAM. "The heat map lies on the face" says next to nothing, and a score without such a comparison says no more.
#
# **Agreement with what the network uses** is the better question. Each number above compares 24 cells: six classes, four parts. Here the disc fails:
# it says the same of every class, and most of all the nose. But look at *edges*: the absolute difference of each pixel from its surroundings. It has
# never seen the network, and agrees better than Grad-CAM does. Why? Brows, eyes and mouths have strong edges and the nose has few, and by brows, eyes
# and mouths the network goes. So this test, too, can be passed without knowing anything about the network. We need one that cannot.
#
# ## Would it say the same of another network?
#
# *8 minutes*
#
# Adebayo et al. (2018) asked exactly this. An explanation of a network must depend on the network. So **randomise its weights**, draw the
# map again, and compare. A map that stays the same was never about the network. They found published methods that hardly
# changed, because what they showed was edges.


# %%
def randomised(modules):
    """A copy of the network with these modules drawn anew."""
    model = copy.deepcopy(network)
    torch.manual_seed(1)
    for name in modules:
        for layer in model.get_submodule(name).modules():
            if hasattr(layer, "reset_parameters"):
                layer.reset_parameters()
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):  # averages of the new maps
            layer.reset_running_stats()
            layer.momentum = None
    with torch.no_grad():
        model.train()(images[:300])
    return model.eval()


# %%
def alike(one, other):
    """Mean correlation of two maps of the same faces."""
    one, other = (
        (x - x.mean(1, keepdim=True))
        for x in (one.flatten(1), other.flatten(1))
    )
    return F.cosine_similarity(one, other).mean().item()


def redrawn(model):
    """The maps of another network, of every third face."""
    x, y = shown[::3], targets[::3]
    return {
        "Grad-CAM": grad_cam(model, x, y, model.features[-1]),
        "occlusion": occlusion(model, x, y),
        "gradient": input_gradients(model, x, y),
        "edges": maps["edges"][::3],
    }


# %%
stages = {
    "dense layer": ["head"],
    "and last convolution": ["head", "features.2"],
    "everything": ["head", "features"],
}
changed = {
    stage: {
        name: alike(one, maps[name][::3])
        for name, one in redrawn(randomised(modules)).items()
    }
    for stage, modules in stages.items()
}

# %% mystnb={"image": {"alt": "Four lines over three stages of randomising: dense layer, and last convolution, everything. Gradient and Grad-CAM begin near 0.5 and 0.3, occlusion near 0, and all end near 0.1; edges stay at 1 throughout."}}
lines = pd.DataFrame(changed).T
figure, ax = plt.subplots(figsize=(6.0, 3.2), layout="constrained")
for name, style in zip(lines, plots.style.LINES, strict=False):
    ax.plot(lines.index, lines[name], style, marker="o", label=name)
ax.set_ylabel("correlation with the\nmaps of the trained network")
ax.set_ylim(-0.35, 1.1)
ax.legend(loc="center right", bbox_to_anchor=(1, 0.62))
plt.show()

# %%
final = lines.loc["everything"]
assert final["edges"] > 0.99 > 0.5 > final[list(lines)[:3]].max()
print("All three methods depend on the network. Edges do not.")

# %% [markdown]
# All three pass here, and *edges* is found out at once. Passing is necessary, and not enough: a map could change with the
# weights and still point to the wrong place. But a method that fails this needs no further look. Note also the first
# stage: with a new dense layer, whose weights mean nothing, the maps of gradient and Grad-CAM are still somewhat like those of
# the trained one. That much of a map comes from the picture and from the layers below, whatever the question.
#
# ## A planted shortcut
#
# *11 minutes*
#
# What maps are really for: finding that a network goes by something it should not. Zech et al. (2018) found networks
# for X-rays that told the hospital, and with it the share of sick patients, from the picture. In FER-2013, web photographs of one
# class may share a watermark, a crop, a stock-photo background. Let us plant one: every happy face in train gets a bright square of 5 x 5 pixels in
# the upper left corner.


# %%
def marked(x):
    """The faces with a white mark of 5 x 5 pixels."""
    x = x.clone()
    x[:, :, 2:7, 2:7] = 2.0
    return x


@torch.no_grad()
def answers_of(model, x):
    return model(x).argmax(1)


def accuracy(answers):
    return (answers == truth).float().mean().item()


planted = torch.where(
    (labels == 3)[:, None, None, None], marked(images), images
)
as_planted = torch.where(
    (truth == 3)[:, None, None, None], marked(others), others
)

# %% tags=["nbval-ignore-output"]
torch.manual_seed(0)
cheat = learn(Small(), planted, labels, epochs=4)
seen, none = answers_of(cheat, as_planted), answers_of(cheat, others)
print(f"test faces marked in the same way: {accuracy(seen):.0%}")
print(f"test faces without any mark:       {accuracy(none):.0%}")

# %%
assert accuracy(seen) > accuracy(none) + 0.1
print("On marked test faces it looks much better than it is.")

# %% [markdown]
# If the test faces come from the same source, they carry the mark too, and the first number is all one sees. It gives no
# hint. Now mark all faces, whatever they show, and ask what they are called:

# %%
every = answers_of(cheat, marked(others))
taken = (every[truth != 3] == 3).float().mean().item()
missed = (none[truth == 3] != 3).float().mean().item()

# %%
assert min(taken, missed) > 0.5
print("With the mark, most other faces become happy;")
print("without it, most happy ones no longer are.")

# %% [markdown]
# This experiment, changing the suspect and nothing else, settles the matter. But one must first have a suspect. Do the
# maps show one to somebody who knows nothing of the mark?

# %%
glad = torch.nonzero(truth == 3)[:24, 0]
suspects, is_happy = marked(others[glad]), torch.full((24,), 3)
traces = {
    "Grad-CAM": grad_cam(cheat, suspects, is_happy, cheat.features[-1]),
    "occlusion": occlusion(cheat, suspects, is_happy),
    "gradient": input_gradients(cheat, suspects, is_happy),
}

# %% mystnb={"image": {"alt": "The mean maps of 24 marked happy faces by three methods, each with a thin square around the mark in the upper left corner. Occlusion is brightest exactly there. Grad-CAM has its bright patch in that corner, too, but reaching far beyond the square to the right and down. The gradient is brightest at the mark and faint over the whole face."}}
means = torch.stack([one.clamp(min=0).mean(0) for one in traces.values()])
means = means / means.amax((1, 2), keepdim=True)
axes = plots.faces(means.numpy(), list(traces), columns=3, size=2)
for ax in axes.flat:
    ax.add_patch(
        plt.Rectangle((1.5, 1.5), 5, 5, fill=False, color="#E69F00")
    )
plt.show()

# %%
box = torch.zeros(24, 48, 48, dtype=torch.bool)
box[:, :9, :9] = True  # the mark and two pixels around it
found_by = {}
for name, one in traces.items():
    peak = one.flatten(1).argmax(1)
    hits = box.flatten(1)[torch.arange(24), peak].float().mean().item()
    found_by[name] = explain.inside(one, box).nanmean().item(), hits

# %%
assert min(score for score, _ in found_by.values()) > 3
assert found_by["occlusion"][1] > 0.9 > 0.5 > found_by["Grad-CAM"][1]
print("All three maps are several times denser at the mark than elsewhere.")
print("Occlusion's highest point lies on it. Grad-CAM's mostly does not.")

# %% [markdown]
# All three make one look at the corner, and that is what one wants of them. But if you had to say *which pixels*, Grad-CAM would
# send you a little astray: its maps have 12 x 12 places, the convolutions before it have carried the mark a few pixels inwards, and what
# the padding of zeros does at the border adds to it. With 6 x 6 places it would be worse. Use maps to raise a suspicion, and an experiment
# on the picture to settle it.
#
# Nor does a map that is clean prove that there is no shortcut. A shortcut without a place, such as the brightness of all pixels, or
# the sharpness of a scan, lies everywhere and shows nowhere.
#
# ### Into a network of yours
#
# The same for a network of the course, trained within your budget. On FER-2013 single faces stay on your own screen; what may be
# shown is the **mean** map of a class, in which nobody can be recognised. All seven share one scale, so that a black map has
# little or nothing beside the brightest one; where it is zero, the ReLU has left nothing.

# %% tags=["nbval-ignore-output"]
torch.set_num_threads(threads)
own, history = session.train("basic_cnn")
history.round(3)

# %%
from fercourse.augment import to_float

assert history["train_loss"].between(0, 5).all()
print("basic_cnn trains.")

# %% mystnb={"image": {"alt": "Seven small grey pictures, a mean Grad-CAM map for each emotion of basic_cnn after a smoke training. One has bright edges and a blurred patch, the others are nearly black; they mean nothing after so short a training."}}
part = session.faces.val.subset(slice(0, 600))
batch = to_float(torch.from_numpy(part.images)).to(session.device)
answers = torch.from_numpy(part.labels).to(session.device)
middle = own.blocks[2][0]  # the last maps of 12 x 12 places
relevance = grad_cam(own, batch, answers, middle).cpu()
seven = [relevance[part.labels == k].mean(0) for k in range(7)]
plots.faces(torch.stack(seven).numpy(), EMOTIONS, size=0.9)
plt.show()

# %% [markdown]
# ## What is mixed up
#
# *6 minutes*
#
# Back to the network of this chapter, and to its errors. A confusion matrix says which classes are mixed up; on drawn faces we can ask
# *which muscles* make the difference.

# %% mystnb={"image": {"alt": "Confusion matrix on drawn faces. Most rows have 80 to 95 per cent on the diagonal. Disgust is never named, and is taken for happy, then sad, neutral or angry. After disgust, neutral is mixed up most, with angry and with happy."}}
measured = metrics(truth.numpy(), logits=logits.numpy())
plots.matrix(measured["confusion"])
plt.show()

# %% [markdown]
# Take the happy faces that were called *neutral*, and those that were called *happy*. Both are happy by construction. In what do they
# differ?

# %%
units_of = faces.test.truth["units"]
answer = logits.argmax(1)
called = {
    name: units_of[((truth == 3) & (answer == k)).numpy()]
    for name, k in {"happy": 3, "neutral": 6}.items()
}
gap = called["neutral"].mean(0) - called["happy"].mean(0)

# %% mystnb={"image": {"alt": "Bars for the fifteen action units: mean intensity in happy faces that were called neutral, less that in happy faces that were called happy. AU25, lips part, is lowest by far, then AU6, cheek raiser; AU12 and AU26 are a little lower, the others lie near zero."}}
figure, ax = plt.subplots(figsize=(6.4, 2.8), layout="constrained")
ax.bar(ACTION_UNITS, gap)
ax.axhline(0, color="0.4", linewidth=1)
ax.tick_params(axis="x", rotation=60)
ax.set_ylabel("called neutral,\nless called happy")
plt.show()

# %%
lowest = {ACTION_UNITS[place] for place in gap.argsort()[:2]}
assert lowest <= {"AU25", "AU6", "AU12"}
assert gap[ACTION_UNITS.index("AU25")] < -0.1
print("Smiles that are missed lack parted lips, or raised cheeks.")

# %% [markdown]
# Some three in ten of the happy faces smile with closed lips, and in some the cheeks stay down: among these are most of those it misses.
# But a difference is a suspicion, and no cause yet. So take the smiles that it names rightly, set one unit to zero, and draw them again:

# %%
smiling = table[((truth == 3) & (answer == 3)).numpy()]
still = {}
for unit in ("AU12", "AU6", "AU25"):
    changed = smiling.copy()
    changed[:, ACTION_UNITS.index(unit)] = 0
    with torch.no_grad():
        named = network(ready(draw(changed))).argmax(1)
    still[unit] = (named == 3).float().mean().item()

# %%
assert still["AU25"] > max(still["AU12"], still["AU6"]) + 0.1
print("Lip corners or cheeks down: many smiles are lost.")
print("Lips closed: most of them are still named happy.")

# %% [markdown]
# The bar of the lips was the longest because closed lips are common. Cheeks that stay down are rarer, and cost more. This is an
# explanation in the best sense: it names a cause that was checked, and that can be mended by more such faces in train.
# FER-2013 comes without such units.
#
# ## How sure is it?
#
# *12 minutes*
#
# The largest softmax probability is called the **confidence**. It earns the name if of all answers given with 80% confidence, 80% are right:
# the network is then **calibrated**. The **reliability diagram** sorts answers into bins of confidence and compares. The records of this
# course keep what it needs, so here are two networks on the real FER-2013:

# %% mystnb={"image": {"alt": "Reliability of two recorded networks on FER-2013's test images: accuracy against confidence, points for bins with at least 30 images, near the diagonal of perfect calibration. Most points lie a little above it, those of basic_cnn further than those of small_vgg."}}
figure, ax = plt.subplots(figsize=(4.4, 4.2), layout="constrained")
ax.plot([0, 1], [0, 1], color="0.6", linewidth=1)
eces = {}
for model, style in (("basic_cnn", "o-"), ("small_vgg", "s--")):
    record = read_record(f"{model}-quick-seed0-cpu").metrics("test")
    bins = {key: np.array(v) for key, v in record["reliability"].items()}
    used = bins["count"] >= 30
    count = bins["count"][used]
    x = bins["confidence_sum"][used] / count
    ax.plot(x, bins["hits"][used] / count, style, label=model)
    eces[model] = record["ece"]
ax.set_xlabel("confidence")
ax.set_ylabel("accuracy")
ax.legend()
plt.show()

# %%
print({model: f"{100 * ece:.1f} points" for model, ece in eces.items()})

# %% [markdown]
# The number is the **expected calibration error** (ECE): the distance from the diagonal, averaged over the images. Both
# networks lie above it: they are too modest. They were trained with label smoothing of 0.1, which asks for less than
# certainty (chapter 11), and stopped after ten epochs, long before they knew their training images by heart. Guo et al. (2017) found that large networks trained to
# the end are *over*confident; whether paper 1's are, with the training accuracies that it prints, its tables do not say, and our records will when they land.
#
# The simplest cure is **temperature scaling**: divide all logits by one number $T$. Above 1 it makes every answer less sure, below 1 surer, and no answer
# changes. $T$ is chosen on *val*, where the loss is least.
#
# > **Predict.** Our network on easy drawn faces was trained for six epochs only. Is it over- or underconfident there? And on *standard* faces, turned, shaded
# > and partly covered as it has never seen any?

# %%
torch.set_num_threads(1)
harder = synthetic_faces("standard", sizes=(0, 400, 800))
sets = {"easy": faces, "standard": harder}
scores_of, labels_of = {}, {}
with torch.no_grad():
    for name, one in sets.items():
        for split in ("val", "test"):
            scores_of[name, split] = network(ready(one[split].images))
            labels_of[name, split] = torch.from_numpy(one[split].labels)

# %% mystnb={"image": {"alt": "Two curves, loss on val against the temperature from 0.4 to 2.5. On easy faces the lowest point lies below 1, on standard faces above 1."}}
temperatures = torch.linspace(0.4, 2.5, 85)
best = {}
figure, ax = plt.subplots(figsize=(6.0, 3.0), layout="constrained")
for name, style in (("easy", "-"), ("standard", "--")):
    z, y = scores_of[name, "val"], labels_of[name, "val"]
    loss = torch.stack([F.cross_entropy(z / t, y) for t in temperatures])
    best[name] = temperatures[loss.argmin()].item()
    ax.plot(temperatures, loss, style, label=name)
    ax.plot(best[name], loss.min(), "o", color="black")
ax.set_xlabel("temperature")
ax.set_ylabel("loss on val")
ax.legend()
plt.show()


# %%
def ece(name, temperature=1.0):
    """Calibration error on the test faces of a set."""
    z, y = scores_of[name, "test"], labels_of[name, "test"]
    return metrics(y.numpy(), logits=(z / temperature).numpy())["ece"]


# %%
assert best["easy"] < 1 < best["standard"]
assert ece("easy", best["easy"]) < ece("easy")
assert ece("standard", best["easy"]) > ece("standard") + 0.02
print("On easy faces it is too modest, on standard faces too sure.")
print("The temperature of the easy ones makes the others worse.")

# %% mystnb={"image": {"alt": "Two reliability diagrams. Left, easy faces: the line as trained lies above the diagonal, that with the temperature fitted on easy faces close to it. Right, standard faces: as trained near the diagonal, with the easy faces' temperature clearly below it."}}
figure, axes = plt.subplots(
    1, 2, figsize=(6.6, 3.4), sharey=True, layout="constrained"
)
for ax, name in zip(axes, sets, strict=True):
    ax.plot([0, 1], [0, 1], color="0.6", linewidth=1)
    for told, t in (
        ("as trained", 1.0),
        ("easy's temperature", best["easy"]),
    ):
        z, y = scores_of[name, "test"] / t, labels_of[name, "test"]
        bins = metrics(y.numpy(), logits=z.numpy())["reliability"]
        count, total, hits = (np.array(v) for v in bins.values())
        used = count >= 30
        x, height = total[used] / count[used], hits[used] / count[used]
        ax.plot(x, height, "o-" if t == 1 else "s--", label=told)
    ax.set_title(f"{name} faces")
    ax.set_xlabel("confidence")
axes[0].set_ylabel("accuracy")
axes[1].legend(fontsize=8)
plt.show()

# %% [markdown]
# A confidence is right for faces *like those it was fitted on*. The network has no way to know that these others are harder for it. So a demo that prints
# "happy, 97%" under your picture prints a number that was true of other pictures (Ovadia et al., 2019, measured this for many
# networks and shifts).
#
# ## When the labels are wrong
#
# *10 minutes*
#
# All of this took the labels for the truth. FER-2013's are one opinion each. For FER+ ten people judged every image anew (chapter 1). How far do the two
# agree?

# %%
ferplus = json.loads(
    (results_folder() / "audits" / "ferplus.json").read_text()
)
votes = np.array(ferplus["splits"]["test"]["labels_by_vote"])

# %% mystnb={"image": {"alt": "FER-2013's labels against the class that most FER+ voters chose, in per cent of the label. Happy: 94 happy. Surprise: 77, disgust: 36, fear: only 15 fear, with 35 neutral, 21 sad and 15 surprise; sad: 41 sad, 53 neutral; angry: 55 angry, 29 neutral; neutral: 89 neutral."}}
plots.matrix(votes[:, :7], rows="FER-2013 label", columns="FER+ vote")
plt.show()

# %%
agree = np.trace(votes[:, :7]) / votes.sum()
paper = max(row.test for row in TABLE2.values())
told = ferplus["splits"]["test"]
print(f"most votes went to the label:      {agree:.1%} of the test images")
print(
    f"a vote goes to the label:          {told['share_of_votes_for_label']:.1%}"
)
print(
    f"a vote goes to the commonest vote: {told['share_of_votes_for_top']:.1%}"
)
print(f"best network of paper 1:           {paper:.1%} by the labels")

# %% [markdown]
# (Two answers may share the most votes, or the commonest may be contempt, *unknown* or *no face*: so it is for 170 and for 69 of the test images. The
# chart leaves both out; the first number counts them as not agreeing.)
#
# Read these four together. Ten people, asked again, give the label's answer on fewer images than paper 1's network does. The
# network is not better at reading faces than people are. It has learned, from 28,709 examples, *how these labels came about*: the searches with which
# the images were found, and the habits of those who cleaned them up. And an accuracy "above human" on such labels would say no more than that.
#
# What do our recorded networks do where label and voters disagree?

# %%
rows = {}
for name, counted in ferplus["records"].items():
    same, other = counted["label_is_vote"], counted["clear_elsewhere"]
    rows[name.partition("-")[0]] = {
        "the vote is the label: right": counted["right_where_label_is_vote"]
        / same,
        "it is another: says the label": counted["label_elsewhere"] / other,
        "it is another: says the vote": counted["vote_elsewhere"] / other,
    }
pd.DataFrame(rows).map("{:.0%}".format)

# %% [markdown]
# Where people agree with the label, both networks are far better than their accuracy says. Where a clear vote is for another class, they give the
# voters' answer more often than the label's, although they were trained on labels alone. So a good part of what the test counts as errors is the
# label's. How firm the votes are tells much of how hard an image is:

# %% mystnb={"image": {"alt": "Share of test images against how many of ten voters agree, from under four to all ten, of those with one first choice, three lines: the label is the vote, small_vgg agrees with the label, small_vgg agrees with the vote. With the votes, all three rise: the label is the vote from 27 to 92 per cent, the network says the label from 17 to 88 and the vote from 40 to 94. At 4-5 votes it says the label slightly more often, everywhere else the vote."}}
firm = pd.DataFrame(
    ferplus["records"]["small_vgg-quick-seed0-cpu"]["by_firmness"]
)
ticks = ["under 4", "4-5", "6-7", "8-9", "all 10"]
figure, ax = plt.subplots(figsize=(6.2, 3.4), layout="constrained")
for column, told_as, style in (
    ("label_is_vote", "label is the vote", "o-"),
    ("pred_is_label", "network says the label", "s--"),
    ("pred_is_vote", "network says the vote", "^:"),
):
    ax.plot(
        ticks,
        100 * firm[column] / firm["with_a_first_choice"],
        style,
        label=told_as,
    )
ax.set_xlabel("voters for the commonest answer")
ax.set_ylabel("% of images with a first choice")
ax.legend()
plt.show()

# %% [markdown]
# (Left out are images without a single first choice among the seven classes, most of them ties: 76 of the 106 with fewer
# than four votes for one answer.) Where the voters are torn, on the left, network, label and voters agree least. With four or
# five votes for one answer the network says the label about as often as what the voters chose; the firmer the votes, the more
# it sides with the voters.
#
# What noisy labels do to a *measured* accuracy can be computed where we know the noise. Replace a share $q$ of the test labels by another class at random. A
# network with true accuracy $a$ then scores $a(1 - q)$, and a little more, $(1 - a)q/6$, by errors that meet a wrong label by luck:

# %%
rng = np.random.default_rng(0)
answer, correct = logits.argmax(1).numpy(), truth.numpy()
a = (answer == correct).mean()
gaps = []
for q in (0.1, 0.2, 0.4):
    noisy = np.where(
        rng.random((40, len(correct))) < q,
        (correct + rng.integers(1, 7, (40, len(correct)))) % 7,
        correct,
    )
    gaps.append((noisy == answer).mean() - (a * (1 - q) + (1 - a) * q / 6))

# %%
assert np.abs(gaps).max() < 0.01
print("The formula holds to a point, at every rate of noise.")
for q in (0.1, 0.2, 0.4):
    print(f"noise {q:.0%}: a perfect network would measure {1 - q:.0%}")

# %% [markdown]
# Random noise lowers all scores by the same formula, and keeps their order. FER-2013's noise is not random: *fear* is called *neutral* far more than *happy*. What is
# systematic can be learned, so that the "ceiling" of such labels is not one minus the share of wrong ones.
#
# ## Who is it wrong about?
#
# *9 minutes*
#
# Buolamwini and Gebru (2018) showed that products which tell a person's sex from a photograph erred most on darker-skinned women. Is a network trained on FER-2013 worse
# for some people than for others? **This data cannot answer that**: it says nothing about who the people are. The people
# themselves cannot be asked. One could let another network guess age, sex and skin from the photographs, but it has biases of
# its own, and what one would then have is how the one network's errors go with the other's guesses.
#
# The *method* can be practised on drawn faces, where skin tone, glasses and beard were drawn independently of the expression:

# %%
column = {name: table[:, PARAMETERS.index(name)] for name in PARAMETERS}
third = np.digitize(
    column["skin"], np.quantile(column["skin"], [1 / 3, 2 / 3])
)
groups = {
    "skin, darker third": third == 0,
    "skin, middle third": third == 1,
    "skin, lighter third": third == 2,
    "no glasses": column["glasses"] == 0,
    "glasses": column["glasses"] > 0,
    "no beard": column["beard"] == 0,
    "beard": column["beard"] > 0,
}

# %% mystnb={"image": {"alt": "Accuracy on seven groups of drawn faces with 95 per cent intervals. The three thirds of skin tone overlap near 86 per cent. Faces with glasses lie near 73 per cent and with beards near 77, with wide intervals that end below those of faces without, near 88."}}
correct_answer = right.numpy()
figure, ax = plt.subplots(figsize=(6.2, 3.6), layout="constrained")
ends = {}
for name, members in groups.items():
    hits, n = int(correct_answer[members].sum()), int(members.sum())
    interval = binomtest(hits, n).proportion_ci(method="wilson")
    ends[name] = interval.low, interval.high
    error = [[hits / n - interval.low], [interval.high - hits / n]]
    ax.errorbar(
        100 * hits / n,
        f"{name} ({n})",
        xerr=100 * np.array(error),
        fmt="o",
        color=plots.PALETTE[0],
        capsize=3,
    )
ax.invert_yaxis()
ax.set_xlabel("accuracy on drawn faces in %, 95% interval")
plt.show()

# %%
assert ends["glasses"][1] < ends["no glasses"][0]
assert ends["beard"][1] < ends["no beard"][0]
dark, light = ends["skin, darker third"], ends["skin, lighter third"]
assert max(dark[0], light[0]) < min(dark[1], light[1])
print("Glasses and beards cost accuracy; skin tone shows no difference.")

# %% [markdown]
# What has been shown? That *this small network* is worse on drawn faces with glasses or a beard. Both are rare in its training faces, and both lie where it looks. And
# that it shows no difference by skin tone, as far as five hundred faces a group can tell, *because skin in these drawings is nothing but a grey level*. Nobody
# drew the light of real rooms, real cameras that were tuned to fair skin, or photographers' choices of whom to show. So a fair network on drawn faces
# says nothing about real people, and this chart must not be quoted as if it did.
#
# | question | can it be answered here? |
# | --- | --- |
# | Do these networks err more on some *classes*? | Yes: recall by class, with intervals (chapter 9). |
# | Do they err more on some *people*? | No. FER-2013 has no attributes of persons, and nobody was asked. |
# | Did labellers see some people's faces differently? | No. It is known neither who labelled nor who is shown. |
# | Does the network know what people *feel*? | No. Labels are what others saw in a photograph (see the page on ethics). |
# | Does a drawn nuisance change the answer? | Yes, and as cause: change it alone and draw again. |
#
# ## Quiz
#
# *5 minutes*
#
# **1. Grad-CAM's map of a happy face points to the brows. What follows?**
#
# <details><summary>The network is wrong: happiness shows at the mouth</summary>
#
# It may use the brows to rule other classes out, as ours does. That is what moves the network, not an error by itself.
#
# </details>
#
# <details><summary>The network may use the brows; changing them alone and asking again would tell</summary>
#
# Yes. The map raises a question about the network, and an experiment on the picture answers it.
#
# </details>
#
# <details><summary>The map is wrong: Grad-CAM is too coarse for brows</summary>
#
# It is coarse, but a place near the brows and far from the mouth is within what it can tell.
#
# </details>
#
# **2. A method's maps stay nearly the same when the network's weights are randomised. What do they show?**
#
# <details><summary>Something of the picture, such as edges, and not of the network</summary>
#
# Yes. That is the sanity check of Adebayo et al. A map that does not depend on the network cannot explain it.
#
# </details>
#
# <details><summary>That the method is robust against noise in the weights</summary>
#
# Randomised weights are no noise on a network, they are another network, which answers otherwise.
#
# </details>
#
# <details><summary>That the network has not learned anything</summary>
#
# The trained network may be excellent. What is found wanting is the method of explanation.
#
# </details>
#
# **3. Temperature scaling with T = 2 was fitted on val. What changes on test?**
#
# <details><summary>Accuracy and confidence both fall</summary>
#
# Dividing all logits of an image by the same positive number leaves their order, and with it every answer, as it was.
#
# </details>
#
# <details><summary>Only the confidences, all of which fall; answers and accuracy stay</summary>
#
# Yes. And they fit only as far as the test images are like those of val.
#
# </details>
#
# <details><summary>The confidences of wrong answers fall, those of right ones stay</summary>
#
# Nobody knows at test time which answers are wrong. One number for all images cannot tell them apart.
#
# </details>
#
# **4. On drawn faces, accuracy does not depend on skin tone. What does this say of the same network on photographs?**
#
# <details><summary>That it is fair there as well, since the drawn tones cover the whole range</summary>
#
# The drawn tone is a grey level and nothing else. Photographs bring light, cameras, and who was photographed how.
#
# </details>
#
# <details><summary>Nothing; it shows how one would measure it if the photographs came with such facts</summary>
#
# Yes. The method carries over, and the result does not.
#
# </details>
#
# <details><summary>That it is unfair there, since photographs are harder</summary>
#
# That may be so, but it cannot be concluded from drawn faces, in either direction.
#
# </details>

# %% [markdown]
# ## Exercises
#
# *110 minutes for all six*
#
# ### Exercise 1. Inside or outside
#
# *Easy, 10 minutes.*
#
# Score maps against masks. `relevance` is a tensor (B, H, W); its negative values count as 0. `mask` is a bool tensor (B, H, W). For each image, divide the
# share of its relevance that lies inside its mask by the mask's share of the area. Return (B,). Where an image has no relevance at all, or its mask is
# empty, there is no score: NaN (in PyTorch, 0 / 0 gives it by itself).


# %% exercise="relevance_ratio"
def relevance_ratio(relevance, mask):
    """Return one score an image, (B,); 1 is chance."""
    # solution
    relevance = relevance.clamp(min=0)
    inside = (relevance * mask).sum((1, 2)) / relevance.sum((1, 2))
    area = mask.float().mean((1, 2))
    return inside / area
    # end


# %% [markdown] hint="relevance_ratio"
# Sum over the axes 1 and 2, so that one number an image is left. A bool tensor times numbers keeps what is inside; its mean, after `.float()`, is
# its share of the area. Leave 0 / 0 alone.

# %% [markdown]
# ### Exercise 2. Group by group
#
# *Medium, 15 minutes.*
#
# Given `right`, a bool array (N,) of answers that were right, and `groups`, an array (N,) that names each image's group by text or number, return a
# dictionary from group to three numbers: accuracy, and the lower and upper end of Wilson's interval. With $p$ the share of $n$ and $z = 1.96$, the ends are
#
# $$\frac{p + \frac{z^2}{2n} \pm z \sqrt{\frac{p(1 - p)}{n} + \frac{z^2}{4n^2}}}{1 + \frac{z^2}{n}}.$$


# %% exercise="accuracy_by_group"
def accuracy_by_group(right, groups):
    """Return {group: (accuracy, low, high)}."""
    # solution
    z, found = 1.96, {}
    for group in np.unique(groups):
        hits = right[groups == group]
        n, p = len(hits), hits.mean()
        middle = p + z**2 / (2 * n)
        half = z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
        scale = 1 + z**2 / n
        found[group] = p, (middle - half) / scale, (middle + half) / scale
    return found
    # end


# %% [markdown] hint="accuracy_by_group"
# `np.unique(groups)` gives each group once, and `right[groups == group]` its answers. *n* is the number of images in that group. Everything above the fraction
# line, the root too, is divided by what is below.

# %% [markdown]
# ### Exercise 3. Take away the best
#
# *Medium, 20 minutes.*
#
# A map can be scored without masks: if it is faithful, the target's probability falls fast when the most relevant pixels are taken away first
# (Petsiuk et al., 2018). Return the **deletion curve**, a tensor of `steps + 1` values. For value `i`, from 0 to `steps`: in each image, set
# the `i * H * W // steps` most relevant pixels, by that image's own map, to 0 in every channel; the value is the mean over the images of the softmax probability
# of each image's target. `images` is (B, C, H, W), `targets` (B,), `maps` (B, H, W), the model is in evaluation mode. Leave `images` as
# they are.


# %% exercise="deletion_curve"
def deletion_curve(model, images, targets, maps, steps):
    """Return the targets' mean probability, (steps + 1,)."""
    # solution
    order = maps.flatten(1).argsort(dim=1, descending=True)
    curve = []
    for step in range(steps + 1):
        covered = images.clone().flatten(2)
        places = order[:, : order.shape[1] * step // steps]
        places = places[:, None].expand(-1, images.shape[1], -1)
        covered.scatter_(2, places, 0.0)
        probs = model(covered.view_as(images)).softmax(dim=1)
        curve.append(probs.gather(1, targets[:, None]).mean().detach())
    return torch.stack(curve)
    # end


# %% [markdown] hint="deletion_curve"
# Flatten each map to one axis of pixels and sort it, greatest first: `argsort(dim=1, descending=True)`. The first *count* places of each row are to
# be set to 0, in a fresh copy of the images for every step. `scatter_` writes at such places, or go through the images one by one.

# %% [markdown]
# ### Exercise 4. The dense layer, moved forward
#
# *Medium, 15 minutes. Changes a module.*
#
# Before Grad-CAM there was CAM (Zhou et al., 2016). In a network that ends in an average over the maps and a dense layer, both are linear, so their
# order does not matter: apply the dense layer at every place first, and each class has a map of its own. Write a module that is given the trained
# `features`, a module that maps images to (B, C, h, w), and the trained `dense`, an `nn.Linear` from C to the classes, with or without a bias. Its
# forward returns maps (B, classes, h, w), whose mean over the places is what `dense(features(x).mean((2, 3)))` gives. Keep both as parts of the
# module, and use their weights as they are.


# %% exercise="ClassMaps"
class ClassMaps(nn.Module):
    """Images -> a map for each class; its mean is the logit."""

    def __init__(self, features, dense):
        super().__init__()
        # solution
        self.features = features
        self.dense = dense
        # end

    def forward(self, x):
        # solution
        maps = self.features(x).movedim(1, -1)
        return self.dense(maps).movedim(-1, 1)
        # end


# %% [markdown] hint="ClassMaps"
# `nn.Linear` works on the last axis and leaves the others alone. So bring the channels to the end (`movedim` or `permute`, not `reshape`), apply it, and bring
# the classes back to the second place. Or use its weight as a 1 x 1 convolution.

# %% [markdown]
# ### Exercise 5. How warm?
#
# *Medium, 20 minutes.*
#
# Given logits (N, classes) and labels (N,), return the temperature $T > 0$ for which the mean cross-entropy of `logits / T` is least, to within 2%. It may lie
# anywhere between 0.05 and 20. Any way is fine: a fine enough grid, a search, gradient descent.


# %% exercise="fit_temperature"
def fit_temperature(logits, labels):
    """Return the temperature with the least loss, a number."""
    # solution
    grid = torch.logspace(np.log10(0.04), np.log10(25), 600)
    losses = [F.cross_entropy(logits / t, labels) for t in grid]
    place = torch.stack(losses).argmin()
    return grid[place].item()
    # end


# %% [markdown] hint="fit_temperature"
# Steps of equal *ratio* are the natural grid: from 0.04 to 25, six hundred steps are about 1% apart. With gradient descent, learn the logarithm of
# T, and go on until it no longer moves.

# %% [markdown]
# ### Exercise 6. Right for the right reasons
#
# *Hard, 30 minutes. Changes the training step.*
#
# If a network must not look at some pixels, say so in the loss (Ross et al., 2017). Write a training step with a penalty. Let
# $S$ be the sum over the batch of the logits of the images' own labels, and $x$ an image. The penalty is the mean over the
# images of the sum over all pixels of $(m\, \partial S / \partial x)^2$, where the mask $m$ is 1 where the network must not
# look and 0 elsewhere. (In training mode batch norm mixes the batch; the sum takes all of it in one pass.) Put the model into
# training mode, clear old gradients, minimise *cross-entropy + strength x penalty* by one step of the optimiser, and return
# two numbers: the cross-entropy and the penalty (without the strength), both from before the step. `images` are (B, 1, H, W),
# `masks` bool (B, H, W).
#
# The penalty must itself be differentiated by the weights: `torch.autograd.grad(..., create_graph=True)` keeps what that needs.


# %% exercise="right_reasons_step"
def right_reasons_step(model, images, labels, masks, optimizer, strength):
    """Take one step; return (cross-entropy, penalty), two numbers."""
    # solution
    model.train()
    x = images.detach().clone().requires_grad_()
    logits = model(x)
    loss = F.cross_entropy(logits, labels)
    own = logits.gather(1, labels[:, None]).sum()
    (gradient,) = torch.autograd.grad(own, x, create_graph=True)
    forbidden = gradient * masks[:, None]
    penalty = forbidden.square().sum((1, 2, 3)).mean()
    optimizer.zero_grad()
    (loss + strength * penalty).backward()
    optimizer.step()
    return loss.item(), penalty.item()
    # end


# %% [markdown] hint="right_reasons_step"
# The gradient by the images comes from `torch.autograd.grad(own.sum(), x, create_graph=True)`, where `x` is a copy of the images that requires a gradient. Give the masks
# the axis of channels, `masks[:, None]`, so that they fit. Then one `backward` of the sum of both.

# %% [markdown]
# Try it on the planted mark: with masks that are True on the corner, train `Small()` by this step with a strength of 10 or so, and see what becomes of the
# accuracy without the mark. It helps if one knows where not to look, which is what the maps were for.
#
# ## What to take along
#
# - An explanation is about the network, not about the face. Say which of the two a map is to be held against.
# - Every map looks convincing. Compare it with one that knows nothing (a disc, edges), and with that of a randomised network.
# - Grad-CAM is cheap and coarse, occlusion dear and direct, the gradient fine and noisy. They answer different questions.
# - Maps raise suspicions; an experiment that changes the suspect and nothing else settles them.
# - Confidence is fitted to some faces and is wrong on others. No temperature mends that.
# - FER-2013's labels are one opinion each. Networks learn the labels' habits, and score better on them than the voters of FER+.
# - About groups of people this data says nothing, and drawn faces can show the method only.
#
# ## Further reading
#
# - Selvaraju et al., [Grad-CAM: visual explanations from deep networks via gradient-based
#   localization](https://arxiv.org/abs/1610.02391) (2017).
# - Adebayo et al., [Sanity checks for saliency maps](https://arxiv.org/abs/1810.03292) (2018).
# - Zeiler and Fergus, [Visualizing and understanding convolutional networks](https://arxiv.org/abs/1311.2901) (2014): occlusion.
# - Ross, Hughes and Doshi-Velez, [Right for the right reasons](https://arxiv.org/abs/1703.03717) (2017): exercise 6.
# - Guo et al., [On calibration of modern neural networks](https://arxiv.org/abs/1706.04599) (2017).
# - Barsoum et al., [Training deep networks for facial expression recognition with crowd-sourced label
#   distribution](https://arxiv.org/abs/1608.01041) (2016): FER+.
# - Buolamwini and Gebru, [Gender shades](https://proceedings.mlr.press/v81/buolamwini18a.html) (2018).
# - In this book: the page on ethics.
