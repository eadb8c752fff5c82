"""The patients of chapter 13: what ails each, what its chart shows, and what speaks against the rest."""

# ruff: noqa: E501  (whole sentences, as in the checkers)

from __future__ import annotations

from dataclasses import dataclass

from fercourse.errors import FercourseError, nearest

#: What a reproduction may suffer from, and how each shows. Eight are met in the chapter, four are not.
MISTAKES: dict[str, str] = {
    "model chosen on test": "the epoch that is kept is the best one on test itself, in every training, and the "
    "number reported is a point or two above that on fresh images",
    "random flip at evaluation": "evaluating twice gives two numbers, though only on images that differ from "
    "their mirror image",
    "val and test swapped": "the images called test are those of the official val: their class counts are",
    "pixels scaled twice": "the values that reach the network lie within a few hundredths of one another, and every "
    "face looks the same",
    "alphabetical class order": "some classes are recognised as ever, and the others are taken for one another "
    "in a ring: their strong cells lie off the diagonal",
    "micro-F1": "precision, recall and F1 agree with the accuracy to the last digit",
    "last batch dropped": "the accuracy times the number of images is not a whole number, and the batch size "
    "changes it",
    "leaked duplicates": "test images have near copies in train, and the score falls by many points on faces "
    "from elsewhere",
    "model left in train mode": "batch norm and dropout go on as in training: the answers to *any* image, "
    "symmetrical or not, change from call to call or with the batch, while every image is still counted",
    "labels out of step": "labels belong to other images: the loss stays near where the class shares put it, "
    "or falls by learning by heart only, every row of the confusion matrix is spread alike, and the pixels look "
    "healthy",
    "softmax before the loss": "the loss is given probabilities: it falls, slowly, and never below 1.17, and the "
    "pixels look healthy",
    "learning rate too high": "the loss jumps or becomes NaN, and a smaller learning rate mends it",
}


@dataclass(frozen=True)
class Patient:
    """One broken reproduction.

    Attributes:
        mistake: what it suffers from, a key of `MISTAKES`.
        decisive: the finding, counted from 1, that no other of the twelve would give.
        findings: what its chart shows, in a few words each.
        against: other mistakes, and what in the chart speaks against them.
        common: findings that do not decide, and why.
    """

    mistake: str
    decisive: int
    findings: tuple[str, ...]
    against: dict[str, str]
    common: dict[int, str]


