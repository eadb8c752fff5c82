"""``python -m fercourse.cli``: the command line where its script is not installed."""

from fercourse.cli import main

main()
