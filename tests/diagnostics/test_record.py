import json
import math

import pytest

from rankup_keras.diagnostics.record import (
    RankProfile,
    TableRanks,
    control_of,
    evenly,
    history_table,
    read_profiles,
    trained,
)
from tests.diagnostics.profiles import profile_of

RUN = [profile_of(), *(profile_of(f"epoch {e}", e) for e in range(1, 13))]


def test_a_broken_file_is_named_with_its_line(tmp_path):
    path = tmp_path / "ranks.jsonl"
    path.write_text('{"label": "untrained"}\n')
    with pytest.raises(ValueError, match=r"Line 1 of .*ranks\.jsonl"):
        read_profiles(path)
    path.write_text("\n")
    with pytest.raises(ValueError, match="no measurement"):
        read_profiles(path)


def test_json_keeps_everything_and_nan_as_null():
    profile = profile_of("epoch 1", 1, loss=math.nan)
    profile.tables["item"] = TableRanks(50, 8, 50, 6.0, 8)
    line = profile.to_json()
    assert json.loads(line)["logs"]["loss"] is None
    back = RankProfile.from_dict(json.loads(line))
    assert math.isnan(back.logs.pop("loss"))
    del profile.logs["loss"]
    assert back == profile


def test_the_table_has_a_line_per_layer_and_embedding_table():
    profile = profile_of("epoch 1", 1)
    profile.tables["item"] = TableRanks(500, 8, 50, 6.0, 8)
    head, columns, *layers, table_columns, table = str(profile).splitlines()
    assert head == "effective rank, epoch 1, 32 samples"
    assert columns.split()[0] == "layer"
    assert [line.split()[0] for line in layers] == list(profile.layers)
    assert f"{profile.layers['layer_0'].mean:.2f} of 4" in layers[0]
    assert table_columns.split()[:2] == ["embedding", "table"]
    assert table.split() == ["item", "500", "50", "6.00", "of", "8", "0.750"]


def test_runs_are_taken_apart_and_thinned_out():
    assert control_of(RUN) is RUN[0]
    assert control_of(RUN[1:]) is control_of([]) is None
    assert trained(RUN) == RUN[1:]
    assert [profile.step for profile in evenly(RUN, 4)] == [0, 4, 8, 12]
    assert evenly(RUN, 99) == RUN


def test_long_histories_fit_a_terminal():
    title, head, *lines = history_table(RUN, "token", normalized=True).splitlines()
    assert title == "normalized effective rank, token view"
    assert head.split()[1] == "untrained"
    assert head.endswith("epoch 12")
    assert max(map(len, lines)) <= 100
    assert "ceilings 4" in history_table(RUN, "sample", normalized=False)
