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
# # The final comparison
#
# > **By the end you can** say which differences in a table of accuracies are real, test two networks on the same images,
# > see what a leak does to a ranking, weigh accuracy against cost, and judge both papers' conclusions one by one.
# >
# > **You need** chapter 1 for twins and standard errors, chapter 3 for the training step; chapters 5 to 8 explain the
# > networks, seeds and multiple comparisons that are weighed here. A GPU for the full trainings only.
# >
# > **Time** 75 minutes to read and run, 115 more for the six exercises.
#
# Everything comes together here: thirteen networks of paper 1, two of paper 2, and the question that both were written
# to answer, which one should be taken? A table of accuracies seems to answer it by itself. This chapter asks what such a
# table can carry. What it says about our own trainings comes from records; where there is none yet, it says *pending*,
# and fills by itself when a record lands.

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
import itertools
import json
import math
from statistics import NormalDist

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from torch import nn

from fercourse import leaderboard, plots, results
from fercourse.check import ch09
from fercourse.course import explore
from fercourse.data import EMOTIONS
from fercourse.data.synthetic import synthetic_faces
from fercourse.evaluate import compare
from fercourse.layers import ConvNormAct, pooled_head
from fercourse.models import model_table
from fercourse.papers import COUNTS, EARLY, TABLE2
from fercourse.records import read_record, results_folder

plots.use_style()

# %% [markdown]
# ## The table
#
# *6 minutes*
#
# This is Table 2 of paper 1 (Li, 2023), the paper's test accuracies first, ours beside them: mean and standard deviation
# over seeds, on all test images, on those without a twin in train or val, and on val.

# %%
results.table2()

# %% [markdown]
# And this is what the networks cost. The parameters and multiply-accumulates (MACs) are counted from the networks of
# this package; the paper prints the parameters to one decimal, and the time for the 3,589 test images on a machine that
# it does not name.

# %%
sizes = pd.DataFrame(model_table()).set_index("name").loc[list(TABLE2)]
costs = pd.DataFrame(
    {
        "paper, million parameters": sizes["paper_params"] / 1e6,
        "counted": sizes["params"] / 1e6,
        "million MACs": sizes["mmacs"],
        "paper, ms": [row.milliseconds for row in TABLE2.values()],
    }
)
costs.round(1)

# %% [markdown]
# Read the first column of the upper table from top to bottom as a reader of the paper would: SE-ResNet34 is the best,
# VGG11 the weakest of the large networks, the MobileNets lie behind. Now let us ask how much of this would come out the
# same way a second time.
#
# ## Seen from the outside
#
# *9 minutes*
#
# We have not got the paper's networks, only their printed accuracies. What can be said from those alone? Each is a share of
# *n* test images, so it has a standard error (chapter 1), and the standard error of the difference of two independent shares
# is the root of the sum of their squared standard errors.

# %%
audits = results_folder() / "audits"
audit = json.loads((audits / "fer2013.json").read_text())
n = sum(audit["counts"]["test"].values())


def error(p):
    """The standard error of an accuracy on the test split."""
    return math.sqrt(p * (1 - p) / n)


# %% mystnb={"image": {"alt": "Thirteen dots with bars, the test accuracies of paper 1 with their 95% intervals. Ten of them, VGGs, ResNets and SE-ResNets, lie between 68 and 71 per cent and their bars all overlap a line at their mean; the three MobileNets lie clearly to the left, at 62 to 65."}}
order = sorted(TABLE2, key=lambda name: TABLE2[name].test)
shares = np.array([TABLE2[name].test for name in order])
bars = 1.96 * np.array([error(p) for p in shares])
figure, ax = plt.subplots(figsize=(6.0, 4.2), layout="constrained")
ax.errorbar(100 * shares, order, xerr=100 * bars, fmt="o", capsize=3)
ax.axvline(100 * shares[3:].mean(), color="0.6", linewidth=1)
ax.set_xlabel("test accuracy in % (paper 1), 95% interval")
plt.show()

# %% [markdown]
# > **Predict.** Thirteen networks make 78 pairs. In how many do the two differ by more than 1.96 standard errors? And in how
# > many of the 45 pairs that leave the MobileNets out?

# %%
apart = {}
for a, b in itertools.combinations(TABLE2, 2):
    p, q = TABLE2[a].test, TABLE2[b].test
    apart[a, b] = abs(p - q) / math.hypot(error(p), error(q))

# %%
large = {
    pair: z for pair, z in apart.items() if "mobilenet" not in str(pair)
}
for name, pairs in {"all": apart, "without MobileNets": large}.items():
    beyond = sum(z > 1.96 for z in pairs.values())
    print(f"{name:18} {len(pairs)} pairs, {beyond} beyond 1.96")

# %% [markdown]
# One pair of 45. If all ten large networks were equally good, 5% of the pairs would pass this bar by luck, and that is
# about two. So this one, between the highest and the lowest of the ten, is what one expects to find by looking for it.
# A bar that keeps the chance of *any* false alarm among all 78 below 5% lies higher (Bonferroni; chapter 8 explains
# why):

# %%
bar = NormalDist().inv_cdf(1 - 0.05 / (2 * len(apart)))
safe = [pair for pair, z in apart.items() if z > bar]
small = [pair for pair in safe if "mobilenet" in str(pair)]
print(f"bar at {bar:.2f} standard errors: {len(safe)} pairs pass,")
print(f"{len(small)} of them with a MobileNet on one side")

# %% [markdown]
# Every difference that is safe from the outside has a MobileNet in it. About the order of the ten others, with or without
# shortcuts, with or without squeeze-and-excitation, the table says nothing that can be told from luck. How wide would the
# ten spread if they were equal, each right on the same share of all imaginable faces, and each tested on its own 3,589?

