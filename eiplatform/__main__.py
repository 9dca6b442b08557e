"""``python -m eiplatform``, and what ``torchrun -m`` needs."""

import sys

from eiplatform.cli import main

sys.exit(main())
