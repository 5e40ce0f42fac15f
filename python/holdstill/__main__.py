"""``python -m holdstill``."""

import sys

from holdstill.cli import main

if __name__ == "__main__":  # worker processes import it, too
    sys.exit(main())
