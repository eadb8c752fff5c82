"""Run every notebook as Colab would: its versions, an empty folder, nothing but the .ipynb.

    python tools/colab.py                        every notebook (what `make test-colab` does)
    python tools/colab.py 03_a_first_cnn         those named

Sets up build/colab/venv with the versions of tests/colab.txt (Python 3.13 where there is one, as in Colab),
without the package. The first cell of each notebook installs it, as in Colab, but from a wheel of this
checkout; then every cell must run. Outputs are not compared: other versions round otherwise.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from fercourse.files import write_text
from notebooks import CELL_TIMEOUT

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / "colab"
VERSIONS = ROOT / "tests" / "colab.txt"
PYTHONS = ("python3.13", "python3.12", "python3.11", sys.executable)


def find_python() -> str:
    """Return the Python nearest to Colab's that runs here; PYTHON in the environment names another."""
    for name in (os.environ.get("PYTHON") or None, *PYTHONS):
        path = name and shutil.which(name)
        if (
            path
            and subprocess.run([path, "-c", "import venv"], capture_output=True, check=False).returncode == 0
        ):
            return path
    return sys.executable


def make_environment() -> Path:
    """Make build/colab/venv hold the versions of tests/colab.txt, and no fercourse; return its Python."""
    venv = BUILD / "venv"
    python = venv / "bin" / "python"
    stamp = venv / "versions.txt"
    wanted = VERSIONS.read_text(encoding="utf-8")
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != wanted:
        print("Setting up Colab's versions: the first time this downloads several GB.", flush=True)
        shutil.rmtree(venv, ignore_errors=True)
        uv = str(Path(sys.executable).with_name("uv"))
        subprocess.run([uv, "venv", "--quiet", "--seed", "--python", find_python(), str(venv)], check=True)
        subprocess.run(
            [uv, "pip", "install", "--quiet", "--python", str(python), "--requirement", str(VERSIONS)],
            check=True,
        )
        write_text(stamp, wanted)
    subprocess.run(
        [str(python), "-m", "pip", "uninstall", "--quiet", "--yes", "fercourse"],
        check=True,
        capture_output=True,
    )
    return python


def make_wheel() -> Path:
    """Build a wheel of this checkout and return its path."""
    folder = BUILD / "wheel"
    shutil.rmtree(folder, ignore_errors=True)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", str(folder), str(ROOT)], check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def point_at(notebook: nbformat.NotebookNode, wheel: Path) -> None:
    """Make the first cell install the wheel instead of the repository.

    Raises:
        ValueError: the first cell does not name the repository as expected.
    """
    first = next(cell for cell in notebook.cells if cell.cell_type == "code")
    first.source, count = re.subn(r'COURSE = "git\+https://[^"]+"', f'COURSE = "{wheel}"', first.source)
    if count != 1:
        raise ValueError('the first cell has no line COURSE = "git+https://..."')


def run(path: Path, python: Path, wheel: Path) -> None:
    """Run one notebook alone in an empty folder with that Python.

    Raises:
        CellExecutionError: a cell failed.
    """
    with tempfile.TemporaryDirectory(prefix="colab-") as folder:
        copy = Path(folder) / path.name
        shutil.copy(path, copy)
        notebook = nbformat.read(copy, as_version=4)
        point_at(notebook, wheel)
        manager = KernelManager(kernel_name="python3")
        manager._kernel_spec = KernelSpec(  # the environment's own kernel, without installing a spec for it
            argv=[str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            display_name="Colab",
            language="python",
        )
        client = NotebookClient(
            notebook, km=manager, timeout=2 * CELL_TIMEOUT, resources={"metadata": {"path": folder}}
        )
        keep = ("PATH", "HOME", "LANG", "TMPDIR", "PIP_CERT", "SSL_CERT_FILE", "PIP_FIND_LINKS")
        env = {name: os.environ[name] for name in keep if name in os.environ}
        env |= {"COLAB_RELEASE_TAG": "release-colab_emulated", "TQDM_DISABLE": "1"}
        try:
            client.execute(env=env)
        finally:
            if manager.has_kernel:  # the client ends only what it has started itself
                manager.shutdown_kernel(now=True)


def main(names: list[str]) -> int:
    """Run the named notebooks, or all of the students'."""
    paths = [ROOT / "notebooks" / f"{name}.ipynb" for name in names]
    paths = paths or sorted((ROOT / "notebooks").glob("*.ipynb"))
    for path in paths:
        if not path.exists():
            print(f"There is no notebook {path}.", file=sys.stderr)
            return 1
    python, wheel = make_environment(), make_wheel()
    failed = []
    for number, path in enumerate(paths):
        if number:  # each begins as in a fresh machine, without the package
            make_environment()
        begun = time.perf_counter()
        try:
            run(path, python, wheel)
        except CellExecutionError as error:
            failed.append(path.stem)
            print(f"{path.stem}: FAILED after {time.perf_counter() - begun:.0f} s\n{error}", flush=True)
        else:
            print(f"{path.stem}: ran in {time.perf_counter() - begun:.0f} s", flush=True)
    if failed:
        print(f"{len(failed)} of {len(paths)} notebooks fail in Colab: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
