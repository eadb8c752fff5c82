"""Collect what the checkers say to the labelled wrong answers, for teachers: `make mistakes`.

    python tools/mistakes.py            the chapters whose checkers or answers have changed
    python tools/mistakes.py ch05       this chapter in any case

tests/answers/ holds wrong answers as students write them. Each is given to its checker, and the sentence
that comes back is kept in book/mistakes.json, with a fingerprint of the two files it came from; the page
"What students get wrong" is made of it, and a test says when it is out of date. What a checker only says
about numbers ("Called with ..., found ...") names no mistake and is left out.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from fercourse.files import write_text

ROOT = Path(__file__).resolve().parents[1]
KEPT = ROOT / "book" / "mistakes.json"
#: How a verdict begins that shows what happened and names no mistake.
UNNAMED = re.compile(r"Called with|With |While |.* raised \w+(Error|Exception|Iteration|Exit)\b")


def checkers(root: Path = ROOT) -> list[str]:
    """Return the chapters that have checkers and answers to try them on, such as 'ch05'."""
    tried = {path.stem for path in (root / "tests" / "answers").glob("ch[0-9][0-9].py")}
    return sorted(tried & {path.stem for path in (root / "fercourse" / "check").glob("ch[0-9][0-9].py")})


def fingerprint(checker: str, root: Path = ROOT) -> str:
    """Return what changes when a chapter's checkers or answers do."""
    files = (root / "fercourse" / "check" / f"{checker}.py", root / "tests" / "answers" / f"{checker}.py")
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16]


def sentence(message: str) -> str | None:
    """Return the part of a verdict that names the mistake, or None where it names none."""
    first = " ".join(message.partition("\n")[0].split())
    first = re.split(r" (?:Called with|With input) ", first)[0]
    return None if UNNAMED.match(first) or len(first) > 400 else first


def collect(checker: str) -> dict[str, list[list[Any]]]:
    """Return, for each exercise of a chapter, the sentences and to how many wrong answers each was said."""
    if str(ROOT / "tests") not in sys.path:
        sys.path.insert(0, str(ROOT / "tests"))
    exercises = importlib.import_module(f"fercourse.check.{checker}")
    found: dict[str, Counter[str]] = {}
    shown: dict[tuple[str, str], str] = {}
    for name, answer, _ in importlib.import_module(f"answers.{checker}").ANSWERS.wrong:
        said = sentence(getattr(exercises, name).check(answer).message)
        counts = found.setdefault(name, Counter())
        if said:
            # The same sentence with other numbers is the same mistake.
            alike = shown.setdefault((name, re.sub(r"\d+(\.\d+)?", "0", said)), said)
            counts[alike] += 1
    return {name: [list(pair) for pair in counts.most_common()] for name, counts in found.items()}


def read() -> dict[str, Any]:
    """Return what book/mistakes.json holds; nothing where it is not there yet."""
    return json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {}


def stale(kept: dict[str, Any], root: Path = ROOT) -> list[str]:
    """Return the chapters whose checkers or answers are not those that were collected."""
    return [name for name in checkers(root) if kept.get(name, {}).get("from") != fingerprint(name, root)]


def main(names: list[str]) -> int:
    """Collect the named chapters anew, or those that have changed."""
    kept = read()
    for name in names or stale(kept):
        print(name, flush=True)
        kept[name] = {"from": fingerprint(name), "said": collect(name)}
    known = checkers()
    new = {name: kept[name] for name in sorted(kept) if name in known}
    write_text(KEPT, json.dumps(new, indent=1, ensure_ascii=False) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