# %%
ten = shares[3:]
draw = np.random.default_rng(0)
equal = draw.binomial(n, ten.mean(), size=(20_000, 10)) / n
print(f"range of the paper's ten:  {100 * np.ptp(ten):.1f} points")
print(f"range of ten equal ones:   {100 * np.ptp(equal, 1).mean():.1f}")

# %% [markdown]
# The same. This does not show that the ten *are* equal. It shows that the printed numbers need no other explanation than
# luck, as far as they can be judged one by one. But there is a finer way to look, for which one needs more than the
# printed numbers.
#
# ## On the same images
#
# *9 minutes*
#
# All thirteen networks were tested on the *same* images. An image that is easy for all, or hard for all, adds luck to each
# accuracy and none to their differences. Only images on which exactly one of two networks is right can tell them apart. To
# see this done we need predictions, image by image. Every record keeps them. Here are two networks that have been recorded
# on an ordinary processor by the recipe *quick*, ten epochs each, on the real test labels:

# %%
names = ["basic_cnn-quick-seed0-cpu", "small_vgg-quick-seed0-cpu"]
basic, vgg = map(read_record, names)

# %%
labels = basic.labels("test")
right_a = basic.preds("test") == labels
right_b = vgg.preds("test") == labels
pd.crosstab(
    pd.Series(np.where(right_a, "right", "wrong"), name="basic_cnn"),
    pd.Series(np.where(right_b, "right", "wrong"), name="small_vgg"),
)

# %% [markdown]
# On the diagonal both are right, or both wrong. Off it, one beats the other. If the two were equally good, an off-diagonal
# image would fall to either side like a coin. **McNemar's test** asks how surprising the two counts would be from a fair
# coin; you will write it in exercise 2.
#
# > **Predict.** From the four counts: is this difference beyond doubt, doubtful, or luck? And is the standard error of the
# > difference smaller or larger than that of two accuracies on images of their own?

# %%
found = compare(labels, basic.preds("test"), vgg.preds("test"))
print(f"difference {100 * found['difference']:+.1f} points, 95% interval")
print(
    f"{100 * found['low']:+.1f} to {100 * found['high']:+.1f} (paired bootstrap)"
)
print(f"McNemar's p below a millionth: {found['p_mcnemar'] < 1e-6}")

# %%
only_a, only_b = found["only_a"], found["only_b"]
disagree = (only_a + only_b) / n
print(f"exactly one is right on {disagree:.1%} of the images")

# %%
gap = (only_b - only_a) / n
paired = math.sqrt(disagree - gap**2) / math.sqrt(n)
unpaired = math.hypot(error(right_a.mean()), error(right_b.mean()))
print(f"standard error, paired:   {100 * paired:.2f} points")
print(f"standard error, unpaired: {100 * unpaired:.2f} points")

# %% [markdown]
# No doubt here: the difference is more than ten of its standard errors. The paired error is about two thirds of the other one;
# to get there by unpaired testing one would need more than twice as many images.
#
# The same as a picture: draw a new test set of the same size from this one, with repetition, again and again, and note the
# difference. With both networks on the same new set, this is the **paired bootstrap** that gave the interval above. Beside
# it we draw a new set for each.

# %%
four = [np.mean(right_a & right_b), only_a / n, only_b / n]
counts = draw.multinomial(n, [*four, 1 - sum(four)], size=20_000)
same = (counts[:, 2] - counts[:, 1]) / n
own = (
    draw.binomial(n, right_b.mean(), 20_000)
    - draw.binomial(n, right_a.mean(), 20_000)
) / n

# %% mystnb={"image": {"alt": "Two outlined histograms of the difference in accuracy over resampled test sets, both centred near 8.7 points. The paired one is clearly narrower and higher than the one with separate test sets; the axis begins at 3, and neither comes near it."}}
edges = np.linspace(3, 14, 56)
drawn = {"same test set": same, "a test set each": own}
plots.histogram(
    {name: np.histogram(100 * d, edges)[0] for name, d in drawn.items()},
    edges,
    label="difference in points",
)
plt.show()

# %% [markdown]
# How fine the paired test is depends on how often two networks disagree, and that is what no table prints. So turn the question
# round. *If* any two of the paper's ten networks disagreed on such a share of the images: how far apart must two be to
# differ by 1.96 standard errors, how many of their 45 pairs are, and how wide would ten equal networks spread?

# %%
rows = {}
unit = np.ptp(draw.standard_normal((20_000, 10)), 1).mean()
for share in (0.05, 0.10, 0.20, 0.30):
    limit = 1.96 * math.sqrt(share / n)
    gaps = [abs(p - q) for p, q in itertools.combinations(ten, 2)]
    # A difference has variance share / n, each network half of it.
    alone = math.sqrt(share / 2 / n)
    rows[f"{share:.0%}"] = {
        "points apart": f"{100 * limit:.1f}",
        "pairs of 45": sum(gap > limit for gap in gaps),
        "range of ten equal": f"{100 * unit * alone:.1f}",
    }
pd.DataFrame(rows).rename_axis(columns="disagree on").T

# %% [markdown]
# The closer they agree, the more of their differences are more than the luck of the images. In the upper rows ten equal networks
# would spread much less than the paper's ten do, so that something besides the images would be at work; with as much
# disagreement as between our two, five pairs pass, where two or three would by luck. Which row is true, the paper could have
# told us with one more column. And even then the luck of the *seed* would be left: a network trained again gets other
# images right. So a claim here needs both, a paired test and more than one seed.
#
# ## What a leak does to a score
#
# *9 minutes*
#
# Some test images also stand in train, pixel for pixel (chapter 1). What are our two networks' scores worth without them?

