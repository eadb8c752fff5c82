"""What teachers need and nobody types: minutes, lesson, weeks, mistakes, the book's numbers, slides.

A page asks for a part with a line such as ``<!-- computed: minutes -->``; before the page is read, the line
is replaced by Markdown that is made of the files as they are (tools/facts.py, book/teaching.yml). Nothing
of it is committed, so nothing can be out of date. The slides are written beside the pages, as
_static/slides.html.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.errors import ExtensionError

MARK = re.compile(r"^<!-- computed: ([\w-]+) -->$", re.MULTILINE)
#: Signs that mean something in Markdown, where a sentence of a checker means none of it.
_SIGNS = re.compile(r"([\\*_$<>\[\]{}#|~^])")
#: Code in a sentence: in backticks, or a name with dots, which would be taken for an address.
_CODE = re.compile(r"(`[^`]*`|\b[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+\b)")


def _tools(root: Path) -> None:
    if str(root / "tools") not in sys.path:
        sys.path.insert(0, str(root / "tools"))


def hours(minutes: int) -> str:
    """Return minutes as people say them: '1 h 50 min'."""
    whole, rest = divmod(minutes, 60)
    return " ".join(
        part for part in (f"{whole} h" if whole else "", f"{rest} min" if rest or not whole else "") if part
    )


def plain(text: str) -> str:
    """Return a sentence as Markdown that shows it as it is; names with dots become code, and not links."""
    if text.count("`") % 2:
        return _SIGNS.sub(r"\\\1", text).replace("`", r"\`")
    parts = _CODE.split(text)
    return "".join(
        _SIGNS.sub(r"\\\1", part) if number % 2 == 0 else part if part.startswith("`") else f"`{part}`"
        for number, part in enumerate(parts)
    )


def table(caption: str, head: list[str], align: str, rows: list[list[Any]]) -> str:
    """Return a table with a caption; ``align`` has l or r for each column."""
    rule = ["---:" if way == "r" else "---" for way in align]
    lines = [" | ".join(map(str, row)) for row in (head, rule, *rows)]
    return "\n".join([f"```{{table}} {caption}", *(f"| {line} |" for line in lines), "```"])


# The parts -------------------------------------------------------------------------------------------------


def minutes(root: Path) -> str:
    """The minutes of every chapter."""
    import facts

    found = facts.chapters(root)
    rows = [
        [
            f"[{one.number}. {one.title}](../notebooks/{one.stem})",
            one.reading,
            one.practice,
            hours(one.reading + one.practice),
        ]
        for one in found
    ]
    reading, practice = (sum(getattr(one, what) for one in found) for what in ("reading", "practice"))
    rows.append(["all", reading, practice, hours(reading + practice)])
    return table(
        "Minutes of every chapter", ["chapter", "read and run", "exercises", "together"], "lrrr", rows
    )


def lesson(root: Path) -> str:
    """The lesson, minute by minute."""
    import facts
    import slides

    titles = {one.number: one for one in facts.chapters(root)}
    rows, start = [], 0
    for step in slides.plan(root)["lesson"]:
        end = start + step["minutes"]
        places = dict.fromkeys(
            (entry["chapter"], entry["section"]) for entry in step["slides"] if "chapter" in entry
        )
        where = "; ".join(
            f"[chapter {number}](../notebooks/{titles[number].stem}), {section}" for number, section in places
        )
        rows.append(
            [f"{start} to {end}", f"**{step['title']}**. {step['teacher'].strip()}", where or "slides only"]
        )
        start = end
    return table("The lesson, minute by minute", ["minute", "what happens", "where it is from"], "lll", rows)


def weeks(root: Path) -> str:
    """The six weeks."""
    import facts
    import slides

    plan = slides.plan(root)
    there = {one.number: one for one in facts.chapters(root)}
    parts = []
    for number, week in enumerate(plan["weeks"], start=1):
        lines, total, complete = [], 0, True
        for chapter, wanted in week["chapters"].items():
            if chapter not in there:
                complete = False
                lines.append(f"chapter {chapter}, {plan['coming'][chapter]} (to come)")
                continue
            found = there[chapter]
            chosen = [one for one in found.exercises if one.number in wanted]
            total += found.reading + sum(one.minutes for one in chosen)
            names = ", ".join(f"{one.number} ({plain(one.title)}, {one.minutes} min)" for one in chosen)
            kind = "exercise" if len(chosen) == 1 else "exercises"
            lines.append(f"[{chapter}. {found.title}](../notebooks/{found.stem}), {kind} {names}")
        pages = [f"[](../book/{name}.md)" for name in week["pages"]]
        time = hours(total) + ("" if complete else " and the chapters to come")
        parts.append(
            f"### Week {number}. {week['title']}\n\n"
            + "".join(f"- **Read and do:** {line}\n" for line in lines)
            + (f"- **Read:** {', '.join(pages)}\n" if pages else "")
            + f"- **Time alone:** {time}\n"
            + f"- **In class:** {week['class']}.\n"
            + f"- **Hand in:** {week['hand_in']}."
        )
    return "\n\n".join(parts)


def mistakes(root: Path) -> str:
    """What checkers say to the labelled wrong answers, exercise by exercise."""
    import facts

    parts = []
    for chapter in facts.chapters(root):
        parts.append(f"## {chapter.number}. {chapter.title}")
        for one in chapter.exercises:
            level = f"<small>({one.level.lower()}, {one.minutes} minutes)</small>"
            said = "\n".join(f"- {plain(text)}" for text, _ in one.mistakes)
            parts.append(
                f"<details><summary>Exercise {one.number}. {plain(one.title)} {level}</summary>\n\n"
                f"{len(one.mistakes)} mistakes are told apart in {one.wrong} wrong answers to "
                f"`{one.name}`.\n\n"
                f"{said or 'They have not been collected yet: `make mistakes`.'}\n\n</details>"
            )
    return "\n\n".join(parts)


def numbers(root: Path) -> str:
    """The book's numbers."""
    import facts

    rows = [[one.name, f"{one.value:,}", one.tells, one.but] for one in facts.numbers(root)]
    return table(
        "The book in numbers", ["what", "how many", "what is counted", "what it does not say"], "lrll", rows
    )


