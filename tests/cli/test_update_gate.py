"""What the gate of an update lets through."""

import pytest

from rankup_keras.cli.settings import Gate
from rankup_keras.cli.update_gate import latency_problems, problems, rank_problems

NAN = float("nan")
SERVED = {"auc": 0.75, "ne": 0.8, "calibration": 1.02}


@pytest.mark.parametrize(
    ("changed", "reasons"),
    [
        ({}, []),
        ({"auc": 0.746, "ne": 0.809, "calibration": 0.94}, []),
        ({"auc": 0.744}, ["AUC of 'buy' is 0.7440, 0.7500 of the one served: below 0.7450"]),
        ({"ne": 0.82}, ["NE of 'buy' is 0.8200, 0.8000 of the one served: above 0.8100"]),
        ({"calibration": 1.08}, ["Distance of calibration from 1 of 'buy' is 0.0800, 0.0200 of"]),
        ({"auc": NAN, "ne": NAN, "calibration": NAN}, ["AUC of", "NE of", "Distance of"]),
    ],
)
def test_metrics(changed, reasons):
    found = list(problems(Gate(), {"buy": SERVED}, {"buy": {**SERVED, **changed}}))
    assert len(found) == len(reasons)
    assert all(text.startswith(start) for text, start in zip(found, reasons, strict=True))


def test_rows_of_one_class_and_settings_of_null_refuse_nothing():
    nothing = dict.fromkeys(SERVED, NAN)
    assert not list(problems(Gate(), {"buy": nothing}, {"buy": nothing}))
    gate = Gate(auc=None, ne=None, calibration=None, effective_rank=None, latency=None)
    assert not list(problems(gate, {"buy": SERVED}, {"buy": dict.fromkeys(SERVED, 0.0)}))
    assert not rank_problems(gate, {"ffn": 5.0}, {"ffn": 1.0})
    assert not latency_problems(gate, 1.0, 99.0)


def test_ranks_and_latency():
    assert not rank_problems(Gate(), {"ffn": 5.0}, {"ffn": 4.1, "other": 1.0})
    (reason,) = rank_problems(Gate(), {"ffn": 5.0}, {"ffn": 3.9})
    assert reason == "Effective rank of 'ffn' is 3.90, 5.00 of the one served: below 4.00"
    assert not latency_problems(Gate(), 2.0, 3.0)
    assert latency_problems(Gate(), 2.0, 3.1) == [
        "Latency is 3.10 ms, 2.00 ms of the one served: above 1.5 times"
    ]
