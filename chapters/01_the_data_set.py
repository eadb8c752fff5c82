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
# # The data set
#
# > **By the end you can** say what is in FER-2013 and what is not, find the mistakes that make results on it
# > incomparable, and judge how much of a difference between two networks is luck.
# >
# > **You need** Python and a little NumPy; for two of the exercises, that you have seen an `nn.Module`. No GPU,
# > no download.
# >
# > **Time** 50 minutes to read and run, 65 more for the six exercises.
#
# Before a network learns anything, someone chose pictures, cut them out, named what they show, and divided them
# into parts. Every number that follows inherits those choices. So we begin with the file.

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
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from torch import nn

from fercourse import plots, results
from fercourse.check import ch01
from fercourse.course import explore
from fercourse.data import EMOTIONS
from fercourse.data.synthetic import draw_faces, emotion_units
from fercourse.records import results_folder

plots.use_style()

# %% [markdown]
# ## Where the faces come from
#
# *3 minutes*
#
# FER-2013 was made for a contest. In 2013 Pierre-Luc Carrier and Aaron Courville asked Google's image search for
# some 600 combinations of emotion words ("blissful", "enraged", ...) with words for gender, age and ethnicity, and
# kept the first thousand hits of each. A face detector cut out the faces, people threw out what was wrong and
# mended the cuts, and each face was scaled to 48 x 48 grey pixels. Mehdi Mirza and Ian Goodfellow then folded the
# search words into seven classes
# ([Goodfellow et al., 2013](https://arxiv.org/abs/1307.0414)).
#
# Keep two things in mind. The label of a picture began as a *search word*, and people threw out what did not fit. And the people in
# the pictures were never asked: they had their photographs on the web, that is all. This is why the chapter shows
# you no photograph. What it shows of the real data are counts, averages over many images, and the results of an
# **audit** of the official file, which the command `fercourse data` made and the repository keeps. You can run the
# same command on your own copy.

# %%
audits = results_folder() / "audits"
audit = json.loads((audits / "fer2013.json").read_text())
aggregates = np.load(audits / "fer2013-aggregates.npz")

# %% [markdown]
# ## Seven words, unevenly spread
#
# *5 minutes*
#
# The file has one row a picture: a label from 0 to 6, 2,304 numbers for the pixels, and the word `Training`,
# `PublicTest` or `PrivateTest`. During the contest, the public part served for the leader board and the private part
# decided who won. We use them in the same spirit, and with the names that everyone uses today: **train** to fit,
# **val** (PublicTest) to choose, **test** (PrivateTest) to report, once.
#
# > **Predict.** Which class is the smallest, and how many of its images does the test split hold: about 50, 150 or
# > 500? What accuracy would a network lose that never answers with this class? Decide before you look.

# %%
counts = pd.DataFrame(audit["counts"], index=EMOTIONS)
counts["all"] = counts.sum(axis=1)
counts["share"] = (counts["all"] / counts["all"].sum()).map("{:.1%}".format)
counts

# %%
sizes = {split: counts[split].sum() for split in ("train", "val", "test")}
for split, size in sizes.items():
    print(f"{split:6}{size:7,} images")
print(f"in all{counts['all'].sum():7,}")

# %% [markdown]
# The contest's report prints the totals of the seven classes. Are they those of the file?

# %%
published = (4953, 547, 5121, 8989, 6077, 4002, 6198)
print("As in the report:", published == tuple(counts["all"]))

# %% mystnb={"image": {"alt": "Horizontal bars of the images a class, train, val and test end to end. Happy is the longest by far, disgust is a stub, the other five lie close together."}}
plots.class_counts({split: counts[split].to_numpy() for split in sizes})
plt.show()

# %% [markdown]
# *Happy* is the largest class, because the web is full of smiles. *Disgust* is hardly there. A network can ignore
# it altogether and lose next to nothing in accuracy. This is why the course always looks at the recall of every class
# beside the accuracy.

# %%
right = counts["test"] / sizes["test"]
print(f"Always answering 'happy': {right['happy']:.1%} right.")
print(f"Perfect but for 'disgust': {1 - right['disgust']:.1%} right.")

