"""The short form of `make chaos`: mutated files. Kills, locks, damage and requests have tests
where they belong.
"""

import random

import pytest

from tests.chaos import fuzz


@pytest.mark.parametrize("seed", [0, 1])
def test_mutated_files(tmp_path, seed):
    # Time is that of a machine that does nothing else, and is measured by `make chaos`.
    fuzz.files(tmp_path, random.Random(seed), 20, seconds=60)
