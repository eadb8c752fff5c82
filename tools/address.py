"""Copy the repository's address from _config.yml to every place that cannot read it there.

    python tools/address.py            write it (what `make address` does)

`repository.url` in _config.yml is the one setting; the book's address follows from it. Everything here works
on text, so notebooks keep their outputs and need not be run again.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
SLUG = r"[\w-]+/[\w.-]*[\w-]"

#: Files that hold the address, as patterns below the root.
HOLDERS = (
    "_config.yml",
    "README.md",
    "CITATION.cff",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "pyproject.toml",
    "book/*.md",
    "chapters/*.py",
    "notebooks/*.ipynb",
    "notebooks/solutions/*.ipynb",
)


@dataclass(frozen=True)
class Address:
    """Where the course lives: ``owner`` and ``name`` of a repository on GitHub."""

    owner: str
    name: str

    @classmethod
    def of(cls, config: Path) -> Address:
        """Read ``repository.url`` of a book's configuration; ValueError when it is no GitHub address."""
        url = yaml.safe_load(config.read_text(encoding="utf-8"))["repository"]["url"]
        found = re.fullmatch(rf"https://github\.com/({SLUG})", url)
        if not found:
            raise ValueError(f"{config}: repository.url is {url!r}, expected https://github.com/OWNER/NAME")
        return cls(*found[1].split("/"))

    @property
    def slug(self) -> str:
        return f"{self.owner}/{self.name}"

    @property
    def book(self) -> str:
        """The book's address on GitHub Pages; a repository named OWNER.github.io is served at the root."""
        site = f"{self.owner.lower()}.github.io"
        return f"https://{site}" if self.name.lower() == site else f"https://{site}/{self.name}"


# What stands before an address of ours, never before a link to another project.
_REPOSITORY = re.compile(
    rf"""(?P<before>
        git\+https://github\.com/
      | git\ clone\ (?:-\S+\ (?:\d+\ )?)*https://github\.com/
      | colab\.research\.google\.com/github/
      | ^\s*(?:url|repository-code|Repository)\s*[:=]\s*"?https://github\.com/
      | \[(?:repository|issues?)\]\(https://github\.com/
    )(?P<slug>{SLUG}?)(?=$|[\s"')\]@\\]|\.git\b|/(?:blob|tree|issues|actions)\b)""",
    re.VERBOSE | re.MULTILINE,
)
_BOOK = re.compile(r"""https://[\w-]+\.github\.io(?:/[\w.-]*[\w-])?""")


def rewrite(text: str, address: Address, *, book: bool = True) -> tuple[str, int]:
    """Return ``text`` with every address in it replaced by ``address``, and how many there were.

    Args:
        book: whether pages on github.io are this book's; in the chapters they are other people's.
    """
    text, repositories = _REPOSITORY.subn(lambda found: found["before"] + address.slug, text)
    text, books = _BOOK.subn(address.book, text) if book else (text, 0)
    return text, repositories + books


def names_the_book(path: Path) -> bool:
    """Whether a holder may give the book's own address, which chapters do not."""
    return path.suffix != ".ipynb" and path.parent.name != "chapters"


def holders(root: Path) -> list[Path]:
    """The files below ``root`` that may hold the address."""
    return [path for pattern in HOLDERS for path in sorted(root.glob(pattern))]


def main(root: Path = ROOT) -> int:
    """Write the address of ``root``'s _config.yml into every holder; print what changed."""
    try:
        address = Address.of(root / "_config.yml")
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    for path in holders(root):
        old = path.read_text(encoding="utf-8")
        new, count = rewrite(old, address, book=names_the_book(path))
        if new != old:
            path.write_text(new, encoding="utf-8")
            print(f"{path.relative_to(root)}: {count} address{'es' * (count > 1)}")
    print(f"The course is at https://github.com/{address.slug}, the book at {address.book}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
