"""``python -m msimaging``: the same as the console script."""

from msimaging.cli import main

main()
