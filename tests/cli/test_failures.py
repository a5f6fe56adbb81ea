"""Broken data: each gives a message that says where and what would help, and nothing else."""

import gzip
import json
import pathlib

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from rankup_keras.cli import failures, main
from tests.helpers.cli_inputs import CONFIG, HEADER, ROWS, check_message, csv, put


def _table(**columns):
    whole = {
        "user": [f"u{i % 7}" for i in range(40)],
        "price": [float(i) for i in range(40)],
        "click": [i % 2 for i in range(40)],
    }
    return pa.table({**whole, **columns})


def _parquet(folder, name="a.parquet", **columns):
    pq.write_table(_table(**columns), folder / name)
    return folder / name


def _truncated_parquet(folder):
    data = _parquet(folder).read_bytes()
    return put(folder, "a.parquet", data[: len(data) // 2])


def _damaged_pages(folder):
    data = bytearray(_parquet(folder).read_bytes())
    data[8:200] = b"\xff" * 192
    return put(folder, "a.parquet", bytes(data))


def _three_files(folder):
    for number in range(3):
        table = _table() if number < 2 else _table().drop_columns(["price"])
        pq.write_table(table, folder / f"{number}.parquet")
    return f"{folder}/*.parquet"


def _mixed_types(folder):
    _parquet(folder, "a.parquet")
    _parquet(folder, "b.parquet", user=list(range(40)))
    return f"{folder}/*.parquet"


def _mixed_formats(folder):
    _parquet(folder)
    put(folder, "b.csv", csv())
    return f"{folder}/*.*"


def _bad_record(folder):
    path = folder / "a.tfrecord"
    with tf.io.TFRecordWriter(str(path)) as writer:
        for i in range(20):
            example = tf.train.Example()
            example.features.feature["user"].bytes_list.value.append(b"u")
            example.features.feature["price"].float_list.value.append(i)
            example.features.feature["click"].int64_list.value.append(i % 2)
            writer.write(example.SerializeToString())
    return put(folder, "a.tfrecord", path.read_bytes()[:-7])


def _no_examples(folder):
    path = folder / "a.tfrecord"
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(b"\xff\xff no example")
    return path


# Name → (what makes the data, exit code, what the message must hold).
DATA = {
    "truncated Parquet": (_truncated_parquet, 3, ["a.parquet", "cut short", "copy it again"]),
    "damaged Parquet": (_damaged_pages, 3, ["a.parquet", "damaged", "copy it again"]),
    "Parquet that is CSV": (
        lambda f: put(f, "a.parquet", csv()), 3, ["not a Parquet file", "`format`"],
    ),
    "CSV that is Parquet": (
        lambda f: put(f, "a.csv", _parquet(f).read_bytes()), 3, ["Parquet", "format: parquet"],
    ),
    "gzip cut": (
        lambda f: put(f, "a.csv.gz", gzip.compress(csv(ROWS * 3000))[:2000]),
        3, ["a.csv.gz", "cut short", "Copy it again"],
    ),
    "gzip that is none": (
        lambda f: put(f, "a.csv.gz", csv()), 3, ["ends in .gz", "not gzip"],
    ),
    "quote open": (
        lambda f: put(f, "a.csv", csv([*ROWS[:5], '"u1,2,1', *ROWS])),
        3, ["a.csv, line 7", "quote", "multiline"],
    ),
    "column missing in the third file": (
        _three_files, 2, ["2.parquet", "no column 'price'", "config.yaml:9"],
    ),
    "header twice": (
        lambda f: put(f, "a.csv", csv([*ROWS, HEADER, *ROWS])), 3, ["line 42", "header"],
    ),
    "no header": (
        lambda f: put(f, "a.csv", csv(header=None)), 2, ["no column", "config.yaml"],
    ),
    "UTF-16": (
        lambda f: put(f, "a.csv", csv().decode().encode("utf-16")), 3, ["UTF-16", "UTF-8"],
    ),
    "empty file": (lambda f: put(f, "a.csv", b""), 3, ["a.csv", "empty"]),
    "empty Parquet file": (lambda f: put(f, "a.parquet", b""), 3, ["a.parquet", "empty"]),
    "header only": (lambda f: put(f, "a.csv", csv([" "])[:17]), 3, ["no row"]),
    "label 2": (
        lambda f: _parquet(f, click=[i % 3 for i in range(40)]),
        3, ["a.parquet, line ", "'click'", "The value is 2", "0 or 1"],
    ),
    "label missing": (
        lambda f: put(f, "a.csv", csv([*ROWS, "u1,1,"])), 3, ["line 42", "'click'", "missing"],
    ),
    "label that is text": (
        lambda f: put(f, "a.csv", csv([*ROWS, "u1,1,yes"])), 3, ["line 42", "'yes'"],
    ),
    "number that is text": (
        lambda f: put(f, "a.csv", csv([*ROWS, "u1,cheap,1"])),
        3, ["line 42", "'price'", "'cheap'"],
    ),
    "line too long": (
        lambda f: put(f, "a.csv", csv([*ROWS, "u1,1,1,1"])),
        3, ["line 42", "4 values", "3 columns"],
    ),
    "last line cut": (
        lambda f: put(f, "a.csv", csv()[:-5]), 3, ["line 41", "2 values", "3 columns"],
    ),
    "column twice": (
        lambda f: put(f, "a.csv", csv(header="user,user,click")), 3, ["twice", "'user'"],
    ),
    "mixed types between files": (
        _mixed_types, 3, ["b.parquet", "'user'", "int64", "string", "a.parquet"],
    ),
    "mixed formats": (_mixed_formats, 3, ["same format", "csv", "parquet"]),
    "damaged record": (_bad_record, 3, ["a.tfrecord", "damaged or cut short"]),
    "records of something else": (_no_examples, 3, ["a.tfrecord, line 1", "tf.train.Example"]),
    "no such file": (
        lambda f: [put(f, "clicks.csv", csv()), f / "click.csv"][1],
        3, ["no such file", "'clicks.csv'"],
    ),
    "pattern without a match": (lambda f: f"{f}/*.parquet", 3, ["matches no file"]),
    "folder without data": (lambda f: f, 3, ["holds no file"]),
    "lists where one value stands": (
        lambda f: _parquet(f, user=[["a"]] * 40), 3, ["'user'", "lists", "max_length"],
    ),
    "dates as numbers": (
        lambda f: _parquet(f, price=pa.array([0] * 40, pa.timestamp("s"))),
        3, ["'price'", "timestamp", "must hold numbers"],
    ),
    "one user column without a value": (
        lambda f: _parquet(f, user=[None] * 40), 3, ["'user'", "vocabulary would be empty"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DATA)
def test_broken_data(tmp_path, capfd, name):
    make, code, words = DATA[name]
    folder = tmp_path / "data"
    folder.mkdir()
    (tmp_path / "config.yaml").write_text(CONFIG.format(path=make(folder), folder=tmp_path))
    assert main(["train", str(tmp_path / "config.yaml"), "--quiet"]) == code
    check_message(capfd, words)
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "cache") == [
        "config.yaml", "data",
    ]  # fmt: skip
    assert not list(tmp_path.glob("cache/*"))


def test_a_mark_before_utf8_is_no_harm(tmp_path, capfd):
    path = put(tmp_path, "a.csv", b"\xef\xbb\xbf" + csv())
    (tmp_path / "config.yaml").write_text(CONFIG.format(path=path, folder=tmp_path))
    assert main(["plan", str(tmp_path / "config.yaml"), "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["rows"] > 10


def test_wrong_usage(tmp_path, capfd):
    assert main(["trian"]) == 2
    assert main(["train", str(tmp_path / "none.yaml")]) == 2
    assert "no such file" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (KeyboardInterrupt(), 130, "Interrupted."),
        (failures.RunError("There is no model."), 4, "There is no model."),
        (FileExistsError("a.csv exists"), 4, "a.csv exists"),
        (MemoryError(), 4, "training.batch_size"),
        (tf.errors.ResourceExhaustedError(None, None, "OOM"), 4, "training.batch_size"),
        (
            tf.errors.UnknownError(None, None, "E: DataError: a.csv, line 3: no\nmore"),
            3,
            "line 3: no",
        ),
        (KeyError("x"), 1, "bug in rankup-keras"),
    ],
)
def test_errors_give_messages_and_exit_codes(capsys, error, code, message):
    def action():
        raise error

    assert failures.guarded(action) == code
    err = capsys.readouterr().err
    assert message in err
    assert "Traceback" not in err
    if code == 1:
        path = pathlib.Path(err.split("details in ")[1].strip().removesuffix("."))
        assert "raise error" in path.read_text()
        path.unlink()


def test_debug_lets_errors_through():
    def action():
        raise KeyError("x")

    with pytest.raises(KeyError):
        failures.guarded(action, debug=True)
