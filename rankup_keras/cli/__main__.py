"""`python -m rankup_keras.cli`, the same as `rankup-keras`."""

import sys

from rankup_keras.cli import main

if __name__ == "__main__":
    sys.exit(main())
