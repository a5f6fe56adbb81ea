import pytest

from rankup_keras.layers.tokens import FactorizationMachine
from tests.helpers.layer_test import run_layer_test
from tests.reference.attention import factorization_machine


def test_equation():
    run_layer_test(
        FactorizationMachine,
        {"field_dims": [3, 3, 3, 3]},
        input_shape=(5, 12),
        expected_output_shape=(5, 6),
        expected_num_parameters=0,
        reference=lambda x, _: factorization_machine(x, [3, 3, 3, 3]),
    )


def test_fields_of_several_widths():
    with pytest.raises(ValueError, match=r"equally wide. Received: field_dims=\[2, 3\]"):
        FactorizationMachine([2, 3])
