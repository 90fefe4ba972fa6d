"""Run the command line as `python -m carvid`."""

from carvid.cli import main

main()