# %% [markdown]
# ## What 48 x 48 pixels look like
#
# *7 minutes*
#
# Here are seven expressions at that size, with a few people each. They are **drawn**: the course has a small
# draughtsman that moves the parts of a face as the facial action units do, by which psychologists describe faces
# (inner brow raiser, lip corner puller, and so on), and varies person, pose, light and noise at random. You will
# meet these faces wherever a notebook needs pictures to work on. They run anywhere, need no download, and belong to
# nobody.

# %% mystnb={"image": {"alt": "Three rows of small grey drawn faces of different people. The seven columns show angry, disgust, fear, happy, sad, surprise and neutral, each with the name on top."}}
people = 3
drawn = [
    draw_faces(emotion_units(emotion), identity=range(people))
    for emotion in EMOTIONS
]
grid = np.stack(drawn, axis=1).reshape(-1, 48, 48)
plots.faces(grid, titles=EMOTIONS)
plt.show()

# %% [markdown]
# Now the real data, as averages. If you take every training photograph of one class and average them pixel by
# pixel, the person, the light and the pose blur away, and what the photographs of the class have in common stays.

# %% mystnb={"image": {"alt": "Seven blurred average faces, one a class. The happy one smiles with visible teeth, the surprised one has an open mouth and wide eyes, angry and sad have lowered brows; the rest are hard to tell apart."}}
means = aggregates["mean_faces"].astype(np.float32)
plots.faces(means, titles=EMOTIONS, columns=4, size=1.5)
plt.show()

# %% [markdown]
# A ghost of the expression survives in each. (The average of *disgust* is rough, because so few pictures went into
# it.) The averages also differ in something that has nothing to do with muscles: brightness.

# %%
brightness = pd.DataFrame(
    {"mean grey value": means.mean(axis=(1, 2))}, index=EMOTIONS
)
brightness.map("{:.1f}".format)

# %% [markdown]
# Photographs labelled *surprise* are brighter than those labelled *sad*. Whatever the reason, flash on a birthday or
# stock photographs on white, a network will find this out and use it, and on another collection of pictures it may
# be useless or wrong. So for the next picture we first take its own brightness from each average, then what all
# have in common. What is left shows where the classes differ: red is brighter than in the average face, blue darker,
# on one scale for all seven.

# %% mystnb={"image": {"alt": "The seven average faces minus the overall average, red for brighter and blue for darker. Surprise has a deep dark patch at the open mouth, happy a bright mouth between dark folds in the cheeks, sad a dark spot above the nose, neutral a bright ring around the mouth; fear and angry show only faint traces."}}
shapes = means - means.mean(axis=(1, 2), keepdims=True)
common = np.average(shapes, axis=0, weights=counts["train"])
plots.faces(
    shapes - common, titles=EMOTIONS, columns=4, size=1.5, signed=True
)
plt.show()

# %% [markdown]
# Read the maps as a first guess at what a network will look at: an open mouth for *surprise*, teeth and the folds of a
# smile for *happy*, the spot between the brows for *sad*. And see how little there is in *angry* and *fear*. Classes
# that differ so little on average must be told apart by details that vary from face to face. Expect them to be
# confused.
#
# ## Pixels
#
# *4 minutes*
#
# Pixels run from 0 to 255. Networks like their input near zero with a spread of about one, so we shall need two
# numbers, the mean and the standard deviation. They must come from the training images alone: whatever is computed
# from val or test and fed back into training is a leak, however small.

# %%
pixels = audit["pixels"]["train"]
print("Training pixels, divided by 255:")
print(f"mean {pixels['mean']:.4f}, standard deviation {pixels['std']:.4f}")

# %% mystnb={"image": {"alt": "Histogram of the grey values of all training pixels. It is broad, rises slowly to a hump at about 165 and falls towards white, with a thin spike at black and a higher one at white."}}
plots.histogram(
    {"train": aggregates["histograms"][0]},
    np.arange(257),
    label="grey value",
)
plt.show()

# %% [markdown]
# The spikes at both ends are clipped light and shadow, and black or white borders where a face was cut at the edge of
# its photograph. A few images hold nothing but such a border:

# %%
print(
    f"{sum(audit['constant'].values())} images are (nearly) one grey value."
)

