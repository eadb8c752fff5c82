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
# # A first CNN and the training loop
#
# > **By the end you can** say what each layer of a small convolutional network does and what it costs, write the loop
# > that trains it, line by line, tell a training that works from one that does not, and keep the right epoch.
# >
# > **You need** chapter 1, Python, and to have seen a PyTorch tensor. A GPU helps with the longer trainings and is not
# > needed to follow.
# >
# > **Time** 70 minutes to read and run, 80 more for the six exercises.
#
# Every network in this course, from this one with four convolutions to one with more than fifty, is trained by the same few
# lines. In this chapter you write them yourself, and from then on you know what the course's own `fit` does when you
# call it.

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
import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.nn import functional as F

from fercourse import check_model, plots, results
from fercourse.check import ch03
from fercourse.course import explore
from fercourse.data import EMOTIONS
from fercourse.models import create_model

plots.use_style()

# %% [markdown]
# ## From pictures to tensors
#
# *5 minutes*
#
# A network wants numbers near zero, in a tensor of shape (images, channels, height, width). Ours have one channel, grey.
# The data set is small enough to lie on the device as a whole, so there is no loader that brings it in pieces.


# %%
def as_tensors(faces):
    """uint8 faces -> float images (N, 1, 48, 48), labels (N,)."""
    images = torch.from_numpy(faces.images).unsqueeze(1).float() / 255
    labels = torch.from_numpy(faces.labels)
    return images.to(session.device), labels.to(session.device)


# %%
train_images, train_labels = as_tensors(session.faces.train)
val_images, val_labels = as_tensors(session.faces.val)
print(tuple(train_images.shape), train_images.dtype)
print(tuple(train_labels.shape), train_labels.dtype)

# %% [markdown]
# Here are a few of them, with their labels. In the time budget *smoke* they are drawn.

# %% mystnb={"image": {"alt": "A row of seven small grey drawn faces of different people, three of them happy, the label of each on top."}}
if session.smoke:  # photographs of people stay unshown
    first = session.faces.train.subset(slice(7))
    plots.faces(first.images, titles=[EMOTIONS[k] for k in first.labels])
    plt.show()

# %% [markdown]
# ## What a convolution does
#
# *10 minutes*
#
# A convolution slides a small window of weights, here 3 x 3, over the picture. At each place it multiplies the nine
# pixels with the nine weights and adds up. The weights are the same everywhere, so whatever it looks for, it finds
# wherever it is. In a network the weights are learned; here are four that people chose.

# %%
KERNELS = {
    "dark to light, rightwards": [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]],
    "dark to light, downwards": [[-1, -2, -1], [0, 0, 0], [1, 2, 1]],
    "any edge": [[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]],
    "blur": [[1, 2, 1], [2, 4, 2], [1, 2, 1]],
}


def convolved(face, kernel):
    """(48, 48) -> (46, 46): one convolution without padding."""
    weight = torch.tensor(KERNELS[kernel], dtype=torch.float32)
    return F.conv2d(face[None, None], weight[None, None])[0, 0]


# %% [markdown]
# > **Predict.** One of the four pictures below the face will be deep red (red is positive, blue negative) where the dark
# > upper lip ends and the light teeth begin. Which kernel makes it? And why are the pictures 46 pixels wide, not 48?

# %% mystnb={"image": {"alt": "A drawn face that smiles broadly with open mouth and teeth."}}
from fercourse.data.synthetic import draw_faces, emotion_units

smiling = draw_faces(emotion_units("happy"), identity=[4])
plots.faces(smiling, titles=["the face"], size=1.8)
plt.show()

# %% mystnb={"image": {"alt": "What four convolutions make of the smiling face: vertical edges, horizontal edges, all edges as thin lines, and the face blurred. Red is positive, blue negative."}}
face = torch.from_numpy(smiling[0]).float() / 255
pictures = [convolved(face, kernel) for kernel in KERNELS]
shown = torch.stack([p / p.abs().max() for p in pictures])
plots.faces(
    shown.numpy(), titles=[*KERNELS], columns=4, size=1.8, signed=True
)
plt.show()

