"""`python -m supercompat` is the same as the command `supercompat`."""

import sys

from supercompat.server.cli import main

if __name__ == "__main__":
    sys.exit(main())
