"""Reading `results/claims.yml`: what the papers claim, where, and how it is measured."""

from __future__ import annotations

import inspect
import itertools
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fercourse import papers
from fercourse.errors import FercourseError, nearest, one_line, shown
from fercourse.records import results_folder

#: What a claim's reference may begin with: ``table2.vgg11.test``.
SOURCES: dict[str, Mapping[str, Any]] = {
    "table1": papers.TABLE1,
    "table2": papers.TABLE2,
    "gains": papers.GAINS,
    "counts1": papers.COUNTS1,
    "counts2": papers.COUNTS,
    "about": papers.ABOUT,
    "early": papers.EARLY,
}
#: How close to the paper's text the words of a claim are.
WORDS = ("table", "quoted", "paraphrased", "implied")
_NEEDED = ("id", "paper", "where", "words", "claim", "measure", "chapter")
_KEYS = (*_NEEDED, "value", "with", "readings", "page", "for")


@dataclass(frozen=True)
class Claim:
    """One claim, as `results/claims.yml` has it.

    Attributes:
        id: unique; the anchor of its row in the book.
        paper: 1 (Li) or 2 (Gao).
        where: in the paper: table, row and column, or what is known of the place in its text.
        words: 'table', 'quoted', 'paraphrased', or 'implied' by a table without a sentence that says so.
        claim: what is claimed, in a sentence.
        value: the claimed number, or None; ``reference`` is where in `fercourse.papers` it stands.
        measure: a name in `fercourse.ledger.measures.MEASURES`, called with ``arguments``.
        readings: further arguments under which the sentence can be read; they must agree.
        chapter: the chapter of the course that is about it.
        page: a page of the book that shows its numbers, such as 'book/results/table2', or None.
    """

    id: str
    paper: int
    where: str
    words: str
    claim: str
    measure: str
    chapter: int
    value: Any = None
    reference: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    readings: tuple[Mapping[str, Any], ...] = ()
    page: str | None = None


def look_up(reference: str) -> Any:
    """Return what the papers print under a reference: 'table2.vgg11.test', or a sum of two, 'a + b'.

    Raises:
        FercourseError: there is no such number.
    """
    if " + " in reference:
        return sum(look_up(part) for part in reference.split(" + "))
    source, _, key = reference.partition(".")
    if source not in SOURCES:
        raise FercourseError(
            f"{shown(reference)} refers to {shown(source)}{nearest(source, SOURCES)}; expected one of "
            f"{', '.join(SOURCES)}."
        )
    key, _, column = key.partition(".") if source == "table2" else (key, "", "")
    table = SOURCES[source]
    if key not in table:
        raise FercourseError(
            f"{shown(reference)} is nothing that fercourse.papers has under {source}{nearest(key, table)}."
        )
    if not column:
        return table[key]
    known = list(vars(table[key]))
    if column not in known:
        raise FercourseError(f"{shown(reference)}: a row of Table 2 has {', '.join(known)}.")
    return getattr(table[key], column)


def read_claims(folder: str | os.PathLike[str] | None = None) -> list[Claim]:
    """Return the claims of ``claims.yml`` in the results folder, in its order, entries with ``for`` expanded.

    Raises:
        FercourseError: the file is missing or cannot be read, or an entry has an unknown or missing key, an
            unknown measure or argument, a chapter that does not exist, or an id twice.
    """
    import yaml

    path = Path(folder or results_folder()) / "claims.yml"
    try:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        entries = yaml.load(path.read_text(encoding="utf-8"), loader)
    except Exception as error:  # no file, or YAML's own errors
        raise FercourseError(f"{path} cannot be read ({one_line(error)}).") from error
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise FercourseError(f"{path} is not a list of claims, each with {', '.join(_NEEDED)}.")
    claims = [_claim(entry, path) for given in entries for entry in _expanded(given)]
    seen: set[str] = set()
    for claim in claims:
        if claim.id in seen:
            raise FercourseError(f"{path}: the id {claim.id} stands there twice; give one of them another.")
        seen.add(claim.id)
    return claims