PATIENTS: dict[str, Patient] = {
    "A": Patient(
        "micro-F1",
        2,
        (
            "the accuracy is what others report for such a network",
            "four numbers agree to the last digit",
            "disgust has few test images",
            "a second evaluation gives the same report",
        ),
        {
            "last batch dropped": "then accuracy times 3,589 would not be whole, and it is; and F1 would still "
            "differ from the accuracy",
            "leaked duplicates": "the accuracy is no higher than others report, and a leak would not make four "
            "different scores equal",
            "model chosen on test": "choosing raises a number; it does not make four different scores equal",
            "alphabetical class order": "a wrong order costs most of three classes, and this accuracy is as usual",
        },
        {
            1: "most of the twelve leave the accuracy about as usual, or can",
            3: "that is so for everybody who uses this data set, ill or well",
            4: "that excludes what is random at evaluation, and leaves the rest",
        },
    ),
    "B": Patient(
        "alphabetical class order",
        4,
        (
            "accuracy on train is far above that on test",
            "a second evaluation gives the same matrix",
            "disgust has the fewest images",
            "three rows are strongest on the diagonal, three others beside it, in a ring",
        ),
        {
            "labels out of step": "then all seven rows would be spread alike, like the class shares; here three "
            "rows are strongest on the diagonal and three others beside it, in a ring",
            "pixels scaled twice": "then hardly any class would be recognised; *happy* and *angry* are, as well as ever",
            "val and test swapped": "the two splits are about equally hard: a swap costs a point or two, not half",
            "model left in train mode": "that blurs all rows; it does not send *sad* to one column",
            "micro-F1": "the accuracy itself is low here, not only what is reported beside it",
            "softmax before the loss": "the network has learned: its answers are strong in every large row, in a "
            "wrong column",
        },
        {
            1: "overfitting looks the same, and so does a mild case of several others",
            2: "that excludes what is random at evaluation, and leaves the rest",
            3: "that is so for everybody who uses this data set, ill or well",
        },
    ),
    "C": Patient(
        "val and test swapped",
        1,
        (
            "the class counts of what is called test, beside those of chapter 1",
            "both splits have 3,589 images",
            "test lies a point or two below val",
            "the kept epoch is the best one on what is called val",
        ),
        {
            "model chosen on test": "the log chooses by what it *calls* val, so that the rule is right; look at "
            "which images bear the name",
            "leaked duplicates": "a leak lifts test; here it lies below val",
            "last batch dropped": "all 3,589 images are counted in both splits",
            "alphabetical class order": "the accuracies are as usual; a wrong order costs most of three classes",
        },
        {
            2: "it is true of the right assignment too: the two official splits are of one size",
            3: "a best epoch flatters val, and 3,589 images give or take a point by luck: healthy trainings show it",
            4: "that is how it should be, and how a healthy log looks",
        },
    ),
    "D": Patient(
        "last batch dropped",
        3,
        (
            "another batch size gives another accuracy",
            "the same batch size gives the same accuracy again",
            "accuracy times 3,589 is not a whole number",
            "the images come in the order of their folders",
        ),
        {
            "model left in train mode": "batch norm in train mode does depend on the batch size, but every image "
            "would still be counted once, so that accuracy times 3,589 would be whole; it is not",
            "random flip at evaluation": "a second evaluation with the same batch size gives the same number",
            "micro-F1": "micro-F1 is the accuracy, and the accuracy does not depend on the batch size",
            "alphabetical class order": "a wrong order gives the same wrong number at every batch size",
            "labels out of step": "with any fixed labels, all images counted once give one number, whatever the "
            "batch size",
        },
        {
            1: "a model left in train mode shows it too, by batch norm",
            2: "that excludes what is random at evaluation, and leaves the rest",
            4: "a fixed order of the images is no mistake; an accuracy must not depend on it",
        },
    ),
    "E": Patient(
        "pixels scaled twice",
        4,
        (
            "the loss stays at what the class shares alone give",
            "a learning rate ten times smaller changes nothing",
            "one class is given as the answer to nearly every face",
            "the values of a batch lie within a few hundredths of one another",
        ),
        {
            "labels out of step": "that would begin with about the same loss and answers, but the pixels would look "
            "healthy, from about -2 to 2; here they are all nearly equal",
            "learning rate too high": "a learning rate ten times smaller gives the same, and the loss neither "
            "jumps nor becomes NaN",
            "softmax before the loss": "then the loss would fall, slowly, towards 1.17, and the pixels would "
            "look healthy; here they are all nearly equal",
            "alphabetical class order": "a wrong order does not keep the *training* loss from falling",
            "model left in train mode": "that concerns evaluation; here the training loss itself does not fall",
        },
        {
            1: "labels out of step begin with much the same curve",
            2: "it excludes the learning rate alone",
            3: "a network that has learned nothing answers with the most frequent class, whatever kept it from "
            "learning",
        },
    ),
    "F": Patient(
        "random flip at evaluation",
        3,
        (
            "the accuracy is about what is usual",
            "five evaluations give several numbers",
            "on faces that are their own mirror image, and only there, all five agree",
            "the mean over all runs is close to that without the flip",
        ),
        {
            "model left in train mode": "dropout would change the answers to symmetrical faces too, and on those "
            "all five evaluations agree",
            "last batch dropped": "a dropped batch gives the same number each time, for one batch size",
            "model chosen on test": "choosing gives one number, the same each time it is measured",
            "leaked duplicates": "a leak gives one number, the same each time it is measured",
        },
        {
            1: "that is how most of the twelve can look",
            2: "a model left in train mode, with its dropout on, shows it too",
            4: "it says that the mistake is mild here, not which it is",
        },
    ),
    "G": Patient(
        "model chosen on test",
        1,
        (
            "in all eight trainings the kept epoch is where test is highest",
            "the number reported is above that on fresh faces, by about two points",
            "the test curve of a single run goes up and down from epoch to epoch",
            "a second evaluation gives the same number",
        ),
        {
            "leaked duplicates": "a leak shows in the whole curve and gains much more; here the other epochs of "
            "test agree with fresh faces, and only the kept one is above them",
            "val and test swapped": "a swap would choose by one split and report another; here the chosen epoch is "
            "the best one on the very split that is reported, in all eight trainings",
            "random flip at evaluation": "a second evaluation gives the same number",
            "last batch dropped": "fewer images make the curve rougher; they do not move the kept epoch to its top, "
            "eight times of eight",
            "learning rate too high": "a rough curve is no mistake; taking its top for the result is one",
        },
        {
            2: "leaked duplicates show it too",
            3: "every test curve on a few hundred faces does, ill or well",
            4: "that excludes what is random at evaluation, and leaves the rest",
        },
    ),
    "H": Patient(
        "leaked duplicates",
        2,
        (
            "test lies many points above fresh faces",
            "nearly every test image has a training image that differs from it less than another face would",
            "val and test agree with one another",
            "the training accuracy is near 100%",
        ),
        {
            "model chosen on test": "choosing among a few dozen epochs gains a point or two, not tens; and here "
            "nothing was chosen",
            "val and test swapped": "val and test agree, so that a swap would change next to nothing",
            "micro-F1": "accuracy is compared with accuracy here, on other faces",
            "model left in train mode": "that lowers a score, or blurs it; this one is far too high",
            "last batch dropped": "a batch more or less moves a score by points at most, not by tens",
        },
        {
            1: "that is the harm. Fresh faces that are harder, or of another camera, would show it without any leak",
            3: "they agree in a healthy data set too",
            4: "every network that is large enough gets there, ill or well",
        },
    ),
}


def consult(patient: str, mistake: str) -> str:
    """Return what a patient's chart says against a mistake, or that it says nothing.

    Args:
        patient: a letter, 'A' to 'H'.
        mistake: one of `MISTAKES`.

    Raises:
        FercourseError: there is no such patient, or no such mistake.
    """
    if patient not in PATIENTS:
        raise FercourseError(f"There is no patient {patient!r}; there are {', '.join(PATIENTS)}.")
    if mistake not in MISTAKES:
        raise FercourseError(
            f"There is no mistake {mistake!r}{nearest(str(mistake), MISTAKES)}. "
            f"There are {', '.join(MISTAKES)}."
        )
    one = PATIENTS[patient]
    if mistake == one.mistake:
        return f"Nothing in the chart of {patient} speaks against {mistake!r}. Which finding decides?"
    if mistake in one.against:
        return f"Against {mistake!r}: {one.against[mistake]}."
    return f"Against {mistake!r}: it would show in this, which the chart of {patient} does not: {MISTAKES[mistake]}."
