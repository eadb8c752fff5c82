"""The `fercourse` command; each module here holds commands, and `main` runs them."""

from __future__ import annotations

import os
import sys

import typer

# Imported for their commands; their order is that of the help.
# isort: off
from fercourse.cli import look, train, measure, grid, ledger, predict, export, bench  # noqa: F401

# isort: on
from fercourse.cli.options import app
from fercourse.errors import FercourseError


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; a user's mistake ends in one sentence on stderr and status 1."""
    try:
        app(arguments)
    except FercourseError as error:
        typer.echo(f"fercourse: {error}", err=True)
        sys.exit(1)
    except BrokenPipeError:
        # The reader (head, less) has seen enough; Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
