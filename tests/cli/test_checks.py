"""Broken configurations: each gives a message with line and key, and everything at once."""

import pytest

from rankup_keras.cli import main
from tests.helpers.cli_inputs import CONFIG, check_message, csv, put

# Name → (text to replace, replacement, what the message must hold).
YAML = {
    "key misspelt": ("embedding_dim", "embeding_dim", ["config.yaml:12", "'embedding_dim'"]),
    "section misspelt": ("training:", "trainig:", ["config.yaml:13", "'training'"]),
    "two features of one name": (
        "name: price", "name: user", ["config.yaml:8", "config.yaml:9", "twice"],
    ),
    "no such type": ("numeric", "number", ["config.yaml:9", "'numeric'"]),
    "a history by its old name": (
        "type: numeric, name: price", "type: sequence, name: price",
        ["config.yaml:9", "type: history"],
    ),
    "no such model": ("DLRM", "RankUpp", ["config.yaml:11", "'RankUp'"]),
    "negative length": (
        "dtype: string", "dtype: string, max_length: -1", ["config.yaml:8", "positive", "-1"],
    ),
    "text in place of a number": (
        "batch_size: 16", "batch_size: many", ["config.yaml:14", "'many'"],
    ),
    "column misspelt": ("name: price", "name: prise", ["config.yaml:9", "'price'"]),
    "label is a feature": ("- click", "- price", ["config.yaml:6", "feature as well"]),
    "no closing bracket": ("dtype: string}", "dtype: string", ["config.yaml:9", "not valid YAML"]),
    "a key twice": ("  type: DLRM", "  type: DLRM\n  type: DLRM", ["config.yaml:12", "YAML"]),
    "tabulator": ("  type: DLRM", "\ttype: DLRM", ["config.yaml:11", "YAML"]),
    "worse than what": (
        "batch_size: 16", "fresh_tables: when_worse", ["config.yaml:14", "early_stopping"],
    ),
    "shares above 1": ("train: 0.6", "train: 0.9", ["config.yaml:3", "1.3"]),
    "no tasks": ("tasks:\n  - click\n", "", ["'tasks'", "missing"]),
}  # fmt: skip


@pytest.mark.parametrize("name", YAML)
def test_broken_configuration(tmp_path, capfd, name):
    old, new, words = YAML[name]
    path = put(tmp_path, "a.csv", csv())
    text = CONFIG.format(path=path, folder=tmp_path)
    assert text.count(old) >= 1
    (tmp_path / "config.yaml").write_text(text.replace(old, new, 1))
    assert main(["train", str(tmp_path / "config.yaml"), "--quiet"]) == 2
    check_message(capfd, words)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "config.yaml"]


def test_everything_wrong_is_told_at_once(tmp_path, capfd):
    text = CONFIG.format(path=put(tmp_path, "a.csv", csv()), folder=tmp_path)
    text = text.replace("type: numeric", "type: numerik").replace("DLRM", "DLMR")
    text = text.replace("batch_size: 16", "batch_sise: 16\n  epochs: 0")
    (tmp_path / "config.yaml").write_text(text)
    assert main(["train", str(tmp_path / "config.yaml")]) == 2
    err = capfd.readouterr().err
    lines = [line.split(":")[1] for line in err.splitlines() if "config.yaml" in line]
    assert lines == ["9", "11", "14", "15"]
    assert "4 problems" in err


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ("model.token_dims=3", "--set model.token_dims=3"),
        ("model", "Write it as"),
        ("features.prize.normalize=log", "no item 'prize'"),
        ("features.price.normalize=logg", "'logg'"),
    ],
)
def test_broken_changes(tmp_path, capfd, change, word):
    text = CONFIG.format(path=put(tmp_path, "a.csv", csv()), folder=tmp_path)
    (tmp_path / "config.yaml").write_text(text)
    assert main(["train", str(tmp_path / "config.yaml"), "--set", change]) == 2
    assert word in capfd.readouterr().err