# %%
twins = basic.twins("test")
rows = {}
for record in (basic, vgg):
    hits = record.preds("test") == labels
    rows[results.label(record)] = {
        "test": hits.mean(),
        "without twins": hits[~twins].mean(),
        "twins alone": hits[twins].mean(),
        "train": record.data["train_accuracy"],
    }
print(f"{audit['duplicates']['test_in_train']} test images stand in train,")
print(f"{twins.sum()} in train or val; {(~twins).sum():,} have no twin.")
pd.DataFrame(rows).T.map("{:.1%}".format)

# %% [markdown]
# Both networks do far better on the twins. Memory? Look at the last column. The small CNN is right about its own *training*
# images, each seen ten times, hardly more often than about test images without a twin. Having seen an image gains it two
# points or so, not twelve. Are the twins of easier classes, then?

# %%
mix = pd.DataFrame(
    {
        "twins": np.bincount(labels[twins], minlength=7) / twins.sum(),
        "others": np.bincount(labels[~twins], minlength=7) / (~twins).sum(),
    },
    index=EMOTIONS,
)
mix.map("{:.0%}".format).T

# %% [markdown]
# *Surprise*, which both recognise well, is more than four times as frequent among the twins. But *happy*, which they
# recognise best, is rare. What would they reach on the *other* images, if these came in the twins' mix of classes?

# %%
for record in (basic, vgg):
    hits = record.preds("test") == labels
    found = [hits[~twins & (labels == k)].mean() for k in range(7)]
    print(f"{record.model}: {mix['twins'] @ found:.1%}")

# %% [markdown]
# Less than before, not more. So it is not the classes: *within* its class a twin is easier than other images. These numbers
# cannot say why. Perhaps a photograph that is copied often shows what everyone recognises. And one with several copies in
# train was seen more than ten times. So the drop from the first column to the second is not "the part that was memorised".
# A network that fits its training set to more than 90%, as most of paper 1's do, has more to remember. The number without
# twins cannot come from memory of the same pixels; that is what it is good for.
#
# What would a *large* leak do? On drawn faces we can plant one. Two classifiers compete: a **memoriser**, the nearest
# neighbour among all training images, and a **learner**, a linear classifier on the pixels (both on pictures of 12 x 12).
# We let a growing share of the test faces slip into train.

# %%
from sklearn.linear_model import RidgeClassifier
from sklearn.neighbors import KNeighborsClassifier

# %%
planted = synthetic_faces(sizes=(1000, 0, 700), seed=1)


def pixels(faces):
    """Means of 4 x 4 pixels, one row a face."""
    blocks = faces.images.reshape(len(faces), 12, 4, 12, 4)
    return blocks.mean((2, 4)).reshape(len(faces), -1)


# %%
def with_leak(classifier, share):
    """Test accuracy after so large a share of test slipped into train."""
    train, test = planted.train, planted.test
    leaked = round(share * len(test))
    classifier.fit(
        np.concatenate([pixels(train), pixels(test)[:leaked]]),
        np.concatenate([train.labels, test.labels[:leaked]]),
    )
    return (classifier.predict(pixels(test)) == test.labels).mean()


# %% [markdown]
# > **Predict.** Without a leak the learner is far ahead. How large a share of the test set must leak before the memoriser
# > wins: a tenth, a quarter, or nine tenths? And what does the learner gain meanwhile?

# %%
leaks = np.linspace(0, 1, 11)
memoriser = [with_leak(KNeighborsClassifier(1), share) for share in leaks]
learner = [with_leak(RidgeClassifier(alpha=1e4), share) for share in leaks]

# %%
pd.DataFrame(
    {"memoriser": memoriser, "learner": learner},
    index=[f"{share:.0%}" for share in leaks],
).iloc[[0, 1, 2, 3, 4, 10]].map("{:.0%}".format).T

# %% mystnb={"image": {"alt": "Test accuracy against the share of test faces in train. The memoriser's line rises straight from about 20 per cent to 100. The learner's starts just below 40 and rises slowly to just above 50. They cross between 20 and 30 per cent; a dotted upright line at 8 per cent marks FER-2013's leak."}}
figure, ax = plt.subplots(figsize=(6.0, 3.4), layout="constrained")
ax.plot(100 * leaks, 100 * np.array(memoriser), "s--", label="memoriser")
ax.plot(100 * leaks, 100 * np.array(learner), "o-", label="learner")
ax.axvline(
    100 * audit["duplicates"]["test_in_train"] / n, color="0.5", ls=":"
)
ax.set_xlabel("% of the test faces that stand in train")
ax.set_ylabel("test accuracy in %")
ax.legend()
plt.show()

# %%
wins = np.array(memoriser) > np.array(learner)
assert not wins[:2].any()
assert wins[5:].all()
print("The leak turns the ranking round.")

# %% [markdown]
# A leak does not raise all scores alike, so it cannot be subtracted in one's head. It pays the one that memorises, and the
# *order* can change. Here it does between a fifth and three tenths. At FER-2013's share, the dotted line, it does not turn this ranking round; but the networks of
# Table 2 are not twenty points apart. Copies of FER-2013 from the web that were shuffled into new splits, or augmented
# before they were split, leak far more. Exercise 4 closes a leak.
#
# ## Class by class
#
# *6 minutes*
#
# One number hides seven. Here is where the small CNN's answers go, and then the **recall** of every class, the diagonal, for
# both recorded networks, with 95% intervals.