# %% [markdown]
# They have labels like all others, which nothing in the picture supports. Twelve of them stand in train, one in val, none in test.
#
# ## The same picture twice
#
# *7 minutes*
#
# The web holds many copies of a good photograph, and a search for "joyful" finds what a search for "smiling" found.
# The makers took out *some* duplicates. How many are left can be counted exactly: two images are the same when their
# 2,304 pixels are.

# %%
twins = audit["duplicates"]
print(f"{twins['distinct']:,} distinct images, {twins['surplus']:,} copies")
print(f"{twins['groups']:,} pictures stand more than once in the file,")
print(f"{twins['groups_across_splits']} of them in more than one split.")
print(f"Test images that stand in train too: {twins['test_in_train']}")
print(f"Val images that stand in train too: {twins['val_in_train']}")

# %% [markdown]
# And those are the exact copies only; the same photograph cut or compressed a little differently is not counted.
#
# What does a test image that also stands in train do? It can be answered from memory. To see how much that is worth,
# take the purest memoriser there is, the *nearest neighbour*: it keeps all training images and answers with the label
# of the one that is closest in its pixels. On drawn faces, it knows next to nothing about expressions. Now we let as
# large a share of the test images slip into its training set as in FER-2013.

# %% [markdown]
# > **Predict.** The memoriser has some accuracy on new faces. Now that share of the test faces stands in its training
# > set as well. By how many points will its accuracy rise: by about the share, by less, or by more?

# %%
from sklearn.neighbors import KNeighborsClassifier


def memoriser(images, labels, test):
    """Test accuracy of the nearest neighbour."""
    nearest = KNeighborsClassifier(n_neighbors=1)
    nearest.fit(images.reshape(len(images), -1), labels)
    preds = nearest.predict(test.images.reshape(len(test), -1))
    return (preds == test.labels).mean()


# %%
from fercourse.data.synthetic import synthetic_faces

drawn_set = synthetic_faces(sizes=(2000, 0, 1000), seed=1)
train, test = drawn_set.train, drawn_set.test
share = twins["test_in_train"] / counts["test"].sum()
leaked = test.subset(slice(round(share * len(test))))
print(f"{share:.1%} of {len(test):,} test faces: {len(leaked)}")

# %%
clean = memoriser(train.images, train.labels, test)
with_leak = memoriser(
    np.concatenate([train.images, leaked.images]),
    np.concatenate([train.labels, leaked.labels]),
    test,
)
print(f"nearest neighbour on drawn faces: {clean:.1%}")
print(f"with {len(leaked)} test faces in train: {with_leak:.1%}")

# %% [markdown]
# It rises by somewhat less than the share: some of the leaked faces it had right before. All of that gain is memory:
# the memoriser has learned nothing about faces. A strong network gains less, since it has many of the leaked images
# right anyway, but the leak still helps it, and it helps those most that memorise best. So the course shows, next to
# every accuracy on the test split, the accuracy on the test images **without a twin** in train or val.
#
# Why not delete the twins and be done? Because then our numbers could not be compared with anybody's. The official
# split stays as it is, and we say what it does.
#
# ## Two labels for one picture
#
# *4 minutes*
#
# Copies also show how firm the labels are. Where the same pixels were labelled twice, did both labels agree?

# %%
firm = twins["groups"] - twins["conflicting_labels"]
print(f"{firm:,} of {twins['groups']:,} repeated pictures carry one label,")
print(f"{twins['conflicting_labels']} more than one.")

# %% [markdown]
# The sharper test came three years later. For **FER+** ([Barsoum et al., 2016](https://arxiv.org/abs/1608.01041)), ten
# people judged every image anew. How often is the label of FER-2013 the one of the seven that got the most votes?
#
# > **Predict.** For which of the seven labels will the top vote agree most often, and for which least? For how many of a
# > hundred images over all?

# %%
plus = audit["ferplus"]
print(f"{plus['images']:,} images have votes for one of the seven classes.")
print(
    f"The label is the most frequent vote for {plus['agreement']:.1%} of them."
)

# %%
agrees = pd.Series(
    plus["by_class"], name="label agrees with FER+"
).sort_values()
agrees.map("{:.0%}".format).to_frame()

