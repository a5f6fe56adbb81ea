"""JSON for every parser."""

import json
import math

import numpy as np

from rankup_keras.strict_json import strict_json


def refuse(name):
    raise ValueError(f"{name} is no JSON")


def test_nan_and_infinity_become_null_wherever_they_stand():
    value = {"a": [math.nan, 1.5, (math.inf, -math.inf)], "b": {"c": np.float64("nan")}, "d": "é"}
    wanted = {"a": [None, 1.5, [None, None]], "b": {"c": None}, "d": "é"}
    assert json.loads(strict_json(value), parse_constant=refuse) == wanted
    text = strict_json({"x": np.float32("nan"), "y": np.arange(2)}, 1, lambda v: v.tolist())
    assert json.loads(text, parse_constant=refuse) == {"x": None, "y": [0, 1]}