# %% [markdown]
# <details><summary>What to expect</summary>
#
# The second: it subtracts what is above from what is below, so it answers to horizontal edges that grow lighter
# downwards. The window has no place to stand on the outermost pixels, which costs one on each side; padding the picture
# with a rim of zeros gives them back.
#
# </details>
#
# In a running notebook, try each kernel on other faces:


# %%
def try_kernel(kernel, emotion, person=4):
    """Show a face and its convolution."""
    drawn = draw_faces(emotion_units(emotion), identity=[person])[0]
    face = torch.from_numpy(drawn).float() / 255
    plots.faces(drawn[None], titles=[emotion], size=2.0)
    out = convolved(face, kernel)[None]
    plots.faces(out.numpy(), titles=[kernel], size=2.0, signed=True)
    plt.show()


# %%
explore(
    try_kernel,
    kernel=list(KERNELS),
    emotion=list(EMOTIONS),
    person=(0, 20),
)

# %% [markdown]
# ## The brick: convolution, batch norm, ReLU
#
# *8 minutes*
#
# A layer has many kernels, each with weights for every channel of its input: `nn.Conv2d(1, 32, 3)` holds 32 of 1 x 3 x 3,
# and the next layer, from 32 to 64 channels, 64 of 32 x 3 x 3. Behind it come two small things without which deep
# networks hardly train:
#
# - **Batch norm** shifts and scales each channel to mean 0 and variance 1 over the batch, then by two learned numbers. In
#   training it uses the batch's own mean and variance and keeps running averages; in evaluation it uses those.
# - **ReLU** sets negative values to zero. Without something of the kind between them, two convolutions in a row are just
#   one larger convolution.


# %% tags=["inline"]
class ConvNormAct(nn.Module):
    """3x3 convolution, batch norm, ReLU."""

    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels, out_channels, 3, padding=1, bias=False
        )
        self.norm = nn.BatchNorm2d(out_channels)
        self.act = nn.ReLU()

    def forward(self, x):
        return self.act(self.norm(self.conv(x)))


# %% [markdown]
# The convolution needs no bias: batch norm would subtract it again, and has a shift of its own.

# %%
brick = ConvNormAct(1, 32)
for name, parameter in brick.named_parameters():
    print(f"{name:12}{tuple(parameter.shape)!s:16}{parameter.numel():4}")

# %%
torch.manual_seed(0)
batch = train_images[:64].cpu()
out = brick(batch)
print("in ", tuple(batch.shape), f"mean {batch.mean():.2f}")
normed = brick.norm(brick.conv(batch))
print(
    "out", tuple(out.shape), f"mean before ReLU {normed.mean().abs():.2f}"
)

# %% [markdown]
# ## The network of paper 2
#
# *8 minutes*
#
# The second paper's *basic CNN* stacks such bricks. Each block is followed by max-pooling, which keeps the largest of
# every 2 x 2 values and so halves height and width, and by dropout, which in training sets a random share of the values
# to zero. While the picture shrinks from 48 to 3 pixels, the channels grow from 32 to 256. At the end, all that is left is
# flattened into one long vector, and two dense layers turn it into seven numbers, the **logits**. The paper gives the kind
# and order of the layers; widths and dropout rates are our choice.


# %% tags=["inline"]
class BasicCNN(nn.Module):
    """(B, 1, 48, 48) -> logits (B, 7)."""

    def __init__(self, widths=(32, 64, 128, 256), dropout=0.4):
        super().__init__()
        blocks, channels = [], 1
        for width in widths:
            brick = ConvNormAct(channels, width)
            pool, drop = nn.MaxPool2d(2), nn.Dropout(dropout / 2)
            blocks.append(nn.Sequential(brick, pool, drop))
            channels = width
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Sequential(
            nn.Flatten(),
            nn.Linear(channels * 3 * 3, 256),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(256, 7),
        )

    def forward(self, x):
        return self.head(self.blocks(x))


# %% [markdown]
# > **Predict.** Four convolutions and two dense layers: which of the six holds most of the parameters?