def by_chapter(root: Path) -> str:
    """The same by chapter."""
    import facts

    rows = [
        [f"[{one.number}. {one.title}](../notebooks/{one.stem})", len(one.exercises),
         sum(each.right for each in one.exercises), sum(each.wrong for each in one.exercises),
         one.cells, one.figures, f"{one.words:,}"]
        for one in facts.chapters(root)
    ]  # fmt: skip
    head = ["chapter", "exercises", "right answers", "wrong answers", "code cells", "figures", "words"]
    return table("The same, chapter by chapter", head, "lrrrrrr", rows)


PARTS: dict[str, Callable[[Path], str]] = {
    "minutes": minutes, "lesson": lesson, "weeks": weeks, "mistakes": mistakes, "numbers": numbers,
    "numbers-by-chapter": by_chapter,
}  # fmt: skip


# Into the book ---------------------------------------------------------------------------------------------


def fill(app: Sphinx, name: str, source: list[str]) -> None:
    """Replace the marks of a page; raise ExtensionError for one that is not known."""
    wanted = MARK.findall(source[0])
    if not wanted:
        return
    root = Path(app.srcdir)
    _tools(root)
    if unknown := [one for one in wanted if one not in PARTS]:
        raise ExtensionError(f"{name} asks for {unknown[0]!r}; expected one of {', '.join(PARTS)}")
    source[0] = MARK.sub(lambda found: PARTS[found[1]](root), source[0])


def read_again(
    app: Sphinx, env: BuildEnvironment, added: set[str], changed: set[str], removed: set[str]
) -> list[str]:
    """Return the pages that count something, which may have changed although they have not."""
    paths = {name: Path(env.doc2path(name)) for name in env.found_docs - added - changed}
    return [
        name
        for name, path in paths.items()
        if path.suffix == ".md" and MARK.search(path.read_text(encoding="utf-8"))
    ]


def write_slides(app: Sphinx, error: Exception | None) -> None:
    """Write the slides beside the pages."""
    root = Path(app.srcdir)
    if error is not None or app.builder.name != "html" or not (root / "book" / "teaching.yml").exists():
        return
    _tools(root)
    import slides

    (Path(app.outdir) / "_static" / "slides.html").write_text(slides.page(root), encoding="utf-8")


def setup(app: Sphinx) -> None:
    app.connect("source-read", fill)
    app.connect("env-get-outdated", read_again)
    app.connect("build-finished", write_slides)
