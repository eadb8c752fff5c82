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
# > **You will** know what is in FER-2013 and what is not, find the mistakes that make results on it
# > incomparable, and be able to say how much of a difference between two networks is luck.
# >
# > **Time** about 45 minutes, with five exercises. **Needs** Python and a little NumPy; no GPU, no download.
#
# Before a network learns anything, someone chose pictures, cut them out, named what they show, and divided them
# into parts. Every number that follows inherits those choices. So we begin with the file.

# %%
# Where the course is not installed yet, in Colab for one, this fetches it; elsewhere it does nothing.
import importlib.util
import sys

if importlib.util.find_spec("fercourse") is None:
    # !git clone --quiet --depth 1 https://github.com/fercourse/fercourse course
    # %pip install --quiet ./course
    sys.path.insert(0, "course")

# %%
import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from fercourse import plots, records
from fercourse.data import EMOTIONS
from fercourse.data.synthetic import (
    draw_faces,
    emotion_units,
    synthetic_faces,
)
from fercourse.evaluate import bootstrap_interval

plots.use_style()
results = records.results_folder()

# %% [markdown]
# ## Where the faces come from
#
# FER-2013 was made for a contest. In 2013 Pierre-Luc Carrier and Aaron Courville asked Google's image search for
# some 600 combinations of emotion words ("blissful", "enraged", ...) with words for gender, age and ethnicity, and
# kept the first thousand hits of each. A face detector cut out the faces, people threw out what was wrong and
# mended the cuts, and each face was scaled to 48 x 48 grey pixels. Mehdi Mirza and Ian Goodfellow then folded the
# search words into seven classes
# ([Goodfellow et al., 2013](https://arxiv.org/abs/1307.0414)).
#
# Keep two things in mind. The label of a picture began as a *search word*, checked by one person. And the people in
# the pictures were never asked: they had their photographs on the web, that is all. This is why the chapter shows
# you no photograph. What it shows of the real data are counts, averages over many images, and the results of an
# **audit** of the official file, which the command `fercourse data` made and the repository keeps. You can run the
# same command on your own copy.

# %%
audit = json.loads((results / "audits" / "fer2013.json").read_text())
aggregates = np.load(results / "audits" / "fer2013-aggregates.npz")

# %% [markdown]
# ## Seven words, unevenly spread
#
# The file has one row a picture: a label from 0 to 6, 2,304 numbers for the pixels, and the word `Training`,
# `PublicTest` or `PrivateTest`. During the contest, the public part served for the leader board and the private part
# decided who won. We use them in the same spirit, and with the names that everyone uses today: **train** to fit,
# **val** (PublicTest) to choose, **test** (PrivateTest) to report, once.

# %%
counts = pd.DataFrame(audit["counts"], index=EMOTIONS)
counts["all"] = counts.sum(axis=1)
counts["share"] = (counts["all"] / counts["all"].sum()).map("{:.1%}".format)
counts

# %%
total = counts["all"].sum()
sizes = {
    split: int(counts[split].sum()) for split in ("train", "val", "test")
}
print(
    f"{total:,} images: "
    + ", ".join(f"{n:,} {split}" for split, n in sizes.items())
)

published = dict(
    zip(EMOTIONS, (4953, 547, 5121, 8989, 6077, 4002, 6198), strict=True)
)
same = published == counts["all"].to_dict()
print("The counts are those of the contest's report:", same)

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
# Pixels run from 0 to 255. Networks like their input near zero with a spread of about one, so we shall need two
# numbers, the mean and the standard deviation. They must come from the training images alone: whatever is computed
# from val or test and fed back into training is a leak, however small.

# %%
pixels = audit["pixels"]["train"]
print("Training pixels, divided by 255:")
print(f"mean {pixels['mean']:.4f}, standard deviation {pixels['std']:.4f}")

# %% mystnb={"image": {"alt": "Histogram of the grey values of all training pixels. It is broad and flat, with a thin spike at black and another at white."}}
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
# They have labels like all others. No network can get them right but by luck.
#
# ## The same picture twice
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

# %%
from sklearn.neighbors import KNeighborsClassifier

share = twins["test_in_train"] / counts["test"].sum()
faces = synthetic_faces(sizes=(2000, 0, 1000), seed=1)
train_x, test_x = (
    split.images.reshape(len(split), -1) / 255
    for split in (faces.train, faces.test)
)
train_y, test_y = faces.train.labels, faces.test.labels
leaked = round(share * len(test_y))


def memoriser(extra: int) -> float:
    """Accuracy with the first ``extra`` test images in train too."""
    nearest = KNeighborsClassifier(n_neighbors=1)
    nearest.fit(
        np.concatenate([train_x, test_x[:extra]]),
        np.concatenate([train_y, test_y[:extra]]),
    )
    return float((nearest.predict(test_x) == test_y).mean())


clean, with_leak = memoriser(0), memoriser(leaked)
print(f"nearest neighbour on drawn faces: {clean:.1%}")
print(
    f"with {leaked} of {len(test_y)} test images in train: {with_leak:.1%}"
)

