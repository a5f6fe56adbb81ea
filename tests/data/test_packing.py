"""Batches of pyarrow to tensors."""

import pyarrow as pa
import tensorflow as tf

from rankup_keras.data.packing import Packer, key
from rankup_keras.features.target import Target


def test_text_travels_whole_whatever_is_in_it():
    words = ["", "\x1f", "a\x1eb", "\x1d\x1f", "ä", "x" * 100, "\x1f\x1e\x1f", "\x00"]
    targets = [
        Target("a", "a", "string"), Target("b", "b", "string", "list"), Target("c", "c", "int64"),
    ]  # fmt: skip
    lists = [words[:i] for i in range(8)]
    table = pa.table(
        {
            key(targets[0]): pa.array([w.encode() for w in words], pa.binary()),
            key(targets[1]): pa.array(
                [[w.encode() for w in ws] for ws in lists], pa.list_(pa.binary())
            ),
            key(targets[2]): pa.array(range(8), pa.int64()),
        }
    )
    packer = Packer(targets)
    for rows in (8, 1):
        found = packer.unpack(
            {k: tf.constant(v) for k, v in packer.pack(table.slice(0, rows)).items()}
        )
        assert found[targets[0]].numpy().tolist() == [w.encode() for w in words[:rows]]
        assert found[targets[2]].numpy().tolist() == list(range(rows))
        for row in range(rows):
            kept = found[targets[1]].numpy()[row].tolist()[: len(lists[row])]
            assert kept == [w.encode() for w in lists[row]]
