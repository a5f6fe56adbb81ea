"""Columns made of others, and columns joined from a table."""

import pyarrow as pa
import pyarrow.compute as pc

from rankup_keras.data.transforms import Chain, Derive, join, text


def test_columns_are_derived_joined_and_chained():
    double = Derive(
        "double", ["n"], {"n2": pa.int64()}, lambda batch: {"n2": pc.multiply(batch.column(0), 2)}
    )
    names = join("names", "n2", pa.array(["2", "4"]), {"name": pa.array(["two", "four"])})
    chain = Chain(double, names)
    assert chain.inputs == ["n"]
    batch = chain(pa.record_batch({"n": [1, 2, 3]}))
    assert batch.to_pydict() == {
        "n": [1, 2, 3], "n2": [2, 4, 6], "name": ["two", "four", None],
    }  # fmt: skip
    assert chain.schema(pa.schema([("n", pa.int64())])) == batch.schema
    assert text(batch, "n").to_pylist() == ["1", "2", "3"]
    assert "double" in repr(chain)
    assert "names, 2 keys" in repr(chain)