# %% [markdown]
# The two disagree about one image in three: seldom when the label is *happy*, and most of the time when it is *fear*.
# Where an image is labelled *fear* and eight of ten people see *surprise*, a network that says *surprise* is counted
# wrong, and a network that has learned the habits of the original labels is counted right. An accuracy on FER-2013
# measures agreement with **one** labelling, made in one way. The contest's report puts the accuracy of people at
# 65 ± 5%. Networks go beyond that, which need not mean that they read faces better: they have seen thousands of
# examples of how this data set was labelled, and people have not.
#
# ## The copy on your disk
#
# *4 minutes*
#
# Most people do not have the contest's file but a folder of pictures from the web. The most common one has `train/` and
# `test/`, with one folder a class, and looks like this inside:
#
# ```
# train/angry/Training_3908.jpg        test/angry/PublicTest_88305097.jpg
# train/happy/Training_50449107.jpg    test/happy/PrivateTest_10131363.jpg
# ```
#
# Look at the right-hand side. The folder `test/` holds **both** held-out splits: PublicTest, meant for choosing, and
# PrivateTest, meant for reporting. Whoever trains on `train/`, keeps the epoch with the best accuracy on `test/` and
# reports that accuracy has chosen on the test set. Only the beginning of the file names tells the two apart. (`fercourse.data.load_faces`,
# with which the course reads any copy, splits them; PyTorch's own `torchvision.datasets.FER2013` merges them.)
#
# Other copies have been enlarged, sharpened, shuffled into new splits, or filled up with augmented images, in the test
# split too. All counts can be right and the pixels wrong. Before you trust a number, run
#
# ```
# fercourse data /path/to/your/copy
# ```
#
# It compares every image with a table of hashes of the official ones and ends with a verdict. For the official file,
# it is this one:

# %%
print(audit["verdict"])

# %% [markdown]
# ## How much is luck?
#
# *4 minutes*
#
# Suppose a network gets a share *p* of *n* test images right, and the images were drawn at random from a larger world.
# Draw others, and the share changes. Its standard error is the square root of *p* (1 − *p*) / *n*.

# %%
n = sizes["test"]
print(f"On {n:,} images:")
for p in (0.60, 0.70, 0.73):
    error = 100 * np.sqrt(p * (1 - p) / n)
    print(f"accuracy {p:.0%}: standard error {error:.2f} points,", end=" ")
    print(f"95% interval ±{1.96 * error:.1f}")

# %% [markdown]
# Remember these sizes when you read that one network has 69.2% and another 69.5%. Two networks tested on the *same*
# images can be told apart somewhat more finely, because they agree on most of them; the course does that with paired
# tests. And the same network trained from another random seed gives another number again, which is why results here
# come from several seeds as soon as a claim rests on them.
#
# ## Drawn faces: what they are for
#
# *3 minutes*
#
# Everything that computes on images in these notebooks runs on drawn faces unless you bring your own copy. They have
# what photographs never have: the truth. For each face we know which muscles moved and how far, where mouth, eyes and
# brows are, how the head is turned, and whether the label was spoiled on purpose.

# %% mystnb={"image": {"alt": "One row of a drawn face whose smile grows from left to right, from a resting face to a broad smile with teeth; numbers on top give the intensity."}}
steps = np.linspace(0, 1, 7)
smile = emotion_units("happy")
growing = draw_faces(
    {unit: value * steps for unit, value in smile.items()}, identity=2
)
plots.faces(growing, titles=[f"{step:.2f}" for step in steps])
plt.show()

# %% [markdown]
# In a running notebook, move the face yourself: how far must a smile go before you would call it *happy*? What do raised
# inner brows add to it?


# %%
def one_face(smile=0.5, brows=0.0, jaw=0.0, person=2):
    """Draw a person with these action units."""
    units = {"AU12": smile, "AU1": brows, "AU26": jaw}
    plots.faces(draw_faces(units, identity=[person]), size=2.5)
    plt.show()


# %%
part = (0.0, 1.0, 0.1)
explore(one_face, smile=part, brows=part, jaw=part, person=(0, 20))

