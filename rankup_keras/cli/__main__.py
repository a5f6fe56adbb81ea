"""`python -m rankup_keras.cli`, the same as `rankup-keras`."""

import sys

from rankup_keras.cli import main

sys.exit(main())
