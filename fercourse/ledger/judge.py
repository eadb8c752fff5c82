"""From claims and evidence to verdicts, and `results/ledger.json`, a line a claim."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fercourse.errors import FercourseError, one_line
from fercourse.ledger.claims import Claim, read_claims
from fercourse.ledger.evidence import Evidence, Finding
from fercourse.ledger.measures import KINDS, MEASURES, as_printed
from fercourse.ledger.rules import NOT_DECIDABLE, PENDING

_PARTS = ("chapters_to_make", "records", "claims")


@dataclass(frozen=True)
class Judged:
    """A claim and what was found."""

    claim: Claim
    finding: Finding

    @property
    def verdict(self) -> str:
        return self.finding.verdict

    @property
    def kind(self) -> str:
        return KINDS[self.claim.measure]

    @property
    def claimed(self) -> str:
        """The claimed value as the paper prints it, or nothing."""
        about = "about " if self.claim.arguments.get("about") else ""
        return about + as_printed(self.claim.measure, self.claim.value)

    def to_dict(self) -> dict[str, Any]:
        """Return what `results/ledger.json` keeps, numbers rounded so that machines agree."""
        found = self.finding
        values = {
            "id": self.claim.id,
            "verdict": found.verdict,
            "claimed": self.claimed,
            "ours": found.ours,
            "low": None if found.low is None else round(found.low, 4),
            "high": None if found.high is None else round(found.high, 4),
            "seeds": found.seeds,
            "test": found.test,
            "reason": found.reason,
            "records": list(found.records),
        }
        return {
            key: value
            for key, value in values.items()
            if value not in ("", None, []) and (key != "seeds" or value)
        }


def judge(claim: Claim, evidence: Evidence) -> Judged:
    """Measure one claim.

    A sentence that can be read in several ways is judged in each. A further reading that has no verdict yet
    waits; one that comes to another verdict makes the claim undecidable: it hangs on what the paper leaves
    open.

    Raises:
        FercourseError: what the claim asks for is not there.
    """
    measure = MEASURES[claim.measure]
    try:
        first = measure(evidence, claim.value, **claim.arguments)
        others = [measure(evidence, claim.value, **{**claim.arguments, **given}) for given in claim.readings]
    except FercourseError as error:
        raise FercourseError(f"The claim {claim.id} cannot be judged: {error}") from error
    open_readings = [str(number) for number, other in enumerate(others, start=2) if other.verdict == PENDING]
    if open_readings and first.verdict != PENDING:
        also = f" Reading {' and '.join(open_readings)}: {PENDING}."
        first = replace(first, reason=first.reason + also)
    for number, other in enumerate(others, start=2):
        if other.verdict not in (first.verdict, PENDING) and first.verdict != PENDING:
            told = (
                f"Read as we settled it: {first.verdict}. {first.reason} Reading {number}: {other.verdict}."
            )
            first = replace(first, verdict=NOT_DECIDABLE, reason=f"{told} {other.reason}")
            break
    return Judged(claim, first)


def judge_all(evidence: Evidence | None = None, claims: Iterable[Claim] | None = None) -> list[Judged]:
    """Return every claim of `results/claims.yml` with its verdict, in its order."""
    evidence = evidence or Evidence()
    return [judge(claim, evidence) for claim in (read_claims(evidence.folder) if claims is None else claims)]


def ledger_text(judged: Sequence[Judged], evidence: Evidence, to_make: Sequence[str] = ()) -> str:
    """Return `results/ledger.json`: the records it rests on and the claims, a line each.

    Args:
        to_make: chapters whose notebooks do not show all of these records yet.
    """
    records = ",\n".join(f"  {json.dumps(record.name)}" for record in evidence.records)
    claims = ",\n".join(f"  {json.dumps(one.to_dict(), ensure_ascii=False)}" for one in judged)
    chapters = json.dumps(list(to_make))
    parts = [f'"chapters_to_make": {chapters}', f'"records": [\n{records}\n ]', f'"claims": [\n{claims}\n ]']
    return "{\n " + ",\n ".join(parts) + "\n}\n"


def read_ledger(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return a ledger that was written before; one without any entry where there is none yet.

    Raises:
        FercourseError: it cannot be read.
    """
    path = Path(path)
    if not path.is_file():
        return {key: [] for key in _PARTS}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {key: list(found[key]) for key in _PARTS}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FercourseError(
            f"{path} is no ledger ({one_line(error)}): delete it, `fercourse ledger` makes it anew."
        ) from error


def changes(before: dict[str, Any], judged: Sequence[Judged]) -> list[str]:
    """Return a line for each claim whose verdict is another than before, or that is new or gone."""
    old = {claim["id"]: claim["verdict"] for claim in before["claims"]}
    new = {one.claim.id: one.verdict for one in judged}
    lines = [f"{key}: {old[key]} -> {new[key]}" for key in new if key in old and old[key] != new[key]]
    lines += [f"{key}: new, {new[key]}" for key in new if key not in old]
    return lines + [f"{key}: no longer a claim" for key in old if key not in new]
