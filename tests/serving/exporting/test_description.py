import os

import keras
import pytest

from rankup_keras.serving import export
from rankup_keras.serving.exporting.description import ExportDescription
from tests.serving import stand_in


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"user_columns": ["nobody"]}, ValueError, r"`user_columns` .* Received: \['nobody'\]"),
        ({"signatures": ["rank"]}, ValueError, "`signatures` must have 'serving_default'"),
        ({"signatures": ["serving_default", "x"]}, ValueError, "`signatures` must have"),
        ({"batch_sizes": ()}, ValueError, "`batch_sizes` must be positive"),
        ({"batch_sizes": (0, 3)}, ValueError, "`batch_sizes` must be positive"),
        ({"version": -2}, ValueError, "`version` must be an integer"),
        ({"warmup": {"user_id": ["a"]}}, ValueError, "missing"),
        ({"warmup": stand_in.make_rows(0)}, ValueError, "`warmup` must have at least one row"),
    ],
)
def test_wrong_arguments_write_nothing(model, tmp_path, arguments, error, match):
    with pytest.raises(error, match=match):
        export(model, tmp_path / "m", **arguments)
    assert not (tmp_path / "m").exists() or os.listdir(tmp_path / "m") == []


def test_a_model_without_features(tmp_path):
    with pytest.raises(ValueError, match="attribute `features`"):
        export(keras.Sequential([keras.layers.Dense(1)]), tmp_path / "m")


def test_defaults(model, tmp_path):
    described = ExportDescription(model, tmp_path / "ranker")
    assert described.name == "ranker"
    assert described.tasks == ["click", "buy"]
    assert described.signatures == [
        "serving_default",
        "classify",
        "regress",
        "regress_buy",
        "rank",
        "embed",
    ]
    assert described.tolerance == 1e-6
    # Two rows of missing values, of which no warm-up records are made.
    assert not described.real_rows
    assert {len(column) for column in described.rows.values()} == {2}
    assert described.metrics == described.effective_rank == {}


def test_what_a_model_cannot_have_is_not_available(tmp_path):
    small = stand_in.make_small()
    assert "embed" not in ExportDescription(small, tmp_path / "m").signatures
    assert "rank" not in ExportDescription(small, tmp_path / "m", user_columns=[]).signatures


def test_enough_rows_for_the_largest_batch(model, tmp_path):
    rows = stand_in.make_rows(1500)
    few = ExportDescription(model, tmp_path / "m", warmup=rows, batch_sizes=(7, 1))
    assert few.batch_sizes == [1, 7]
    assert len(few.rows["age"]) == 1000
    many = ExportDescription(model, tmp_path / "m", warmup=rows, batch_sizes=(1200,))
    assert len(many.rows["age"]) == 1200


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_of_a_layer_has_its_own_tolerance(policy, tmp_path):
    """Whatever the policy is when the model is built or loaded, which is all that a model has."""
    model = stand_in.make_small(layer=keras.layers.Dense(4, dtype=policy))
    assert model.dtype_policy.name == "float32"
    assert ExportDescription(model, tmp_path / "m").tolerance == 0.02
