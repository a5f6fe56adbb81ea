"""Text for people, JSON for programs."""

import json

from rankup_keras.cli.output import Output, json_text

ROWS = [{"part": "embeddings [1]" * 20, "parameters": 12345, "share": 0.25}]


def test_json_has_no_nan():
    content = {"auc": float("nan"), "losses": [1.0, float("inf")], "name": "é"}
    assert json.loads(json_text(content)) == {"auc": None, "losses": [1.0, None], "name": "é"}


def test_tables_are_whole_outside_of_terminals(capsys):
    Output().result({}, "done", ROWS)
    header, row, done = capsys.readouterr().out.splitlines()
    assert header.split() == ["part", "parameters", "share"]
    assert row.split() == [*ROWS[0]["part"].split(), "12,345", "0.25000"]
    assert done == "done"


def test_quiet_and_json(capsys):
    Output(quiet=True).result({"a": 1}, "done", ROWS)
    Output(quiet=True).say("reading")
    out, err = capsys.readouterr()
    assert "12,345" in out  # a result is no progress
    assert out.endswith("done\n")
    assert err == ""
    Output(as_json=True).result({"a": 1}, "done", ROWS)
    Output(as_json=True).say("reading")
    assert capsys.readouterr() == ('{"a":1}\n', "")
