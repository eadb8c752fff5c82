"""The page "Add your own chapter" works as written: copied into a checkout, it gives a chapter."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from test_layout import tracked

STEM, CHECKER = "99_brightness", "ch99"


def blocks(root: Path) -> list[tuple[str, str]]:
    """Return the page's blocks of code: where each belongs, and what it holds."""
    text = (root / "book" / "add_a_chapter.md").read_text(encoding="utf-8")
    return re.findall(
        r"^```\{code-block\} \w+\n:caption: ([^\n]+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL
    )


@pytest.fixture(scope="module")
def checkout(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout, with the files of the page, and its notebooks in the contents."""
    copy = tmp_path_factory.mktemp("checkout")
    for path in tracked(root):
        target = copy / path.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    (copy / ".venv" / "bin").mkdir(parents=True)
    (copy / ".venv" / "bin" / "python").symlink_to(sys.executable)
    for place, text in blocks(root):
        if "/" in place:
            assert not (copy / place).exists()
            (copy / place).write_text(text, encoding="utf-8")
    toc = yaml.safe_load((copy / "_toc.yml").read_text(encoding="utf-8"))
    for caption, name in (("The course", f"notebooks/{STEM}"), ("Solutions", f"notebooks/solutions/{STEM}")):
        next(part for part in toc["parts"] if part["caption"] == caption)["chapters"].append({"file": name})
    (copy / "_toc.yml").write_text(yaml.safe_dump(toc, sort_keys=False), encoding="utf-8")
    return copy


def commands(root: Path, place: str) -> list[list[str]]:
    (text,) = [text for where, text in blocks(root) if where == place]
    return [line.split() for line in text.splitlines() if line]


def run(checkout: Path, command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a line of the page; the interpreter of this environment stands for the checkout's."""
    assert command[0] == ".venv/bin/python"
    settings = {"PYTHONPATH": str(checkout), "PYTHONDONTWRITEBYTECODE": "1"}
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    return subprocess.run(
        [sys.executable, *command[1:]],
        cwd=checkout,
        env={**kept, **settings},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_blocks_are_three_files_and_two_lots_of_commands(root: Path) -> None:
    assert [place for place, _ in blocks(root)] == [
        f"chapters/{STEM}.py", f"fercourse/check/{CHECKER}.py", f"tests/answers/{CHECKER}.py",
        "in the checkout", "and then",
    ]  # fmt: skip


def test_a_chapter_comes_of_it(root: Path, checkout: Path) -> None:
    for command in commands(root, "in the checkout"):
        done = run(checkout, command)
        assert done.returncode == 0, done.stdout + done.stderr
    for name in (f"{STEM}.ipynb", f"solutions/{STEM}.ipynb"):
        assert "✔ Correct." in (checkout / "notebooks" / name).read_text(encoding="utf-8") or "/" not in name
    assert STEM in (checkout / "book" / "status.md").read_text(encoding="utf-8")
    assert f'"{CHECKER}"' in (checkout / "book" / "mistakes.json").read_text(encoding="utf-8")

    failed: dict[str, set[str]] = {}
    passed = 0
    for command in commands(root, "and then"):
        done = run(checkout, [*command, "-p", "no:cacheprovider"])
        assert done.returncode == 1, done.stdout + done.stderr
        failed[command[-1]] = set(re.findall(r"^FAILED \S+::(\w+)", done.stdout, re.MULTILINE))
        passed += int(re.search(r"(\d+) passed", done.stdout)[1])
    text = (root / "book" / "add_a_chapter.md").read_text(encoding="utf-8")
    missing = set(re.findall(r"^\| `(test_\w+)` \|", text, re.MULTILINE))
    assert set().union(*failed.values()) == missing
    assert failed[CHECKER] == {"test_every_exercise_has_right_and_wrong_answers"}
    assert passed > 20