# %% mystnb={"image": {"alt": "Confusion matrix of the recorded basic CNN on the test split in per cent of each label. The diagonal is strong for happy, surprise and neutral; the column of disgust is empty; fear is spread over sad, neutral, surprise and angry."}}
plots.matrix(results.confusions(basic))
plt.show()

# %%
recall = pd.DataFrame(
    {
        record.model: record.metrics("test")["per_class_recall"]
        for record in (basic, vgg)
    },
    index=EMOTIONS,
)
recall["in train"] = pd.Series(audit["counts"]["train"])
recall["in test"] = pd.Series(audit["counts"]["test"])

# %% [markdown]
# For shares near 0 of few images the plain interval fails: at exactly 0 it has no width. Wilson's asks instead which true
# shares lie within 1.96 of *their own* standard errors of the one observed.


# %%
def wilson(share, images, z=1.96):
    """The ends of Wilson's interval of a share."""
    shrink = 1 + z**2 / images
    middle = (share + z**2 / (2 * images)) / shrink
    inner = share * (1 - share) / images + z**2 / (4 * images**2)
    half = z * np.sqrt(inner) / shrink
    return np.maximum(middle - half, 0), middle + half


# %% mystnb={"image": {"alt": "Recall of the seven classes for two networks, dots with intervals. Disgust is lowest, at 0 and 11 per cent, for small_vgg with the widest interval of all; fear is second lowest for both; happy is highest. small_vgg is to the right of basic_cnn clearly for angry and fear, and about equal for happy and surprise."}}
figure, ax = plt.subplots(figsize=(6.0, 3.6), layout="constrained")
for model, shift, mark in (
    ("basic_cnn", 0.12, "o"),
    ("small_vgg", -0.12, "s"),
):
    share = recall[model]
    low, high = wilson(share, recall["in test"])
    ends = 100 * np.array([share - low, high - share])
    rows = np.arange(7) + shift
    ax.errorbar(100 * share, rows, xerr=ends, fmt=mark, label=model)
ax.set_yticks(range(7), EMOTIONS)
ax.set_xlabel("recall on test in %")
ax.legend()
plt.show()

# %% [markdown]
# Paper 2 says that *disgust* is the hard class, for its few samples. The small CNN never gives this answer at all:

# %%
disgust = EMOTIONS.index("disgust")
for record in (basic, vgg):
    answers = (record.preds("test") == disgust).sum()
    print(f"{record.model}: says 'disgust' {answers} times")
print(f"test images labelled disgust: {recall['in test']['disgust']}")

# %% [markdown]
# It costs next to nothing in accuracy, and that is why it happens. But are few samples the whole story? If they were, recall
# should rise with the number of training images.

# %%
recall.sort_values("in train").map(
    lambda x: f"{x:.0%}" if x < 1 else f"{x:,.0f}"
)

# %% [markdown]
# *Fear* has more training images than *surprise*, and its recall is by far the lower one. So numbers are one reason, and
# what the labels mean is another: chapter 1 found that people seldom agree with the label *fear*. Remember also how little is
# known about *disgust* from 55 images: with a recall of one half the standard error would be seven points. A paper that
# compares networks by their recall of *disgust* on this test set compares luck.
#
# ## Accuracy and its price
#
# *7 minutes*
#
# "The best network" has a meaning only at a price. A network is **beaten** if another costs no more and is at least as
# accurate, and better in one of the two. Those that no other beats are the **Pareto front**. Which price? Parameters count
# for a download, multiply-accumulates for a battery, milliseconds for whoever waits; chapter 7 shows that they are three
# different things.

# %%
ours = {group.model: group for group in results.groups("table2")}
prices = {
    "million parameters": sizes["params"] / 1e6,
    "million MACs": sizes["mmacs"],
    "ms for the test images (paper's machine)": costs["paper, ms"],
}


def chart(price):
    """Draw accuracy against one price, with the front of each."""
    cost = prices[price]
    points = {
        "paper 1": [(m, cost[m], row.test) for m, row in TABLE2.items()],
        "ours, mean over seeds": [
            (m, cost[m], group.accuracies().mean())
            for m, group in ours.items()
            if len(group.accuracies())
        ],
    }
    points = {name: group for name, group in points.items() if group}
    fronts = {
        name: results.pareto_front(*np.array([p[1:] for p in group]).T)
        for name, group in points.items()
    }
    plots.accuracy_against_cost(points, fronts, label=price)
    plt.show()


# %% [markdown]
# > **Predict.** Which of the thirteen are on the front, if the price is parameters? And will SE-ResNet50, the largest, be on
# > any front?

# %% mystnb={"image": {"alt": "Test accuracy of paper 1's networks against their parameters on a logarithmic axis, names beside the dots. MobileNets lie at 1 to 5 million and 62 to 65 per cent, all others at 9 to 26 million and 68.5 to 71. A stepped line joins the front, from MobileNetV3-Small over MobileNetV2, VGG11, VGG13 and ResNet18 to SE-ResNet34. Our own networks stand beside them as they are recorded."}}
chart("million parameters")

# %% mystnb={"image": {"alt": "The same accuracies against millions of multiply-accumulates. The MobileNets are at the cheap end; VGG11 needs few for its accuracy; SE-ResNet34 is at the upper right end of the stepped front, and the two ResNet50s lie to its right, below it."}}
chart("million MACs")

# %%
for price, cost in prices.items():
    front = results.pareto_front(
        [cost[m] for m in TABLE2], [row.test for row in TABLE2.values()]
    )
    print(f"{price}:\n  {', '.join(list(TABLE2)[i] for i in front)}")