# %% [markdown]
# | | FER-2013 | drawn faces |
# | --- | --- | --- |
# | how many | what the file holds | as many as you like |
# | who | real people, not asked | nobody |
# | labels | a search word, checked once | known, or spoiled by a known share |
# | the world in them | the web of 2013 | none |
#
# **An accuracy on drawn faces says nothing about FER-2013**, and nothing about
# people. Wherever the course shows one, it says so.
#
# ## What two small networks reach
#
# *4 minutes*
#
# To end with something to improve on: two small networks, trained on the real data on an ordinary processor, one seed
# each. Choosing was done on val; the test split was used once. The table comes from the records of those runs; where a
# record is not there, it says *pending*.

# %%
results.results_table(recipe="quick")

# %% [markdown]
# Compare each accuracy with what laziness gives (exercise 2), with the 65% of people, and with its interval. Where does
# the better network (better on val, that is; we do not choose on test) go wrong?

# %% mystnb={"image": {"alt": "Confusion matrix of the better small network on the test split, in per cent of each label; the numbers are in the cells, the rows are the labels, the columns the predictions."}}
record = results.best(results.reported(recipe="quick"))
if record is None:
    plots.pending("the better of two small networks, recipe quick")
else:
    print(results.label(record))
    plots.matrix(results.confusions(record))
plt.show()

# %%
if record is not None:
    confusion = results.confusions(record)
    wrong = confusion / confusion.sum(axis=1, keepdims=True)
    np.fill_diagonal(wrong, 0)
    for place in wrong.ravel().argsort()[:-4:-1]:
        row, column = divmod(place, len(EMOTIONS))
        print(
            f"{wrong[row, column]:.0%} of {EMOTIONS[row]!r}"
            f" are taken for {EMOTIONS[column]!r}"
        )

# %% [markdown]
# Hold these against the maps of the average faces, and against the votes of FER+ above: part of what looks like the
# network's confusion is the labels'.

# %% [markdown]
# ## Quiz
#
# *5 minutes*
#
# Open the option you would choose; the others tell you what speaks against them.
#
# **1. You have the folder copy from the web, with `train/` and `test/`. What do you choose the best epoch on?**
#
# <details><summary>The images in <code>test/</code></summary>
#
# Not quite. That folder mixes PublicTest and PrivateTest. An epoch chosen there has been chosen on the images that you
# want to report on.
#
# </details>
#
# <details><summary>The images whose names begin with <code>PublicTest</code></summary>
#
# Yes. They are the validation split, wherever they lie.
#
# </details>
#
# <details><summary>A tenth of <code>train/</code>, and PublicTest is reported too</summary>
#
# That is clean, but it cannot be compared with results by the contest's protocol, which trains on all of `train/`, chooses
# on PublicTest and reports PrivateTest.
#
# </details>
#
# **2. A network has 72% on the test split, and 71% on the test images without a twin. What follows?**
#
# <details><summary>The network cheats, so its result is worthless</summary>
#
# No. Every network trained on the official split has met those twins, and twins may be easy pictures in the first
# place. Compare networks on the same images, and report both numbers.
#
# </details>
#
# <details><summary>Part of the 72% may be memory; comparisons should be made on both numbers</summary>
#
# Yes. The second number cannot come from having seen the very same pixels.
#
# </details>
#
# <details><summary>Nothing: one point is within the standard error</summary>
#
# The standard error says how much an accuracy varies from one independently drawn set to another. These two share all but about 300 images, so a point
# between them is much less likely to be luck.
#
# </details>
#
# **3. The most frequent of ten people's votes is the label in about two cases of three. What does an accuracy of 73% mean?**
#
# <details><summary>The network reads faces better than people do</summary>
#
# It agrees with *this labelling* more often than people who have not seen it. That is another skill: it has been shown
# 28,709 examples of the labeller's habits.
#
# </details>
#
# <details><summary>Something is wrong: more than 65% is impossible</summary>
#
# Labels that differ from the vote are not random. Some differ in habitual ways, and habits can be learned.
#
# </details>
#
# <details><summary>The network has learned how this data set was labelled, habits included</summary>
#
# Yes. Whether it reads faces better takes other labels, or other faces, to find out.
#
# </details>
#
# **4. Which of these is a leak?**
#
# <details><summary>Mean and standard deviation of the pixels are computed on all 35,887 images</summary>
#
# Yes, a small one: two numbers carry something of val and test into training. It costs nothing to avoid.
#
# </details>
#
# <details><summary>Mean and standard deviation of train are used to scale the test images</summary>
#
# No, that is how it should be: nothing of the test images goes into training.
#
# </details>
#
# <details><summary>The confusion matrix on the test split is drawn for the final network</summary>
#
# No. Looking at a result does no harm, as long as you do not go back and choose by it.
#
# </details>

