"""The small network in the book's page "Try it": images a second in Chromium, by the page's own scripts."""

from __future__ import annotations

import http.server
import importlib.util
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from fercourse.bench.jobs import FEWEST, Job
from fercourse.environment import chromium
from fercourse.errors import FercourseError, one_line

#: How it is run -> the file that the page loads, and its number format.
PAGES = {
    "the book's page": ("small.onnx", "fp32"),
    "the book's page, 8 bits": ("small-int8.onnx", "int8"),
}
#: Where the page's scripts lie in a built book.
SCRIPTS = "_static/demo"
#: One face after the other, as the page answers a camera's; three beforehand, to warm up.
RUN = """async ([folder, file, seconds, fewest]) => {
  const { startRuntime, download, openNetwork } = await import(folder + "network.js");
  const { classes } = await (await fetch(folder + "demo.json")).json();
  const network = await openNetwork(await startRuntime(), await download(folder + file), classes);
  const face = new Uint8Array(2304).map((_, k) => (k * 37) % 256);
  for (let k = 0; k < 3; k++) await network.run(face);
  const begun = performance.now();
  const passed = () => (performance.now() - begun) / 1000;
  let steps = 0;
  for (; steps < fewest || passed() < seconds; steps++) await network.run(face);
  return [steps, passed()];
}"""


def check_book(book: str | os.PathLike[str]) -> None:
    """See to it that a built book can be measured here.

    Raises:
        FercourseError: the folder holds no built book, the book has no runtime for its page, or there is
            neither Chromium nor playwright to open it.
    """
    scripts = Path(book) / SCRIPTS
    try:
        data = json.loads((scripts / "demo.json").read_text(encoding="utf-8"))
        missing = data["runtime"]["missing"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FercourseError(
            f"{book} holds no built book ({one_line(error)}): expected the folder that `make book` fills, "
            "_build/html."
        ) from error
    if missing:
        raise FercourseError(
            f"The page in {book} cannot run a network ({missing}): build the book with npm on the machine."
        )
    if importlib.util.find_spec("playwright") is None:
        raise FercourseError("The page is opened with playwright: install fercourse's extra `test`.")
    chromium("The page is opened in")


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        """Say nothing."""


@contextmanager
def _served(folder: Path) -> Iterator[str]:
    handler = partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


def measure(job: Job, book: str | os.PathLike[str], seconds: float) -> dict[str, Any]:
    """Take a measurement in the page of a built book; return what a record keeps of it.

    The page has one thread, whatever the machine has: pages that are served without special headers get no
    more. Chromium's memory is not measured.
    """
    from playwright.sync_api import sync_playwright

    (file, precision), program = PAGES[job.variant], chromium("The page is opened in")
    with _served(Path(book)) as address, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        try:
            tab = browser.new_page()
            tab.goto(f"{address}book/demo.html")
            steps, elapsed = tab.evaluate(RUN, [f"{address}{SCRIPTS}/", file, seconds, FEWEST])
        finally:
            browser.close()
    return {
        "images_per_second": steps / elapsed,
        "steps": steps,
        "seconds": elapsed,
        "threads": 1,
        "precision": precision,
        "host_mib": None,
        "workers_mib": 0.0,
        "device_mib": None,
    }