# %%
model = BasicCNN()
for name, module in model.named_modules():
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        print(f"{name:16}{module.weight.numel():8,} weights")
total = sum(p.numel() for p in model.parameters())
print(f"{'in all':16}{total:8,} parameters")

# %% [markdown]
# The first dense layer alone holds more than all convolutions together, although it does a tiny part of the
# multiplications. Exercise 2 takes it out.
#
# Follow one picture through:

# %%
x = train_images[:1].cpu()
print(f"{'input':8}{tuple(x.shape)}")
for number, block in enumerate(model.blocks, start=1):
    x = block(x)
    print(f"block {number} {tuple(x.shape)}")
print(f"{'head':8}{tuple(model.eval().head(x).shape)}")

# %% [markdown]
# The package has the same network as `create_model("basic_cnn")`. Is it the same? Give ours its weights and compare the
# logits.

# %%
packaged = create_model("basic_cnn").eval()
ours = BasicCNN().eval()
ours.load_state_dict(packaged.state_dict())
with torch.no_grad():
    gap = (ours(batch) - packaged(batch)).abs().max()
print(f"greatest difference between the logits: {gap:.0e}")

# %% [markdown]
# From here on we import it. And whenever you have written a network of your own, one call looks it over: shapes, cost,
# whether a gradient reaches every parameter, whether it can learn one batch by heart, and more.

# %% tags=["nbval-ignore-output"]
report = check_model(BasicCNN)
report

# %%
assert report.ok
print(f"{report.parameters:,} parameters")

# %% [markdown]
# ## The loss
#
# *7 minutes*
#
# Softmax turns seven logits into seven probabilities. The **cross-entropy** of an image is minus the logarithm of the
# probability that the network gave to the image's label: 0 if it was certain and right, and the larger the surer it was of
# something else.

# %%
logits = torch.tensor([[2.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]])
label = torch.tensor([3])
probs = logits.softmax(1)
print("probability of class 3:", round(probs[0, 3].item(), 4))
print("minus its logarithm:   ", round(-probs[0, 3].log().item(), 4))
print(
    "cross_entropy:         ",
    round(F.cross_entropy(logits, label).item(), 4),
)

# %% [markdown]
# `F.cross_entropy` takes the **logits** and does the softmax itself. A network that ends in a softmax of its own is
# squashed twice, and learns slowly, without any error message: one of the most common mistakes there is.
#
# > **Predict.** What is the loss of a network that knows nothing and gives each of the seven classes the same
# > probability?

# %%
nothing = torch.zeros(1, 7)
print(f"{F.cross_entropy(nothing, label).item():.4f}")
print(f"{np.log(7):.4f}")

# %%
with torch.no_grad():
    untrained = F.cross_entropy(packaged(batch), train_labels[:64].cpu())
print(f"untrained network: {untrained:.2f}")

# %% [markdown]
# The logarithm of seven. If your network's first loss is far above, something is wrong before training has begun.
#
# ## One step
#
# *7 minutes*
#
# Training repeats one step: compute the loss of a batch (forward), compute how it changes with every weight (backward),
# move every weight a little against that (step), and forget the gradients before the next.

# %%
torch.manual_seed(0)
# Without dropout, so that the same batch gives the same gradient twice.
model = create_model("basic_cnn", dropout=0.0).to(session.device)
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
images, labels = train_images[:64], train_labels[:64]

# %%
loss = F.cross_entropy(model(images), labels)  # forward
loss.backward()  # a gradient for every weight
first = model.blocks[0][0].conv.weight
print("gradient of the first layer:", tuple(first.grad.shape))

# %%
before = first.detach().clone()
optimizer.step()
moved = (first - before).abs()
print(f"every weight moved by at most {moved.max().item():.4f}")

# %% [markdown]
# Adam's first step moves each weight by about the learning rate, whatever the size of its gradient. And if we forgot
# `zero_grad`? The next gradient would be added to this one:

# %%
kept = first.grad.clone()
F.cross_entropy(model(images), labels).backward()
added = first.grad.clone()
optimizer.zero_grad()
F.cross_entropy(model(images), labels).backward()
apart = (added - (kept + first.grad)).norm() / added.norm()
assert apart < 1e-3
print("Without zero_grad, gradients add up.")

