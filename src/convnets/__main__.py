"""``python -m convnets``."""

import sys

from convnets.cli import main

sys.exit(main())
