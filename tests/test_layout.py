"""The repository as a whole: import rules, sizes, what must not be in it, and the address in one place."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import address
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

MIB = 2**20


def tracked(root: Path) -> list[Path]:
    """Files that git tracks, or would on `git add`; the whole tree where there is no git."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [root / name for name in listed.stdout.split("\0") if name and (root / name).is_file()]


def texts(root: Path) -> dict[str, str]:
    found = {}
    for path in tracked(root):
        try:
            found[path.relative_to(root).as_posix()] = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
    return found


@pytest.fixture(scope="module")
def project(root: Path) -> dict:
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))


def modules(root: Path) -> set[str]:
    """The top-level modules of the package, as they are imported."""
    package = root / "fercourse"
    files = {f"fercourse.{path.stem}" for path in package.glob("*.py") if path.stem != "__init__"}
    return files | {f"fercourse.{path.parent.name}" for path in package.glob("*/__init__.py")}


def test_every_module_is_under_an_import_rule(root: Path, project: dict) -> None:
    contracts = {contract["name"]: contract for contract in project["tool"]["importlinter"]["contracts"]}
    drawers = set(contracts["only plots draws"]["source_modules"])
    assert drawers == modules(root) - {"fercourse.plots"}


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("module", ["fercourse", "fercourse.data", "fercourse.records", "fercourse.evaluate"])
def test_imports_without_torch(module: str) -> None:
    done = run_python(
        f"""
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "torchvision"):
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Block())
import {module}
assert "matplotlib" not in sys.modules, "matplotlib was imported"
"""
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert done.stderr == ""


def test_import_does_nothing_but_import(tmp_path: Path) -> None:
    """No output, no seed, no file read but Python's own, no drawing library."""
    done = run_python(
        f"""
import os, random, sys
os.chdir({str(tmp_path)!r})
random.seed(3)
state = random.getstate()
opened = []
sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)
import fercourse
data = [name for name in opened if not name.endswith((".py", ".pyc")) and "__pycache__" not in name
        and "fercourse" in os.path.basename(os.path.dirname(name))]
assert not data, data
assert random.getstate() == state
assert not {{"matplotlib", "seaborn"}} & set(sys.modules)
"""
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not list(tmp_path.iterdir())


def test_package_files_stay_readable(root: Path) -> None:
    long = {
        path.relative_to(root).as_posix(): lines
        for path in (root / "fercourse").rglob("*.py")
        if "check" not in path.parts and (lines := len(path.read_text(encoding="utf-8").splitlines())) > 350
    }
    assert not long


def test_an_installation_has_every_record(root: Path, project: dict) -> None:
    """What `results_folder` finds without a checkout is what the checkout has."""
    patterns = [p for listed in project["tool"]["setuptools"]["data-files"].values() for p in listed]
    brought = {path for pattern in patterns for path in root.glob(pattern) if path.is_file()}
    kept = {path for path in tracked(root) if path.is_relative_to(root / "results")}
    assert {path.name for path in kept - brought} == set()
    for target, listed in project["tool"]["setuptools"]["data-files"].items():
        assert {f"share/fercourse/{Path(pattern).parent.as_posix()}" for pattern in listed} == {target}


def test_tracked_tree_stays_small(root: Path) -> None:
    sizes = {path.relative_to(root).as_posix(): path.stat().st_size for path in tracked(root)}
    assert sum(sizes.values()) < 25 * MIB
    assert not {name: size for name, size in sizes.items() if size > 5 * MIB}


def test_nothing_of_a_machine_or_registry(root: Path) -> None:
    # Written in halves so that this file does not find itself.
    parts = ("/wo" "rk/", "/ro" "ot/", "/t" "mp/w/", "pyp" "i.org", "python" "hosted", "registry.np" "mjs",
             "deb.deb" "ian")  # fmt: skip
    forbidden = re.compile("|".join(map(re.escape, parts)))
    found = [
        f"{name}: {match[0]}"
        for name, text in texts(root).items()
        for match in [forbidden.search(text)]
        if match
    ]
    assert not found


def test_no_photograph_is_tracked(root: Path) -> None:
    """Pictures live where the book's drawn ones do; data files nowhere."""
    names = [path.relative_to(root).as_posix() for path in tracked(root)]
    pictures = [name for name in names if re.search(r"\.(png|jpe?g|gif|webp|bmp|svg)$", name, re.I)]
    assert not [name for name in pictures if not name.startswith("book/_static/")]
    assert not [name for name in names if re.search(r"(fer2013|icml_face_data).*\.(csv|npz|zip|h5)$", name)
                and not name.startswith(("results/audits/", "fercourse/data/"))]  # fmt: skip


# The address -----------------------------------------------------------------------------------------------


def test_every_copy_of_the_address_is_the_setting(root: Path) -> None:
    setting = address.Address.of(root / "_config.yml")
    held = {}
    for path in address.holders(root):
        text = path.read_text(encoding="utf-8")
        new, count = address.rewrite(text, setting, book=address.names_the_book(path))
        assert new == text, f"{path.name} holds another address: run `make address`"
        held[path.relative_to(root).as_posix()] = count
    for name in ("README.md", "CITATION.cff", "pyproject.toml", "_config.yml", "book/setup.md"):
        assert held[name], f"{name} holds no address"
    assert all(held[name] for name in held if name.startswith(("chapters/", "notebooks/"))), held


def test_no_address_hides_elsewhere(root: Path) -> None:
    """Whatever names the repository outside the files that `make address` writes would stay behind."""
    setting = address.Address.of(root / "_config.yml")
    written = {path.relative_to(root).as_posix() for path in address.holders(root)}
    places = (f"github.com/{setting.slug}", f"github/{setting.slug}", setting.book.removeprefix("https://"))
    hidden = [
        name
        for name, text in texts(root).items()
        if name not in written and not name.startswith("tests/") and any(place in text for place in places)
    ]
    assert not hidden


def test_a_fork_moves_the_address(root: Path, tmp_path: Path) -> None:
    for path in address.holders(root):
        target = tmp_path / path.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    old = address.Address.of(root / "_config.yml")
    config = tmp_path / "_config.yml"
    config.write_text(
        config.read_text(encoding="utf-8").replace(f"/{old.slug}", "/Some-One/my.fork"), encoding="utf-8"
    )
    assert address.main(tmp_path) == 0
    assert yaml.safe_load(config.read_text())["html"]["baseurl"] == "https://some-one.github.io/my.fork"
    after = {path: path.read_text(encoding="utf-8") for path in address.holders(tmp_path)}
    for path, text in after.items():
        assert f"github.com/{old.slug}" not in text, path
        assert old.book not in text, path
    cff = yaml.safe_load((tmp_path / "CITATION.cff").read_text())
    assert cff["repository-code"] == "https://github.com/Some-One/my.fork"
    assert address.main(tmp_path) == 0
    assert after == {path: path.read_text(encoding="utf-8") for path in address.holders(tmp_path)}


def test_a_wrong_address_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "_config.yml").write_text("repository: {url: https://example.org/x}\n")
    assert address.main(tmp_path) == 1
    assert "expected https://github.com/OWNER/NAME" in capsys.readouterr().err


def test_a_user_page_is_served_at_the_root() -> None:
    assert address.Address("Some", "some.github.io").book == "https://some.github.io"


# Packaging -------------------------------------------------------------------------------------------------


def test_colab_keeps_what_it_ships(root: Path, project: dict) -> None:
    shipped = {}
    for line in (root / "tests" / "colab.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            name, version = line.split("==")
            shipped[name] = Version(version)
    for text in project["project"]["dependencies"]:
        need = Requirement(text)
        assert need.name in shipped, f"{need.name} is not in tests/colab.txt"
        assert shipped[need.name] in need.specifier, f"{text} replaces Colab's {shipped[need.name]}"
        assert all(bound.operator == ">=" for bound in need.specifier), f"{text} is more than a lower bound"


def test_the_lock_fits_the_package(root: Path, project: dict) -> None:
    locked: dict[str, list[tuple[Version, str]]] = {}
    for line in (root / "requirements.txt").read_text(encoding="utf-8").splitlines():
        if match := re.match(r"([a-z0-9.-]+)==([^ ]+)(?: ; ([^\\]+))?", line):
            locked.setdefault(match[1], []).append((Version(match[2]), match[3] or ""))
    extras = project["project"]["optional-dependencies"]
    for text in project["project"]["dependencies"] + extras["book"] + extras["test"] + extras["export"]:
        need = Requirement(text)
        assert need.name in locked, f"{need.name} is not locked: run `make lock`"
        assert all(version in need.specifier for version, _ in locked[need.name]), text
    assert {"uv", "setuptools"} <= locked.keys(), "tools/environment.sh takes both from the lock"


def test_the_version_is_the_same_everywhere(root: Path, project: dict) -> None:
    version = project["project"]["version"]
    assert yaml.safe_load((root / "CITATION.cff").read_text(encoding="utf-8"))["version"] == version
    assert re.search(rf"^## \[{re.escape(version)}\]", (root / "CHANGELOG.md").read_text(), re.MULTILINE)


# Setting up ------------------------------------------------------------------------------------------------


def bare_tree(root: Path, folder: Path) -> Path:
    (folder / "tools").mkdir(parents=True)
    for name in ("Makefile", "tools/environment.sh", "pyproject.toml", "requirements.txt"):
        shutil.copy(root / name, folder / name)
    return folder


def executable(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


@pytest.fixture
def plain_path(tmp_path: Path) -> Path:
    """A folder for PATH with the tools the script needs, and no Python."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in ("sh", "dirname", "cksum", "pwd", "cat", "rm", "mkdir", "sed", "env"):
        if found := shutil.which(tool):
            (folder / tool).symlink_to(found)
    return folder


def set_up(tree: Path, path: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", "tools/environment.sh", "book"], cwd=tree, capture_output=True, text=True, check=False,
        env={"PATH": str(path), **variables},
    )  # fmt: skip


def test_no_suitable_python_is_one_clear_sentence(root: Path, tmp_path: Path, plain_path: Path) -> None:
    tree = bare_tree(root, tmp_path / "tree")
    # What a version manager leaves behind for a version that is not installed, and a Python too old.
    executable(plain_path / "python3.12", "#!/bin/sh\necho 'no such version' >&2\nexit 127\n")
    executable(plain_path / "python3", "#!/bin/sh\nexit 1\n")
    done = set_up(tree, plain_path)
    assert done.returncode == 1
    assert "needs Python 3.11, 3.12 or 3.13" in done.stderr
    assert "PYTHON=" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tree / ".venv").exists()


# A Python that sets up an environment in no time: `-m venv` copies it, and all it installs is itself.
FAKE_PYTHON = """#!/bin/sh
here=$(dirname "$0")
case "$*" in
  *"-m venv"*) mkdir -p .venv/bin; cat "$0" >.venv/bin/python; cat "$0" >.venv/bin/uv
               chmod +x .venv/bin/python .venv/bin/uv; echo venv >>log ;;
  *"-m pip"*) echo pip >>log ;;
  "pip install"*) echo "uv $FAIL" >>log; exit ${FAIL:-0} ;;
  *sys.executable*) echo "$0" ;;
  *"print(sys.version"*) echo "3.12 fake" ;;
