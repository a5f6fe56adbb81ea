"""The short form of `make chaos`: what a process of its own is not needed for."""

import random

import pytest

import rankup_keras as rk
from tests.chaos import fuzz


@pytest.mark.parametrize("seed", [0, 1])
def test_mutated_files(tmp_path, seed):
    # Time is that of a machine that does nothing else, and is measured by `make chaos`.
    fuzz.files(tmp_path, random.Random(seed), 20, seconds=60)


def test_mutated_requests(tmp_path):
    columns = [rk.Categorical(name, hash_buckets=9, dtype="string") for name in ("user", "item")]
    features = rk.FeatureSet([*columns, rk.Numeric("price", normalize=None)])
    model = rk.DLRM(features, ["click"], embedding_dim=2, bottom_units=(2,), top_units=(2,))
    rk.export(model, tmp_path / "served")
    fuzz.requests(tmp_path / "served", random.Random(0), 150, seconds=60)