# %% [markdown]
# ## The loop
#
# *8 minutes*
#
# An epoch takes every training image once, in a new random order. This is all of it:


# %% tags=["inline"]
def train_one_epoch(model, images, labels, optimizer, batch_size=64):
    """Train on every image once; return mean loss and accuracy."""
    model.train()  # batch norm and dropout behave as in training
    total_loss = total_hits = 0
    order = torch.randperm(len(images)).to(images.device)
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        logits = model(images[chosen])
        loss = F.cross_entropy(logits, labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total_loss += loss.item() * len(chosen)
        total_hits += (logits.argmax(1) == labels[chosen]).sum().item()
    return total_loss / len(order), total_hits / len(order)


# %% [markdown]
# And this measures on images that were not trained on. Two lines differ that people forget: `eval()`, so that batch norm
# and dropout do not disturb the answers, and `inference_mode()`, which saves the memory for gradients nobody needs.


# %% tags=["inline"]
@torch.inference_mode()
def evaluate(model, images, labels, batch_size=256):
    """Return mean loss and accuracy."""
    model.eval()
    total_loss = total_hits = 0
    for start in range(0, len(images), batch_size):
        batch = slice(start, start + batch_size)
        logits = model(images[batch])
        loss = F.cross_entropy(logits, labels[batch], reduction="sum")
        total_loss += loss.item()
        total_hits += (logits.argmax(1) == labels[batch]).sum().item()
    return total_loss / len(images), total_hits / len(images)


# %% [markdown]
# ### First by heart
#
# Before you train for an hour, train for seconds: give the network 32 images, again and again. If it cannot learn these
# by heart, no amount of data will help, and the mistake is in the code.

# %% tags=["nbval-ignore-output"]
torch.manual_seed(0)
model = create_model("basic_cnn", dropout=0.0).to(session.device)
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
few = train_images[:32], train_labels[:32]
for step in range(1, 13):
    loss, hits = train_one_epoch(model, *few, optimizer)
    if step % 3 == 0:
        print(f"step {step:2}: loss {loss:.2f}, accuracy {hits:.0%}")

# %%
assert hits > 0.9
print("It learns 32 faces by heart.")

# %% [markdown]
# ### Then in earnest
#
# Now with all training images of this session, and an eye on val after every epoch: two epochs on drawn faces in *smoke*,
# which take seconds, else ten on the real data.

# %%
torch.manual_seed(0)
model = create_model("basic_cnn").to(session.device)
optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
epochs = 2 if session.smoke else 10
rows = []

# %% tags=["nbval-ignore-output"]
for epoch in range(1, epochs + 1):
    train_loss, train_accuracy = train_one_epoch(
        model, train_images, train_labels, optimizer
    )
    val_loss, val_accuracy = evaluate(model, val_images, val_labels)
    rows.append([train_loss, train_accuracy, val_loss, val_accuracy])
    print(f"epoch {epoch}: train {train_loss:.2f}, val {val_loss:.2f}")

# %%
curve = pd.DataFrame(
    rows, columns=["train_loss", "train_acc", "val_loss", "val_acc"]
)
assert curve["train_loss"].iloc[-1] < curve["train_loss"].iloc[0] < 2.2
print(f"{len(curve)} epochs; the training loss fell.")

# %% [markdown]
# ## Reading the curves
#
# *7 minutes*
#
# Two epochs on drawn faces say little. So look at trainings on FER-2013 that were recorded: this network, and the small
# VGG of chapter 4, with the recipe `quick` (augmentation, smoothed labels, ten epochs), one seed. Solid lines are train, dashed are val.

# %% mystnb={"image": {"alt": "Recorded learning curves, one panel a network: the loss on train and on val over the epochs, with a line at the epoch whose weights were kept. In both the loss falls over ten epochs, val ends below train, 1.17 against 1.42 for basic_cnn and 0.98 against 1.13 for small_vgg, and epoch 10 was kept."}}
recorded = results.reported(["basic_cnn", "small_vgg"], "quick")
for record in recorded:
    history = record.history
    ax = plots.history(
        {"train": history["train_loss"], "val": history["val_loss"]},
        label="loss",
        best=int(history["val_accuracy"].argmax()) + 1,
    )
    ax.set_title(results.label(record))
if not recorded:
    plots.pending("basic_cnn and small_vgg, recipe quick")
plt.show()

# %%
results.results_table(["basic_cnn", "small_vgg"], "quick")

# %% [markdown]
# Three questions to ask of any such picture:
#
# 1. **Does the training loss fall?** If not: learning rate, loss, gradients. Overfit one batch first.
# 2. **How far apart are the curves?** Here the loss on val lies close to that on train, or below it: training images are
#    augmented and pass through dropout, and the recipe smooths their labels (chapter 2), which alone keeps the loss on train
#    above 0.45; val is measured without any of the three. That is no overfitting; the network could take more epochs, or
#    be larger.
# 3. **Where is val best?** The epoch with the best accuracy on val is the one to keep. Not the last, and above all not the
#    best on test.
#
# > **Predict.** Suppose ten epochs are all equally good, with a true accuracy of 65%, and you report the best of the ten
# > *on the test split*. By how much will you overrate the network: about 0.2, 1 or 3 points?

# %%
rng = np.random.default_rng(0)
n, p, epochs, repeats = 3589, 0.65, 10, 2000
share = rng.binomial(n, p, size=(repeats, epochs)) / n
best = share.max(axis=1)
print(f"the best of {epochs}, on average: {best.mean():.2%}, true: {p:.0%}")

# %% [markdown]
# A point, out of nothing. (The epochs of one training agree on most images, so the effect is smaller there, but it always
# points upwards.) Chosen on val, the same search costs test nothing.
#
# ## Training with the course
#
# *5 minutes*
#
# The package's `fit` is the loop above, with what a long training needs: it resumes after an interruption to the same
# bits, computes in the fastest number format of the device, augments on it, and keeps the best epoch by val. `session.train`
# calls it with the recipe that fits the time budget, and says first how long it will take.

# %% tags=["nbval-ignore-output"]
network, history = session.train("basic_cnn")
history.round(3)

# %%
assert history["train_loss"].between(0, 3).all()
print("basic_cnn trains.")

# %% [markdown]
# The small VGG has eight convolutions and a head like that of exercise 2, so that nearly all its weights are in
# convolutions. It is the network to beat on a laptop.

# %% tags=["nbval-ignore-output"]
network, history = session.train("small_vgg")
history.round(3)

# %%
assert history["train_loss"].between(0, 3).all()
print("small_vgg trains.")

# %% [markdown]
# ## Quiz
#
# *5 minutes*
#
# **1. The training loss stays at 1.95 from the first step to the last. What do you try first?**
#
# <details><summary>A larger network</summary>
#
# 1.95 is the logarithm of seven: after all its steps the network still knows nothing. That is a mistake and no lack of size;
# a larger network with the same mistake will not learn either.
#
# </details>
#
# <details><summary>Overfit one batch; look for a missing step, a softmax too many, a learning rate far off</summary>
#
# Yes. One batch tells in seconds whether the code can learn at all.
#
# </details>
#
# <details><summary>More epochs</summary>
#
# A loss that does not move in one epoch seldom moves in ten. Find out why first.
#
# </details>
#
# **2. In evaluation the accuracy changes every time you measure it, on the same images. Why?**
#
# <details><summary>The model is still in training mode</summary>
#
# Yes: dropout throws other values away each time, and batch norm uses each batch's own mean. `model.eval()`.
#
# </details>
#
# <details><summary>The images are shuffled</summary>
#
# An accuracy over all images does not depend on their order, if the model treats each by itself. In training mode batch
# norm does not, but that is the mode's fault.
#
# </details>
#
# <details><summary>Floating point is inexact</summary>
#
# It is, in the seventh digit. That may turn one image in thousands, not the first digits of an accuracy.
#
# </details>
#
# **3. Where do you put `optimizer.zero_grad()`?**
#
# <details><summary>Between <code>backward()</code> and <code>step()</code></summary>
#
# Then the step finds nothing to go by, and no weight ever moves.
#
# </details>
#
# <details><summary>Anywhere between one <code>step()</code> and the next <code>backward()</code></summary>
#
# Yes. At the top of the step is where most people expect it.
#
# </details>
#
# <details><summary>Nowhere: <code>backward()</code> overwrites the gradients</summary>
#
# It adds to them. That is useful when a large batch is computed in pieces, and wrong otherwise.
#
# </details>
#
# **4. The loss on val is lower than on train. What does it mean?**
#
# <details><summary>Val images stand in train</summary>
#
# Some do, as chapter 1 showed, but that alone cannot make val *easier* than train.
#
# </details>
#
# <details><summary>Train is measured with dropout, augmentation or smoothed labels, val without</summary>
#
# Yes, and train is measured while the network still learns, val after the epoch.
#
# </details>
#
# <details><summary>The network is broken</summary>
#
# No; with strong regularisation this is how curves look.
#
# </details>

# %% [markdown]
# ## Exercises
#
# *80 minutes for all six*
#
# Each has a cell to work in and a cell that checks it. Write, run both, read what the checker says, mend.
#
# ### Exercise 1. What is left of the picture?
#
# *Easy, 10 minutes.*
#
# A layer with kernel *k*, stride *s* and padding *p* makes of *n* pixels as many as its window finds places. Write a function
# that takes the size of a picture and a list of layers `(kernel, stride, padding)` and returns the list of sizes after
# each.


# %% exercise="output_sizes"
def output_sizes(size, layers):
    """Return the size in pixels after each layer, as a list.

    layers: tuples (kernel, stride, padding), first to last.
    """
    # solution
    sizes = []
    for kernel, stride, padding in layers:
        size = (size + 2 * padding - kernel) // stride + 1
        sizes.append(size)
    return sizes
    # end


# %% [markdown] hint="output_sizes"
# The padding counts twice. The window's first place needs *kernel* pixels; each further place needs *stride* more. A
# window that does not fit any more is left out, so divide with `//`.

# %% [markdown]
# ### Exercise 2. A head without a giant
#
# *Easy, 10 minutes. Changes a module.*
#
# The first dense layer of the basic CNN holds most of its weights, and it works for one size of picture only. Write the
# head that modern networks have: average each channel over height and width, then one dense layer, with its bias, from channels to classes.


# %% exercise="PooledHead"
class PooledHead(nn.Module):
    """(B, channels, H, W) -> logits (B, num_classes), any H and W."""

    def __init__(self, channels, num_classes):
        super().__init__()
        # solution
        self.dense = nn.Linear(channels, num_classes)
        # end

    def forward(self, x):
        # solution
        pooled = x.mean(dim=(2, 3))
        return self.dense(pooled)
        # end


# %% [markdown] hint="PooledHead"
# `x.mean(dim=(2, 3))` averages over height and width and leaves (B, channels). Return logits: no softmax.

# %% [markdown]
# ### Exercise 3. A deeper block
#
# *Medium, 15 minutes. Changes a module.*
#
# VGG networks put two convolutions before each pooling. Write that block: convolution 3 x 3 that keeps the size, batch
# norm, ReLU, the same once more, then max-pooling that halves height and width. The first convolution goes from
# `in_channels` to `out_channels`, the second keeps `out_channels`.


# %% exercise="DoubleBlock"
class DoubleBlock(nn.Module):
    """(B, in_channels, H, W) -> (B, out_channels, H // 2, W // 2)."""

    def __init__(self, in_channels, out_channels):
        super().__init__()
        # solution
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.norm1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.norm2 = nn.BatchNorm2d(out_channels)
        # end

    def forward(self, x):
        # solution
        x = F.relu(self.norm1(self.conv1(x)))
        x = F.relu(self.norm2(self.conv2(x)))
        return F.max_pool2d(x, 2)
        # end


# %% [markdown] hint="DoubleBlock"
# `padding=1` keeps the size with a kernel of 3. Each convolution needs a batch norm of its own, since each has its own
# statistics. `F.max_pool2d(x, 2)` halves.

# %% [markdown]
# ### Exercise 4. The step
#
# *Medium, 10 minutes. Changes the training step.*
#
# Write one training step from memory: put the model into training mode, compute the mean cross-entropy of the batch, move
# the weights once, return the loss as a Python number. The gradients of whatever was computed before must not count.


# %% exercise="train_step"
def train_step(model, images, labels, optimizer):
    """Take one step on a batch; return its loss, a float."""
    # solution
    model.train()
    loss = F.cross_entropy(model(images), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()
    # end


# %% [markdown] hint="train_step"
# Five lines in this order: mode, forward and loss, clear, backward, step. `loss.item()` is the number without the graph
# that made it.

# %% [markdown]
# ### Exercise 5. An accuracy one can trust
#
# *Medium, 15 minutes. Changes the evaluation loop.*
#
# Write a function that returns the share of images a model has right. It works in batches of at most `batch_size`, and the
# result does not depend on it; it tracks no gradients; the model answers in evaluation mode, and is afterwards in the
# mode in which it came.


# %% exercise="accuracy"
def accuracy(model, images, labels, batch_size):
    """Return the share of right answers, from 0 to 1."""
    # solution
    was_training = model.training
    model.eval()
    hits = 0
    with torch.inference_mode():
        for start in range(0, len(images), batch_size):
            batch = slice(start, start + batch_size)
            preds = model(images[batch]).argmax(dim=1)
            hits += (preds == labels[batch]).sum().item()
    model.train(was_training)
    return hits / len(images)
    # end


# %% [markdown] hint="accuracy"
# Count hits and divide once at the end: a mean of the batches' accuracies gives the last, smaller batch too much weight.
# `model.training` says the mode, `model.train(mode)` sets it.

# %% [markdown]
# ### Exercise 6. Keep the best epoch
#
# *Hard, 20 minutes. Changes the training loop.*
#
# You are given two functions: `train_epoch(model)` trains for an epoch, `validate(model)` returns the accuracy on val.
# Train for `epochs` epochs; in the end the model must hold the weights *and the running statistics* of the epoch with
# the best accuracy on val, the first of several that are equally good. Return that accuracy.


# %% exercise="fit_best"
def fit_best(model, train_epoch, validate, epochs):
    """Train; leave the model at its best epoch; return its accuracy."""
    # solution
    best, kept = -1.0, None
    for _ in range(epochs):
        train_epoch(model)
        found = validate(model)
        if found > best:
            best = found
            kept = copy.deepcopy(model.state_dict())
    model.load_state_dict(kept)
    return best
    # end


# %% [markdown] hint="fit_best"
# `model.state_dict()` holds references to the very tensors that training goes on to change. What makes a copy that stays?
# It holds batch norm's running statistics too, which `parameters()` does not.

# %% [markdown]
# ## What to take along
#
# - Convolution, batch norm, ReLU; pooling halves; channels grow. In the basic CNN a dense layer holds most of the weights,
#   and the convolutions do nearly all the work; a pooled head needs no such layer.
# - Cross-entropy takes logits. A network that knows nothing starts at the logarithm of the number of classes.
# - The step: forward, clear, backward, step. `train()` before training, `eval()` before measuring.
# - Overfit one batch before you train for long.
# - Keep the epoch that is best on val. Choosing on test overrates, always.
# - `check_model(MyNet)` looks a network over in seconds.
#
# ## Further reading
#
# - Ioffe and Szegedy, [Batch normalization](https://arxiv.org/abs/1502.03167) (2015).
# - Srivastava et al., [Dropout](https://jmlr.org/papers/v15/srivastava14a.html) (2014).
# - Kingma and Ba, [Adam](https://arxiv.org/abs/1412.6980) (2015).
# - Andrej Karpathy, [A recipe for training neural networks](https://karpathy.github.io/2019/04/25/recipe/) (2019): the
#   habit of overfitting one batch, and many more.
