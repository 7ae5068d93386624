"""`python -m localstore.cli`."""

import sys

from . import main

sys.exit(main())