# %% [markdown]
# All of that gain is memory: the memoriser has learned nothing about faces. A strong network gains less, since it has
# many of the leaked images right anyway, but the leak still helps it, and it helps those most that memorise best. So
# the course shows, next to every accuracy on the test split, the accuracy on the test images **without a twin** in
# train or val.
#
# Why not delete the twins and be done? Because then our numbers could not be compared with anybody's. The official
# split stays as it is, and we say what it does.
#
# ## Two labels for one picture
#
# Copies also show how firm the labels are. Where the same pixels were labelled twice, did both labels agree?

# %%
firm = twins["groups"] - twins["conflicting_labels"]
print(f"{firm:,} of {twins['groups']:,} repeated pictures carry one label,")
print(f"{twins['conflicting_labels']} more than one.")

# %% [markdown]
# The sharper test came three years later. For **FER+** ([Barsoum et al., 2016](https://arxiv.org/abs/1608.01041)), ten
# people judged every image anew. How often is the label of FER-2013 the one that most of the ten chose?

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
# reports that accuracy has chosen on the test set. Only the beginning of the file names tells the two apart. (`load_faces`
# splits them; PyTorch's own `torchvision.datasets.FER2013` merges them.)
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
# To end with something to improve on: two small networks, trained on the real data on an ordinary processor, one seed
# each. Choosing was done on val; the test split was used once. The table comes from the records of those runs; where a
# record is not there, it says *pending*.


# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of this table", "code_prompt_hide": "Hide the code"}
reported = [
    r
    for r in records.load_records()
    if r.recipe == "quick" and r.has("test")
]
columns = {}
for entry in records.final_entries():
    wanted = (entry["model"], entry["recipe"])
    if entry["recipe"] != "quick":
        continue  # the papers' networks: their chapters show them
    matching = [r for r in reported if (r.model, r.recipe) == wanted]
    for record in matching:
        val, test = record.metrics("val"), record.metrics("test")
        interval = bootstrap_interval(
            record.labels("test"), record.preds("test")
        )
        notes = [*wanted, record.qualifiers, f"seed {record.seed}"]
        columns[", ".join(filter(None, notes))] = {
            "test accuracy": f"{test['accuracy']:.1%}",
            "its 95% interval": "{:.1%} to {:.1%}".format(*interval),
            "on images without a twin": f"{test['accuracy_without_twins']:.1%}",
            "balanced accuracy": f"{test['balanced_accuracy']:.1%}",
            "accuracy on val": f"{val['accuracy']:.1%}",
            "parameters": f"{record.data['parameters']:,}",
            "epochs": str(len(record.history["epoch"])),
            "minutes of training": f"{record.history['seconds'].sum() / 60:.0f}",
        }
    if not matching:
        columns[", ".join(wanted)] = {"test accuracy": "pending"}
pd.DataFrame(columns).fillna("")

# %% [markdown]
# Compare each accuracy with what laziness gives (exercise 1), with the 65% of people, and with its interval. Where does
# the better network (better on val, that is; we do not choose on test) go wrong?

# %% mystnb={"image": {"alt": "Confusion matrix of the better small network on the test split, in per cent of each label; the numbers are in the cells, the rows are the labels, the columns the predictions."}}
if reported:
    best = max(
        reported, key=lambda record: record.metrics("val")["accuracy"]
    )
    confusion = np.array(best.metrics("test")["confusion"])
    plots.matrix(confusion)
    plt.show()

# %%
if reported:
    wrong = (
        confusion
        / confusion.sum(axis=1, keepdims=True)
        * (1 - np.eye(len(EMOTIONS)))
    )
    for _ in range(3):
        row, column = np.unravel_index(wrong.argmax(), wrong.shape)
        share = f"{wrong[row, column]:.0%} of the images labelled"
        print(
            f"{share} {EMOTIONS[row]!r} are taken for {EMOTIONS[column]!r}."
        )
        wrong[row, column] = 0
else:
    print("pending: no record yet")

# %% [markdown]
# Hold these against the maps of the average faces, and against the votes of FER+ above: part of what looks like the
# network's confusion is the labels'.

# %% [markdown]
# ## Exercises
#
# Each has a cell to work in and, below it, a folded solution. Try first; most take five lines.
#
# ### 1. The laziest classifier
#
# Before you are impressed by an accuracy, know what no effort gives. Compute the test accuracy of (a) always answering
# the most frequent class of *train*, and (b) drawing answers at random with the frequencies of train. Then compute
# the *balanced* accuracy (the mean of the seven recalls) of (a).
#
# <details><summary>Hint</summary>
#
# For (b): the answer is class *k* with probability *p*, and the label is class *k* with probability *q*. When do they
# agree?
#
# </details>

# %%
# Your code here: `counts` holds the images a class and split.

# %% tags=["hide-cell"] cellView="form" jupyter={"source_hidden": true} mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
# @title Solution
p, q = (counts[split] / counts[split].sum() for split in ("train", "test"))
print(f"(a) always {p.idxmax()!r}: {q[p.idxmax()]:.1%}", end=", ")
print(f"balanced accuracy {1 / len(p):.1%}")
print(f"(b) at random: {(p * q).sum():.1%}")