# %% [markdown]
# ## Exercises
#
# *65 minutes for all six*
#
# Each has a cell to work in and a cell that checks what you did: it says *not attempted*, *not yet* and why, or
# *correct*. Below them wait a hint and a solution, folded; other solutions are right too. `ch01.split_of.hint()` and
# `ch01.split_of.solution()` print them.
#
# ### Exercise 1. Put the folders right
#
# *Easy, 5 minutes.*
#
# The copy on your disk has names such as these. Only the beginning of the file's own name counts, not the folders before it.
# Write a function that gives each name its split, `"train"`, `"val"` or `"test"`; if the file's name does not tell, it raises
# a `ValueError` with a sentence that names the file.

# %%
names = [
    "train/angry/Training_3908.jpg",
    "test/angry/PublicTest_88305097.jpg",
    "test/happy/PrivateTest_10131363.jpg",
    "test/sad/im12.png",
]


# %% exercise="split_of"
def split_of(name: str) -> str:
    """Return 'train', 'val' or 'test' for the name of an image file."""
    # solution
    prefix = Path(name).name.split("_")[0]
    splits = {
        "Training": "train",
        "PublicTest": "val",
        "PrivateTest": "test",
    }
    if prefix not in splits:
        known = ", ".join(splits)
        raise ValueError(f"{name} begins with none of {known}")
    return splits[prefix]
    # end


# %% [markdown] hint="split_of"
# Only the file's own name tells: `Path(name).name` is what follows the last slash, and `.split("_")[0]` what stands before
# the first underscore. A dictionary does the rest.

# %% [markdown]
# ### Exercise 2. The laziest classifier
#
# *Easy, 10 minutes.*
#
# Before you are impressed by an accuracy, know what no effort gives. From the images a class in train and in test,
# compute three shares: (a) the test accuracy of always answering the class that is most frequent in train, (b) that of
# drawing answers at random with the frequencies of train, and (c) the *balanced* accuracy of (a), that is the mean of
# the recalls of all classes.


# %% exercise="lazy_accuracies"
def lazy_accuracies(train_counts, test_counts):
    """Return (a) always, (b) at random, (c) balanced, as shares.

    Both arguments are arrays with the images of each class.
    """
    # solution
    p = train_counts / train_counts.sum()
    q = test_counts / test_counts.sum()
    always = q[p.argmax()]
    at_random = (p * q).sum()
    balanced = 1 / len(p)
    return always, at_random, balanced
    # end


# %% [markdown] hint="lazy_accuracies"
# For (b): the answer is class *k* with probability *p*, and the label is class *k* with probability *q*. How often do
# they agree? For (c): the recall of a class is the share of *its* images that are answered rightly.

# %% [markdown]
# ### Exercise 3. How many images would it take?
#
# *Medium, 10 minutes.*
#
# Two networks, tested on two *different* sets of *n* images, have true accuracies `a` and `b`. How large must *n* be for
# the difference to be `errors` times its own standard error? Compare the answer for 69% and 70%, at two standard errors,
# with the size of the test split.


# %% exercise="images_needed"
def images_needed(a: float, b: float, errors: float = 2.0) -> int:
    """Return the least number of images in each of the two sets."""
    # solution
    variance = a * (1 - a) + b * (1 - b)  # times 1 / n
    standard_error = abs(b - a) / errors
    return math.ceil(variance / standard_error**2)
    # end


# %% [markdown] hint="images_needed"
# The variance of a share *p* of *n* images is *p* (1 - *p*) / *n*. The variances of two independent shares add up, and
# the standard error is the square root of the sum. Solve for *n*, and round up.

# %% [markdown]
# ### Exercise 4. Find the twins
#
# *Medium, 15 minutes.*
#
# Write a function that returns how many images of `b` are also in `a`, pixel for pixel. An image that stands in `b` twice
# is two images. Comparing each with each works for a few hundred images, but not for 28,709 times 3,589; find a way
# that looks at each image once.