def _expanded(entry: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return an entry for each combination of what ``for`` lists, {name} and {name:printed} filled in."""
    rest = {key: value for key, value in entry.items() if key != "for"}
    names = entry.get("for") or {}
    made = []
    for values in itertools.product(*names.values()):
        here = dict(zip(names, values, strict=True))
        made.append(_filled(rest, here))
    return made


def _filled(value: Any, here: Mapping[str, str]) -> Any:
    if isinstance(value, Mapping):
        return {key: _filled(item, here) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, here) for item in value]
    if not isinstance(value, str):
        return value
    for name, text in here.items():
        value = value.replace(f"{{{name}}}", text).replace(
            f"{{{name}:printed}}", papers.NAMES.get(text, text)
        )
    return value


def _claim(entry: Mapping[str, Any], path: Path) -> Claim:
    from fercourse.ledger.measures import MEASURES

    name = f"{path}: the claim {shown(entry.get('id', entry))}"
    for key in entry:
        if key not in _KEYS:
            raise FercourseError(
                f"{name} has an unknown key {shown(key)}{nearest(str(key), _KEYS)}; the keys are "
                f"{', '.join(_KEYS)}."
            )
    for key in _NEEDED:
        if key not in entry:
            raise FercourseError(f"{name} has no {key}; every claim needs {', '.join(_NEEDED)}.")
    if not re.fullmatch(r"[a-z0-9_-]+", str(entry["id"])):
        raise FercourseError(f"{name}: an id has small letters, digits, - and _, for an address.")
    if entry["paper"] not in (1, 2):
        raise FercourseError(f"{name} is of paper {shown(entry['paper'])}; expected 1 or 2.")
    if entry["words"] not in WORDS:
        raise FercourseError(f"{name}: words is {shown(entry['words'])}; expected {', '.join(WORDS)}.")
    if entry["measure"] not in MEASURES:
        raise FercourseError(
            f"{name} is measured by {shown(entry['measure'])}{nearest(str(entry['measure']), MEASURES)}; the "
            f"measures are {', '.join(MEASURES)}."
        )
    _check_chapter(name, entry["chapter"], path)
    arguments, readings = entry.get("with") or {}, entry.get("readings") or []
    for given in ({}, *readings):
        _check_arguments(name, MEASURES[entry["measure"]], {**arguments, **given})
    reference = entry.get("value")
    try:
        value = None if reference is None else look_up(str(reference))
    except FercourseError as error:
        raise FercourseError(f"{name}: {error}") from error
    return Claim(
        **{key: entry[key] for key in _NEEDED},
        value=value,
        reference=reference,
        arguments=arguments,
        readings=tuple(readings),
        page=entry.get("page"),
    )


def _check_chapter(name: str, chapter: Any, path: Path) -> None:
    if not isinstance(chapter, int) or isinstance(chapter, bool) or chapter < 1:
        raise FercourseError(f"{name}: chapter is {shown(chapter)}; expected the number of a chapter.")
    chapters = path.parent.parent / "chapters"  # not in an installed copy
    if chapters.is_dir() and not list(chapters.glob(f"{chapter:02d}_*.py")):
        raise FercourseError(f"{name}: there is no chapter {chapter} in {chapters}.")


def _check_arguments(name: str, measure: Callable[..., Any], given: Mapping[str, Any]) -> None:
    """Raise FercourseError unless the measure can be called with these arguments."""
    known = {
        key: parameter
        for key, parameter in inspect.signature(measure).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    for key in given:
        if key not in known:
            raise FercourseError(
                f"{name}: its measure takes no {shown(key)}{nearest(str(key), known)}; it takes "
                f"{', '.join(known)}."
            )
    missing = [
        key
        for key, parameter in known.items()
        if parameter.default is inspect.Parameter.empty and key not in given
    ]
    if missing:
        raise FercourseError(f"{name}: its measure needs {', '.join(missing)}.")