# %% [markdown]
# ### 2. Weights for rare classes
#
# A common remedy for imbalance weighs the loss of each image by the inverse of its class's frequency in train. Compute
# these weights, scaled so that their average over the *images* of train is 1. How much more does one picture of disgust
# weigh than one of happy?
#
# <details><summary>Hint</summary>
#
# With *c* the number of classes and *n* the number of images in all, the weight of a class with *m* images is
# *n* / (*c m*).
#
# </details>

# %%
# Your code here.

# %% tags=["hide-cell"] cellView="form" jupyter={"source_hidden": true} mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
# @title Solution
train_counts = counts["train"].to_numpy()
weights = train_counts.sum() / (len(train_counts) * train_counts)
assert np.isclose((weights * train_counts).sum() / train_counts.sum(), 1)
for emotion, weight in zip(EMOTIONS, weights, strict=True):
    print(f"{emotion:9}{weight:6.2f}")
print(f"One disgust weighs as much as {weights[1] / weights[3]:.1f} happy.")

# %% [markdown]
# ### 3. Find the twins
#
# Someone has hidden copies in the array below: some images of `part_a` stand in `part_b` too, in another order. Write
# a function that returns how many images of `b` are also in `a`. Comparing each with each works for a few hundred images,
# but not for 28,709 times 3,589; find a way that looks at each image once.
#
# <details><summary>Hint</summary>
#
# Python's sets find things at once, but NumPy arrays cannot be put into a set. What can, and stands for the pixels?
#
# </details>

# %%
rng = np.random.default_rng(7)
part_a = faces.train.images[:600]
part_b = np.concatenate(
    [
        faces.test.images[:150],
        part_a[rng.permutation(600)[: rng.integers(20, 60)]],
    ]
)
part_b = part_b[rng.permutation(len(part_b))]


def count_twins(a: np.ndarray, b: np.ndarray) -> int:
    """Return how many images of ``b`` are also in ``a``."""
    # Your code here.


# %% tags=["hide-cell"] cellView="form" jupyter={"source_hidden": true} mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
# @title Solution
def count_twins(a: np.ndarray, b: np.ndarray) -> int:
    """Return how many images of ``b`` are also in ``a``."""
    seen = {image.tobytes() for image in a}
    return sum(image.tobytes() in seen for image in b)


assert count_twins(part_a, part_b) == len(part_b) - 150
print(
    f"{count_twins(part_a, part_b)} of the {len(part_b)} images are copies."
)

# %% [markdown]
# ### 4. Put the folders right
#
# These are file names from a copy of the folder kind. Write a function that gives each its split: `train`, `val` or
# `test`. It should fail, with a sentence that helps, on a name that does not tell.

# %%
names = [
    "train/angry/Training_3908.jpg",
    "test/angry/PublicTest_88305097.jpg",
    "test/happy/PrivateTest_10131363.jpg",
    "test/sad/im12.png",
]


def split_of(name: str) -> str:
    """Return 'train', 'val' or 'test'."""
    # Your code here.


# %% tags=["hide-cell"] cellView="form" jupyter={"source_hidden": true} mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
# @title Solution
def split_of(name: str) -> str:
    """Return 'train', 'val' or 'test'."""
    prefix = Path(name).name.split("_")[0]
    splits = {
        "Training": "train",
        "PublicTest": "val",
        "PrivateTest": "test",
    }
    if prefix not in splits:
        raise ValueError(
            f"{name}: the name begins with none of {', '.join(splits)}"
        )
    return splits[prefix]


for name in names:
    try:
        print(f"{name}: {split_of(name)}")
    except ValueError as error:
        print(error)

# %% [markdown]
# ### 5. How many images would it take?
#
# Two networks, tested on two *different* sets of images of the same size, have true accuracies of 69% and 70%. How large
# must each set be for the difference to be twice its own standard error? Compare with the size of the test split.
#
# <details><summary>Hint</summary>
#
# The variances of two independent shares add up.
#
# </details>

# %%
# Your code here.

# %% tags=["hide-cell"] cellView="form" jupyter={"source_hidden": true} mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
# @title Solution
a, b = 0.69, 0.70
needed = (a * (1 - a) + b * (1 - b)) * (2 / (b - a)) ** 2
print(f"{needed:,.0f} images each: {needed / n:.1f} times the test split")

# %% [markdown]
# ## What to take along
#
# - FER-2013 has seven classes of very different size. Look at recall by class, not at accuracy alone.
# - train is for fitting, val (PublicTest) for choosing, test (PrivateTest) for reporting, once. The folder `test/` of
#   most copies mixes the last two.
# - Some test images stand in train. Report the accuracy without them too.
# - The labels are one opinion. A second, more careful one disagrees about a third of the images.
# - A difference of less than about a point and a half between two accuracies on the test split can be luck.
# - Know your copy before you trust a number from it: `fercourse data`.
