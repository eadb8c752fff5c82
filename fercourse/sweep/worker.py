"""A process of a grid: reads a job from its standard input, tells how it goes on its standard output.

The parent writes one line of JSON, the job. It stops the worker by closing the pipe, which also happens when
the parent dies, however it dies: no training is left behind without somebody who knows of it.
"""

from __future__ import annotations

import _thread
import json
import os
import sys
import threading
from typing import Any, TextIO

from fercourse.errors import FercourseError


def _obey(source: TextIO, go: threading.Event) -> None:
    """Set ``go`` at the parent's next line; interrupt the main thread, as Ctrl-C would, when it is gone."""
    for _ in source:
        go.set()
    _thread.interrupt_main()


def _tell(out: TextIO, **event: Any) -> None:
    out.write(json.dumps(event) + "\n")
    out.flush()


def _measure(job: dict[str, Any], out: TextIO) -> None:
    from fercourse.data import load_faces
    from fercourse.recipes import config_from_dict
    from fercourse.sweep.cell import keep, measure_cell

    measured = measure_cell(
        config_from_dict(job["config"]),
        load_faces(job["data"]),
        job["folder"],
        final=job["final"],
        device=job["device"],
        threads=job["threads"],
        report=lambda event: _tell(out, **event),
    )
    _tell(out, recorded=str(keep(measured, job["results"])))


def _pace(job: dict[str, Any], out: TextIO, go: threading.Event) -> None:
    from fercourse.device import pick_device
    from fercourse.recipes import config_from_dict
    from fercourse.sweep.pace import Stepper

    stepper = Stepper(config_from_dict(job["config"]), pick_device(job["device"]))
    stepper.images_a_second(0.1)
    _tell(out, ready=True)
    while not go.wait(0.2):  # in pieces: an interrupt does not wake a wait without end
        pass
    _tell(out, rate=stepper.images_a_second(job["seconds"]))


def main() -> int:
    """Do the job; return the status to exit with: 0, 1 for a failure that was told, 130 if stopped."""
    # Only events may reach the parent: whatever else prints goes to the log.
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    job = json.loads(sys.stdin.readline())
    go = threading.Event()
    threading.Thread(target=_obey, args=(sys.stdin, go), daemon=True).start()
    try:
        if job["job"] == "pace":
            _pace(job, out, go)
        else:
            _measure(job, out)
    except KeyboardInterrupt:
        return 130
    except FercourseError as error:
        _tell(out, failed=str(error))
        return 1
    except Exception as error:
        _tell(out, failed=f"{type(error).__name__}: {error}")
        raise
    return 0


if __name__ == "__main__":
    status = main()
    sys.stderr.flush()
    # At once: the thread that reads the pipe would be waited for.
    os._exit(status)