# %% [markdown]
# Neither ResNet50 nor SE-ResNet50 is on any of the three fronts: in this table one pays for them and gets nothing. By the
# paper's clock, MobileNetV2 and V3-Large are beaten too, by VGG11, which takes less than half the time and is several
# points better. They are on the front where multiply-accumulates are the price.
#
# Now take back what you learned above. Most of the steps at the upper end are smaller than luck. A front inherits the noise of
# its points, and it *prefers* lucky ones: of equally good networks at about the same price, the luckiest stands on it. Read its
# upper end as "somewhere about here, more parameters stop paying". In a running notebook, change the price:

# %%
explore(chart, price=list(prices))

# %% [markdown]
# ## The first epochs
#
# *8 minutes*
#
# Paper 2 (Gao) compares a basic CNN with ResNet50V2. Its claim is modest: in the initial stage the basic CNN is at an
# accuracy of about 0.5 where ResNet50V2 is at about 0.25 and more volatile, and the ResNet may overtake later. Here is
# what our own trainings say, by the paper's recipe as far as it is known:

# %%
recipe = results.groups("paper2")[:2]  # the others change its batch norm
pair = {group.model: group for group in recipe}
rows = {}
for model, share in EARLY.items():
    curves = [r.history["val_accuracy"] for r in pair[model].records]
    rows[model] = {"paper, early": f"about {share}"}
    for epoch in (1, 2, 3):
        at = [curve[epoch - 1] for curve in curves]
        told = f"{np.mean(at):.1%}" if at else results.PENDING
        rows[model][f"ours, epoch {epoch}"] = told
    rows[model]["ours, test, in the end"] = pair[model].summary()
pd.DataFrame(rows).T

# %% mystnb={"image": {"alt": "Recorded accuracy on val by epoch of paper 2's basic CNN and ResNet50V2, a curve for each of them that has a record, named above or in a legend; a frame that says pending if none has."}}
early = {
    f"{model}, seed {record.seed}": record.history["val_accuracy"]
    for model, group in pair.items()
    for record in group.records[:1]
}
if early:
    plots.history(early, label="accuracy on val")
    if len(early) == 1:  # which has no legend
        plt.title(*early)
else:
    plots.pending("val accuracy by epoch: basic_cnn, resnet50v2, paper2")
plt.show()

# %% [markdown]
# How far can early epochs be trusted at all? The two short runs from above can tell, though they are by another recipe, and
# only one of them is of paper 2's networks. Each record keeps the loss of every batch of the first three epochs, and the accuracy on val after each epoch.


# %%
def smoothed(losses, width=50):
    """The mean of each stretch of batches."""
    whole = len(losses) // width * width
    return losses[:whole].reshape(-1, width).mean(1)


# %% mystnb={"image": {"alt": "Two panels for basic_cnn and small_vgg, recipe quick. Above, the loss of the first three epochs in stretches of fifty batches: both begin near 1.9, small_vgg falls to 1.4, basic_cnn to 1.65. Below, accuracy on val over ten epochs: at epoch 2 small_vgg drops below basic_cnn, from epoch 3 on it is far above."}}
figure, (upper, lower) = plt.subplots(
    2, 1, figsize=(6.0, 5.4), layout="constrained"
)
for record, line in ((basic, "-"), (vgg, "--")):
    losses = smoothed(record.batch_losses)
    batches = 50 * (np.arange(len(losses)) + 0.5)
    upper.plot(batches, losses, line, label=record.model)
plots.history(
    {r.model: r.history["val_accuracy"] for r in (basic, vgg)},
    label="accuracy on val",
    ax=lower,
)
upper.set_xlabel("batch of the first three epochs")
upper.set_ylabel("training loss")
upper.legend()
plt.show()

# %%
for epoch in (1, 2, 3, 10):
    one, other = (
        r.history["val_accuracy"][epoch - 1] for r in (basic, vgg)
    )
    ahead = "small_vgg" if other > one else "basic_cnn"
    print(f"epoch {epoch:2}: {one:.1%} and {other:.1%}, {ahead} ahead")

# %% [markdown]
# Whoever had stopped at epoch 2 would have reported four points in favour of the network that ends eight points behind. Nothing was wrong
# with either training. The *loss* of the batches, in the upper panel, says all through the second epoch (from batch 450 on) that
# small_vgg is ahead; val is measured with running averages of batch norm, and while the learning rate still rises, weights may
# move faster than those follow. An early accuracy tells how fast and how
# calmly a network starts under one learning rate. It is no verdict on the network, and paper 2, to its credit, does not call it
# one.
#
# Before one can do a comparison again one must know what it was made of. Paper 2's table and its text tell different stories:

# %%
official = {
    split: sum(audit["counts"][split].values())
    for split in ("train", "val", "test")
}

# %%
for what, count in COUNTS.items():
    print(f"{what:25}{count:7,}")
print(f"{'official':25}{official}")
both = official["val"] + official["test"]
print(
    "its test is val and test merged:", both == COUNTS["test images, table"]
)

# %% [markdown]
# The table agrees with the common folder copy, in which val and test lie in one folder (chapter 1). If the best epoch was chosen
# on that folder, it was chosen on the images that are reported. The counts in the text fit no split, and no sum of whole
# classes either:

# %%
classes = pd.DataFrame(audit["counts"])
classes["all"] = classes.sum(axis=1)

# %%
sums = {
    sum(group)
    for split in classes
    for size in range(1, 8)
    for group in itertools.combinations(classes[split], size)
}
print([COUNTS[what] in sums for what in COUNTS if "text" in what])

# %% [markdown]
# ## The verdicts
#
# *6 minutes*
#
# Paper 1's conclusions, each as a difference of two rows of its own table, with the unpaired standard error, and what our records
# say, paired and seed by seed:

# %%
claims = {
    "residual learning: ResNet18 over VGG16": ("resnet18", "vgg16"),
    "depth: ResNet34 over ResNet18": ("resnet34", "resnet18"),
    "depth: ResNet50 over ResNet18": ("resnet50", "resnet18"),
    "SE: SE-ResNet18 over ResNet18": ("se_resnet18", "resnet18"),
    "SE: SE-ResNet34 over ResNet34": ("se_resnet34", "resnet34"),
    "SE: SE-ResNet50 over ResNet50": ("se_resnet50", "resnet50"),
    "the best: SE-ResNet34 over ResNet18": ("se_resnet34", "resnet18"),
    "light: V3-Small under VGG11": ("vgg11", "mobilenet_v3_small"),
}

# %%
rows = {}
for claim, (a, b) in claims.items():
    p, q = TABLE2[a].test, TABLE2[b].test
    rows[claim] = {
        "paper": f"{100 * (p - q):+.2f}",
        "standard error": f"{100 * math.hypot(error(p), error(q)):.2f}",
        "ours": results.difference(ours[a], ours[b]),
    }
pd.DataFrame(rows).T

# %% [markdown]
# As far as can be said from the paper's own numbers:
#
# | what paper 1 concludes | judged from its table |
# | --- | --- |
# | residual learning lets networks go deeper without degradation, since ResNets beat VGGs | does not follow, and the premise does not quite hold: ResNet34 (69.46) is below VGG16 (69.49). The deeper ResNets are below ResNet18, and no difference between the two families exceeds luck; the control, the same depth without shortcuts, is missing (chapter 5) |
# | squeeze-and-excitation improves ResNet34 and ResNet50 | possible: the gains are 1.2 and 0.4 standard errors, and ResNet18's −0.02 is passed over (chapter 6) |
# | SE-ResNet34 is the best | it has the highest number; the best of ten is the lucky one among the good ones |
# | MobileNetV3-Small is the lightest | so it is, but the printed 1.8 million is not the count of the published network, and no variant that the paper speaks of has it (chapter 7) |
# | and the fastest | by a few per cent over VGG11, in the paper's times, with a small part of its MACs; on another machine this may turn round |
# | MobileNets are less accurate | stands: every large network is ahead by more than luck can do, one pair at the edge |
# | flip and crop help, more harms | not in this table; chapter 8 weighs it |
#
# "Does not follow" is not "is false". Our own ledger may well find that shortcuts or gates help here. It will say so with
# seeds, pairs and twins.

# %%
v3, v11 = "mobilenet_v3_small", "vgg11"
time = TABLE2[v3].milliseconds / TABLE2[v11].milliseconds
work = sizes["mmacs"][v3] / sizes["mmacs"][v11]
print(f"MobileNetV3-Small against VGG11: {work:.0%} of the MACs,")
print(f"{time:.0%} of the time")

# %% [markdown]
# ## Train any of them
#
# *4 minutes*
#
# Put the name of a network into this cell; any row of the tables above will do, and so will `small_vgg`, `plain18` and
# `plain34`. In *smoke* it takes a few images once; in *quick*, minutes on a GPU; in *full*, its paper's 50 epochs. Each
# training says beforehand how long it takes.

# %% tags=["nbval-ignore-output"]
NETWORK = "vgg11"  # any name in fercourse.models.MODELS
network, history = session.train(NETWORK)
history.round(3)

# %%
assert history["train_loss"].between(0, 5).all()
print("It trains.")

# %% [markdown]
# And paper 2's pair by paper 2's recipe, for three epochs, which is one reading of its "initial stage"; in *full*, for all 50:

# %%
first = {} if session.budget == "full" else {"epochs": 3}

# %% tags=["nbval-ignore-output"]
network, history = session.train("basic_cnn", recipe="paper2", **first)
history.round(3)

# %%
assert history["train_loss"].between(0, 5).all()
print("basic_cnn trains.")

# %% tags=["nbval-ignore-output"]
network, history = session.train("resnet50v2", recipe="paper2", **first)
history.round(3)

# %%
assert history["train_loss"].between(0, 5).all()
print("resnet50v2 trains.")

# %% [markdown]
# ## The sandbox
#
# *6 minutes*
#
# Now it is your turn. Build a network, enter it, and see it beside the recorded ones. `leaderboard.enter` trains it within your
# budget and measures it on **val**, and on nothing else. Why never on test? Because you will look at the board, change your
# network and enter again. After twenty rounds of that, the best number on the images you looked at is partly luck that you
# have picked out yourself. On val this is known and allowed, that is what val is for. The test split stays unseen until
# a network has been chosen, and is used once.
#
# This one is small, to begin with:


