"""Tables larger than a GPU, which only a GPU of a stated size can show here."""

import logging
import pathlib

import pytest
import tensorflow as tf

from rankup_keras.features import FieldSpec, TableSpec
from rankup_keras.layers import FieldEmbedding
from rankup_keras.layers.embeddings import host_memory
from tests.helpers.workers import Program


@pytest.mark.parametrize(("memory", "says"), [(None, False), (30_000, False), (3_000, True)])
def test_tables_that_do_not_fit_lie_on_the_host(monkeypatch, caplog, memory, says):
    monkeypatch.setattr(host_memory, "has_accelerator", lambda: memory is not None)
    monkeypatch.setattr(host_memory, "gpu_memory", lambda: memory)
    layer = FieldEmbedding([TableSpec("item", rows=100)], [FieldSpec("item", "item", start=0)], 8)
    with caplog.at_level(logging.WARNING):
        layer.build()
    (table,) = layer.table_variables
    assert table.shape == (100, 8)
    assert ("The tables of layer" in caplog.text) is says
    if says:
        assert "They lie in host memory" in caplog.text
        assert "CPU:0" in table.value.device
        assert layer(tf.constant([[1]]))["shared"].shape == (1, 8)


def test_where_replicas_hold_the_tables_it_says_so(monkeypatch, caplog):
    monkeypatch.setattr(host_memory, "has_accelerator", lambda: True)
    monkeypatch.setattr(host_memory, "gpu_memory", lambda: 3_000)
    layer = FieldEmbedding([TableSpec("item", rows=100)], [FieldSpec("item", "item", start=0)], 8)
    with caplog.at_level(logging.WARNING), tf.distribute.MirroredStrategy(["/cpu:0"]).scope():
        layer.build()
    assert "each replica's GPU holds all tables" in caplog.text
    assert "They lie in host memory" not in caplog.text


@pytest.mark.processes
@pytest.mark.parametrize("optimizer", ["adagrad", "row_wise_adagrad"])
def test_nothing_of_a_tables_size_goes_to_the_gpu(optimizer):
    """Nor slots: made, drawn again, written, saved, loaded. They would not fit there."""
    program = Program(pathlib.Path(__file__).with_name("host_tables.py"), optimizer)
    out, errors = program.communicate()
    assert program.poll() == 0, errors[-2000:]
    assert out.splitlines() == ["make", "train", "write", "save", "load", "resume"]
