"""Files of npm packages: what was pinned or nothing, fetched once, and a build that goes on without them.

npm's part is played by a program that packs what it is told to: the real one would need a network, and the
page's own tests use what it brings.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from fercourse.errors import FercourseError

CONTENT = {"package/dist/a.mjs": b"export default 1;\n", "package/LICENSE": b"MIT\n", "package/b.js": b"2\n"}
MEMBERS = ["dist/a.mjs", "LICENSE"]
#: Writes the archive that FAKE_ARCHIVE names, as `npm pack` does, and notes that it was asked.
PROGRAM = """#!{python}
import os, shutil, sys
with open(os.environ["FAKE_LOG"], "a") as log:
    log.write(" ".join(sys.argv[1:3]) + "\\n")
if not os.environ["FAKE_ARCHIVE"]:
    sys.exit("ENOTFOUND https://somewhere.example")
shutil.copy(os.environ["FAKE_ARCHIVE"], "thing-1.0.0.tgz")
"""


@pytest.fixture
def npm(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "book" / "_ext"))
    import fercourse_npm

    return fercourse_npm


def pack(path: Path, content: dict[str, bytes]) -> str:
    """Write an archive; return its integrity."""
    with tarfile.open(path, "w:gz") as tar:
        for name, data in content.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return "sha512-" + base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """A program npm before all others, an empty cache, and what npm was asked for."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "npm").write_text(PROGRAM.format(python=sys.executable))
    (programs / "npm").chmod(0o755)
    log = tmp_path / "log"
    log.touch()
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setenv("FAKE_LOG", str(log))
    monkeypatch.setenv("FAKE_ARCHIVE", str(tmp_path / "thing.tgz"))
    monkeypatch.setenv("FERCOURSE_CACHE", str(tmp_path / "cache"))
    return lambda: log.read_text().splitlines()


def kept(tmp_path: Path) -> list[str]:
    return [path.name for path in tmp_path.glob("cache/npm/*")]


def test_the_wanted_files_are_kept_and_fetched_once(npm: ModuleType, asked: Callable, tmp_path: Path) -> None:
    integrity = pack(tmp_path / "thing.tgz", CONTENT)
    folder = npm.files_of("@some/thing", "1.0.0", integrity, MEMBERS)
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.*")}
    assert found.pop("files.json")
    assert found == {"dist/a.mjs": CONTENT["package/dist/a.mjs"]}
    assert (folder / "LICENSE").read_bytes() == b"MIT\n"
    assert npm.files_of("@some/thing", "1.0.0", integrity, MEMBERS) == folder
    assert asked() == ["pack @some/thing@1.0.0"]
    # Another choice of files is another folder: the first stays whole.
    assert npm.files_of("@some/thing", "1.0.0", integrity, ["b.js"]) != folder
    assert len(asked()) == 2
    assert len(kept(tmp_path)) == 2, "something was left behind"


def test_a_damaged_copy_is_fetched_again(npm: ModuleType, asked: Callable, tmp_path: Path) -> None:
    integrity = pack(tmp_path / "thing.tgz", CONTENT)
    folder = npm.files_of("thing", "1.0.0", integrity, MEMBERS)
    (folder / "dist" / "a.mjs").write_text("export default 666;\n")
    assert (npm.files_of("thing", "1.0.0", integrity, MEMBERS) / MEMBERS[0]).read_bytes() == CONTENT[
        "package/dist/a.mjs"
    ]
    (folder / "files.json").write_text(json.dumps([]))
    npm.files_of("thing", "1.0.0", integrity, MEMBERS)
    assert len(asked()) == 3
    assert len(kept(tmp_path)) == 1


@pytest.mark.usefixtures("asked")
def test_what_is_not_the_pinned_archive_is_not_used(npm: ModuleType, tmp_path: Path) -> None:
    pack(tmp_path / "thing.tgz", CONTENT)
    other = pack(tmp_path / "other.tgz", {**CONTENT, "package/b.js": b"3\n"})
    with pytest.raises(FercourseError, match="as npm brought it has the SHA-512"):
        npm.files_of("thing", "1.0.0", other, MEMBERS)
    assert not kept(tmp_path)


@pytest.mark.usefixtures("asked")
@pytest.mark.parametrize(
    ("integrity", "members", "words"),
    [
        ("", ["nope.js"], "lacks nope.js"),
        ("", ["../out.js"], "must be paths within the package"),
        ("", ["/out.js"], "must be paths within the package"),
        ("sha1-abcd", MEMBERS, "is no SHA-512"),
        ("sha512-abcd", MEMBERS, "is no SHA-512"),
    ],
)
def test_wrong_questions(
    npm: ModuleType, tmp_path: Path, integrity: str, members: list[str], words: str
) -> None:
    integrity = integrity or pack(tmp_path / "thing.tgz", CONTENT)
    with pytest.raises(FercourseError, match=words):
        npm.files_of("thing", "1.0.0", integrity, members)
    assert not kept(tmp_path)


@pytest.mark.usefixtures("asked")
def test_an_archive_that_breaks_off(npm: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "thing.tgz"
    pack(path, CONTENT)
    path.write_bytes(path.read_bytes()[:150])
    integrity = "sha512-" + base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()
    with pytest.raises(FercourseError, match=r"thing-1\.0\.0\.tgz (is no archive|lacks)"):
        npm.files_of("thing", "1.0.0", integrity, MEMBERS)
    assert not kept(tmp_path)


@pytest.mark.usefixtures("asked")
@pytest.mark.parametrize(
    ("variable", "words"), [("PATH", "npm is not installed"), ("FAKE_ARCHIVE", "is there a network")]
)
def test_without_npm_the_build_goes_on(
    npm: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    variable: str,
    words: str,
) -> None:
    integrity = pack(tmp_path / "thing.tgz", CONTENT)
    app = SimpleNamespace(outdir=str(tmp_path / "pages"))
    monkeypatch.setenv(variable, "")
    reason = npm.bring(app, "thing", "1.0.0", integrity, MEMBERS, "demo/thing")
    assert words in reason
    said = capfd.readouterr().err
    assert said.startswith("note: the book is built without thing 1.0.0: ")
    assert said.count("\n") == 1
    assert "example" not in said, "an address of the machine's own"
    assert not kept(tmp_path)
    monkeypatch.undo()
    assert not list(tmp_path.glob("pages/**/*.mjs"))


@pytest.mark.usefixtures("asked")
def test_files_are_put_where_pages_look(npm: ModuleType, tmp_path: Path) -> None:
    integrity = pack(tmp_path / "thing.tgz", CONTENT)
    app = SimpleNamespace(outdir=str(tmp_path / "pages"))
    assert npm.bring(app, "thing", "1.0.0", integrity, MEMBERS, "demo/thing") == ""
    placed = sorted(path.name for path in (tmp_path / "pages" / "_static" / "demo" / "thing").iterdir())
    assert placed == ["LICENSE", "a.mjs"]
