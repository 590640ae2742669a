"""python -m glocal: the command line, see cli.py."""

import sys

from glocal.cli import main

if __name__ == "__main__":
    sys.exit(main())
