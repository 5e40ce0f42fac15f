"""``python -m holdstill``."""

import sys

from holdstill.cli import main

sys.exit(main())