esac
"""


def test_set_up_is_done_once_and_mended_when_needed(root: Path, tmp_path: Path, plain_path: Path) -> None:
    tree = bare_tree(root, tmp_path / "tree")
    (plain_path / "chmod").symlink_to(shutil.which("chmod"))
    executable(plain_path / "python3.12", FAKE_PYTHON)
    log = tree / "log"

    def calls() -> list[str]:
        done = log.read_text().split() if log.exists() else []
        log.unlink(missing_ok=True)
        return done

    broken = set_up(tree, plain_path, FAIL="1")
    assert broken.returncode != 0
    assert "downloads several GB" in broken.stdout
    assert not (tree / ".venv" / ".installed").exists()
    calls()

    done = set_up(tree, plain_path)
    assert done.returncode == 0, done.stderr
    assert "unfinished" in done.stdout, "an interrupted set-up was taken for whole"
    assert calls() == ["venv", "pip", "uv", "uv"]

    done = set_up(tree, plain_path)
    assert (done.returncode, done.stdout, calls()) == (0, "", []), "a second run did something"

    with (tree / "requirements.txt").open("a") as file:
        file.write("# changed\n")
    done = set_up(tree, plain_path)
    assert done.returncode == 0
    assert "up to date" in done.stdout
    assert calls() == ["pip", "uv", "uv"], "a changed lock was not noticed, or the environment made anew"

    moved = tree.rename(tmp_path / "elsewhere")
    log = moved / "log"
    assert set_up(moved, plain_path).returncode == 0
    assert calls(), "an environment that was moved has wrong paths in its commands"


def test_make_knows_its_targets(root: Path) -> None:
    for target in ("book", "test", "lab", "notebooks", "results", "address", "lock", "pictures", "clean"):
        done = subprocess.run(["make", "-n", target], cwd=root, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert "make test" in (root / ".ci" / "run").read_text()