# %% exercise="count_twins"
def count_twins(a: np.ndarray, b: np.ndarray) -> int:
    """Return how many images of ``b`` are also in ``a``.

    Both are uint8 arrays, (images, 48, 48).
    """
    # solution
    seen = {image.tobytes() for image in a}
    found = [image.tobytes() in seen for image in b]
    return sum(found)
    # end


# %% [markdown] hint="count_twins"
# Python's sets find things at once, but NumPy arrays cannot be put into a set. What can, and stands for all the pixels?
# `image.tobytes()`.

# %% [markdown]
# ### Exercise 5. Pixels for a network
#
# *Medium, 10 minutes. Changes a module.*
#
# Photographs come as `uint8` of shape (B, 48, 48). A network wants `float32` of shape (B, 1, 48, 48), near zero: each
# pixel divided by 255, minus the mean, over the standard deviation of train. Make it a layer, so that whoever has the
# network has the right scaling with it: both numbers must be in its `state_dict` and move with it to a GPU, and the
# optimiser must leave them alone.


# %% exercise="ScalePixels"
class ScalePixels(nn.Module):
    """uint8 (B, 48, 48) -> float32 (B, 1, 48, 48), scaled."""

    def __init__(self, mean: float, std: float) -> None:
        super().__init__()
        # solution
        self.register_buffer("mean", torch.tensor(mean))
        self.register_buffer("std", torch.tensor(std))
        # end

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # solution
        x = x.unsqueeze(1).float() / 255
        return (x - self.mean) / self.std
        # end


# %% [markdown] hint="ScalePixels"
# `self.register_buffer("mean", torch.tensor(mean))` keeps a tensor that belongs to the module but is not trained.
# `x.unsqueeze(1)` adds the channel. Convert to float before you divide.

# %% [markdown]
# ### Exercise 6. The network that does not look
#
# *Hard, 15 minutes. Changes a module.*
#
# The least that a network can know is how frequent the classes are. Write one that ignores the pixels: for B images it
# returns B times the same seven logits, which are its only parameter, and which start so that their softmax is the
# frequencies of train. A real network whose loss is not below this one's has learned nothing from the pixels.


# %% exercise="PriorOnly"
class PriorOnly(nn.Module):
    """(B, 1, 48, 48) -> logits (B, 7), the same for every image."""

    def __init__(self, counts: torch.Tensor) -> None:
        super().__init__()
        # solution
        prior = counts / counts.sum()
        self.logits = nn.Parameter(prior.log())
        # end

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # solution
        return self.logits.expand(len(x), -1)
        # end


# %% [markdown] hint="PriorOnly"
# Softmax undoes the logarithm: softmax(log p) is p when the p add up to one. `nn.Parameter` makes a tensor one that is
# trained, and `expand(len(x), -1)` repeats a row without copying it.

# %% [markdown]
# ## What to take along
#
# - FER-2013 has seven classes of very different size. Look at recall by class, not at accuracy alone.
# - train is for fitting, val (PublicTest) for choosing, test (PrivateTest) for reporting, once. The folder `test/` of
#   most copies mixes the last two.
# - Some test images stand in train. Report the accuracy without them too.
# - The labels are one opinion. A second, more careful one disagrees about a third of the images.
# - An accuracy on the test split is known to about a point and a half either way, and the difference of two on separate sets to about two; on the
#   same images a paired test decides.
# - Know your copy before you trust a number from it: `fercourse data`.
#
# ## Further reading
#
# - Goodfellow et al., [Challenges in Representation Learning](https://arxiv.org/abs/1307.0414) (2013): the contest's
#   report, with the 65% of people.
# - Barsoum et al., [Training deep networks for facial expression recognition with crowd-sourced label
#   distribution](https://arxiv.org/abs/1608.01041) (2016): ten votes for every image.
# - Barz and Denzler, [Do we train on test data?](https://arxiv.org/abs/1902.00423) (2020): the search for twins in CIFAR,
#   near-copies included.
# - Gebru et al., [Datasheets for datasets](https://arxiv.org/abs/1803.09010) (2021): the questions this chapter asked,
#   as a form to fill in.