# %%
class FirstTry(nn.Module):
    """(B, 1, 48, 48) -> logits (B, 7)."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            ConvNormAct(1, 16, stride=2),
            ConvNormAct(16, 32, stride=2),
            ConvNormAct(32, 64, stride=2),
        )
        self.head = pooled_head(64, 7)

    def forward(self, x):
        return self.head(self.features(x))


# %% tags=["nbval-ignore-output"]
torch.manual_seed(0)
row = leaderboard.enter(FirstTry(), "first try", session, replace=True)
leaderboard.table(session)

# %%
assert 0 <= row["val_accuracy"] <= 1
assert row["parameters"] < 30_000
print(f"{row['parameters']:,} parameters, {row['macs']:,} MACs an image")

# %% [markdown]
# The board has a heading for each data set and recipe, and only what stands under one heading may be compared. With
# drawn faces and a few seconds you are under a heading of your own; the recorded networks, trained on FER-2013, are shown
# apart. With a GPU and the official FER-2013, in *quick*, you stand right among them. The board is a file on your own disk
# (`runs/leaderboard.json`); nobody else sees it. A name is taken once; `replace=True` enters a network anew under its old
# name.
#
# To compete fairly, agree on a class of weight. Exercise 6 sets one: at most 300,000 parameters and 60 million MACs.
#
# ## Quiz
#
# *5 minutes*
#
# **1. Two networks have 70.1% and 69.5% on the same 3,589 images. What would tell you most about whether they differ?**
#
# <details><summary>The standard error of each accuracy</summary>
#
# It gives a bound, and a coarse one: it treats the two as if each had been tested on images of its own.
#
# </details>
#
# <details><summary>On how many images only the one is right, and on how many only the other</summary>
#
# Yes. From these two counts comes McNemar's test; all other images cancel out of the difference.
#
# </details>
#
# <details><summary>Two more decimals of both accuracies</summary>
#
# They would tell which of the two numbers is higher, which is known already, and nothing about luck.
#
# </details>
#
# **2. A paper compares thirteen networks and finds that one pair differs with p = 0.04. What do you conclude?**
#
# <details><summary>These two networks differ, since p is below 0.05</summary>
#
# There are 78 pairs. If none of them differed, about four would still be expected below 0.05.
#
# </details>
#
# <details><summary>Little: among so many pairs, such a p value is expected by luck</summary>
#
# Yes. Either correct for the number of pairs, or say beforehand which pair you will test.
#
# </details>
#
# <details><summary>That all thirteen networks are equally good</summary>
#
# Not found is not the same as not there. A test that is too coarse for small differences shows none.
#
# </details>
#
# **3. Network A is ahead of B by one point on test. On test images without a twin, B is ahead. What may lie behind it?**
#
# <details><summary>Nothing can be wrong: A has the higher accuracy on the official split</summary>
#
# It has, and that may be reported. But the reader wants to know which will do better on new faces.
#
# </details>
#
# <details><summary>A may have remembered twins; whether B is truly ahead still needs a paired test</summary>
#
# Yes. Twins pay those that memorise. (Or A is better at *surprise*, of which the twins are full.) And the new order is as much in need of a test as the old one.
#
# </details>
#
# <details><summary>B was trained on too few images, so that it lacks the twins</summary>
#
# Both were trained on the same images, with the same copies among them.
#
# </details>
#
# **4. Why does the leaderboard rank by val and not by test?**
#
# <details><summary>Because val is the easier of the two</summary>
#
# Every network recorded so far on a processor did a little *better* on test than on val. Ease is not the point, however.
#
# </details>
#
# <details><summary>Because whoever enters again after looking chooses on those images</summary>
#
# Yes. A split that has been used for choosing is no longer unseen, however honest everyone is.
#
# </details>
#
# <details><summary>Because test has no labels</summary>
#
# It has, in the official file. That is exactly why one has to keep oneself from using them.
#
# </details>

# %% [markdown]
# ## Exercises
#
# *115 minutes for all six*
#
# ### Exercise 1. Seven numbers and their mean
#
# *Easy, 10 minutes.*
#
# From a confusion matrix, an array of counts (rows are labels, columns predictions), return two values: the recall of every class, in order,
# and the balanced accuracy, the mean of the recalls. A class of which there is no image has no recall: put NaN
# (`float("nan")`) in its place, and leave it out of the mean.


# %% exercise="class_recalls"
def class_recalls(confusion):
    """Return (recall of each class, balanced accuracy)."""
    # solution
    recalls = []
    for label, row in enumerate(confusion):
        images = row.sum()
        recalls.append(row[label] / images if images else float("nan"))
    return recalls, np.nanmean(recalls)
    # end


# %% [markdown] hint="class_recalls"
# A row holds all images of one label; on the diagonal are those that were found. `np.nanmean` is a mean that leaves out NaN.

# %% [markdown]
# ### Exercise 2. Tossing a coin
#
# *Medium, 15 minutes.*
#
# Write McNemar's exact test, for arrays of labels and of two networks' predictions, one class an image. Of the images that
# exactly one of two networks gets right, $a$ go to the one and $b$ to the other. If neither is better, each of the $m = a +
# b$ is a toss of a fair coin. The p value is twice the probability of $\min(a, b)$ heads or fewer in $m$ tosses, $2
# \sum_{i=0}^{\min(a, b)} \binom{m}{i} / 2^m$, and never more than 1. With no such image at all it is 1. `math.comb(m, i)`
# counts the ways.


# %% exercise="mcnemar_p"
def mcnemar_p(labels, preds_a, preds_b):
    """Return the p value, a number between 0 and 1."""
    # solution
    right_a, right_b = preds_a == labels, preds_b == labels
    only_a = int((right_a & ~right_b).sum())
    only_b = int((right_b & ~right_a).sum())
    tosses, least = only_a + only_b, min(only_a, only_b)
    ways = sum(math.comb(tosses, heads) for heads in range(least + 1))
    return min(1.0, 2 * ways / 2**tosses)
    # end


# %% [markdown] hint="mcnemar_p"
# First the two counts: right for A and not for B, and the other way round. Images on which the predictions differ but both
# are wrong do not count. `range` leaves out its end.

# %% [markdown]
# ### Exercise 3. What no other beats
#
# *Medium, 15 minutes.*
#
# Given costs and accuracies of some networks, return the places (from 0) of those on the Pareto front, from the cheapest to the
# dearest. A network is beaten by one that costs no more and is at least as accurate, and is better in at least one of the
# two. (No two networks agree in both.)


# %% exercise="pareto_front"
def pareto_front(costs, accuracies):
    """Return the places of the networks that no other beats."""
    # solution
    order = sorted(
        range(len(costs)), key=lambda i: (costs[i], -accuracies[i])
    )
    front, best = [], -math.inf
    for place in order:
        if accuracies[place] > best:
            front.append(place)
            best = accuracies[place]
    return front
    # end


# %% [markdown] hint="pareto_front"
# Go from the cheapest to the dearest, and of equally dear ones take the most accurate first. A network is on the front if it is
# more accurate than all before it.

# %% [markdown]
# ### Exercise 4. Close the leak
#
# *Medium, 15 minutes.*
#
# `train` and `held_out` are images, uint8 (N, height, width) and (M, height, width). Return an array of N booleans: True where the
# training image may stay, because neither it nor its mirror image (left and right exchanged) stands in `held_out`,
# pixel for pixel. Copies *within* train are no leak and stay.


# %% exercise="without_leaks"
def without_leaks(train, held_out):
    """Return bool (N,): which training images may stay."""
    # solution
    known = {image.tobytes() for image in held_out}
    known |= {image[:, ::-1].tobytes() for image in held_out}
    return np.array([image.tobytes() not in known for image in train])
    # end


# %% [markdown] hint="without_leaks"
# An array cannot stand in a set, but its bytes can: `image.tobytes()`. Turn left to right with `image[:, ::-1]`. With mirrored
# held-out images in the set too, one look for each training image is enough.

# %% [markdown]
# ### Exercise 5. Many heads
#
# *Medium, 20 minutes. Changes a module.*
#
# Networks trained from different seeds make different mistakes, and the average of their probabilities is often better than each
# alone. Write a module that holds a list of networks, of any length. Its forward gives the images to each of them, averages their
# *probabilities* (softmax over the classes) and returns the logarithm of the average. Softmax then gives the average back, and
# the loss can be computed as from any logits. PyTorch must know the networks as layers of the module, so that gradients reach
# their parameters.


# %% exercise="Ensemble"
class Ensemble(nn.Module):
    """Several networks as one; its softmax is the mean of theirs."""

    def __init__(self, networks):
        super().__init__()
        # solution
        self.networks = nn.ModuleList(networks)
        # end

    def forward(self, x):
        # solution
        probs = [network(x).softmax(dim=1) for network in self.networks]
        mean = torch.stack(probs).mean(dim=0)
        return mean.log()
        # end


# %% [markdown] hint="Ensemble"
# A plain list hides the networks from PyTorch; `nn.ModuleList` does not. `torch.stack` makes of several (B, 7) one tensor
# (networks, B, 7), whose first axis can be averaged.

# %% [markdown]
# ### Exercise 6. The contender
#
# *Hard, 40 minutes. Changes a module.*
#
# Build a network of your own for the leaderboard: `Contender()` maps images (B, 1, 48, 48), for any B, to logits (B, 7), with at
# most 300,000 parameters and 60 million MACs an image. The checker asks what chapter 3's `check_model` asks: that a gradient reaches
# every parameter, that it learns a batch by heart, that evaluation gives the same answer twice and to each image by
# itself. Everything else is open: residual blocks, gates, depthwise convolutions, dropout. The solution is one of
# thousands, and not the best.


# %% exercise="Contender"
class Contender(nn.Module):
    """(B, 1, 48, 48) -> logits (B, 7), small enough to compete."""

    def __init__(self):
        super().__init__()
        # solution
        self.stem = ConvNormAct(1, 32)
        self.down = nn.Sequential(
            ConvNormAct(32, 32, stride=2, groups=32),
            ConvNormAct(32, 64, kernel_size=1),
            ConvNormAct(64, 64, stride=2),
            ConvNormAct(64, 128, stride=2),
        )
        self.head = pooled_head(128, 7)
        # end

    def forward(self, x):
        # solution
        x = self.stem(x)
        x = self.down(x)
        return self.head(x)
        # end


# %% [markdown] hint="Contender"
# A 3 x 3 convolution from 64 to 128 channels has 73,728 weights, and at 12 x 12 places 10.6 million MACs. Halve the picture early,
# widen late, and end with an average over all places and one dense layer. `fercourse.check.check_model(Contender)` shows
# parameters and MACs.

# %% [markdown]
# Then enter it, with `leaderboard.enter(Contender(), "a name", session)`, and look at `leaderboard.table(session)`.
#
# ## What to take along
#
# - A table of accuracies without pairs and seeds can be judged from the outside only, and coarsely: of paper 1's 78 differences,
#   the safe ones all have a MobileNet on one side.
# - On the same images, only those count that exactly one network gets right. McNemar's test and the paired bootstrap use this.
# - A leak pays those that memorise, so it can change the order and not only the level. Twins are also easier pictures.
# - One accuracy hides seven recalls, and 55 images of *disgust* can settle very little.
# - Accuracy has a price, and which network is best depends on the price. A Pareto front shows what is never worth it.
# - Early epochs tell how a training starts. At epoch 2 the better of two recorded networks was behind.
#
# ## Further reading
#
# - Dietterich, [Approximate statistical tests for comparing supervised classification learning
#   algorithms](https://doi.org/10.1162/089976698300017197) (1998): McNemar's test and its rivals.
# - Bouthillier et al., [Accounting for variance in machine learning benchmarks](https://arxiv.org/abs/2103.03098) (2021): seeds,
#   splits and other luck.
# - Barz and Denzler, [Do we train on test data? Purging CIFAR of near-duplicates](https://arxiv.org/abs/1902.00423) (2020).
# - Lakshminarayanan, Pritzel and Blundell, [Simple and scalable predictive uncertainty estimation using deep
#   ensembles](https://arxiv.org/abs/1612.01474) (2017).
# - In this book: reading a paper critically, with both papers filled in.
