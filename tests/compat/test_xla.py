"""XLA's ops behind private names of TensorFlow, and that no public name has them yet."""

import numpy as np
import pytest
import tensorflow as tf

from rankup_keras.compat import xla


def compiled(function):
    return tf.function(function, jit_compile=True, autograph=False)


def ops_of(function, x):
    return {op.type for op in compiled(function).get_concrete_function(x).graph.get_operations()}


def test_a_graph_knows_whether_xla_compiles_it():
    seen = {}

    def trace(name):
        def look(x):
            seen[name] = xla.in_xla()
            return x

        return look

    compiled(trace("compiled"))(tf.zeros(()))
    tf.function(trace("graph"))(tf.zeros(()))
    trace("eager")(tf.zeros(()))
    assert seen == {"compiled": True, "graph": False, "eager": False}


def test_a_slice_is_updated_in_place():
    def update(x):
        return xla.dynamic_update_slice(x, tf.ones((1, 2)), [tf.constant(1), 0])

    np.testing.assert_array_equal(compiled(update)(tf.zeros((3, 2))), [[0, 0], [1, 1], [0, 0]])
    assert "XlaDynamicUpdateSlice" in ops_of(update, tf.zeros((3, 2)))


def test_a_barrier_is_the_identity_to_values():
    x = tf.random.normal((3, 2))
    np.testing.assert_array_equal(compiled(xla.optimization_barrier)(x), x)
    assert "XlaOptimizationBarrier" in ops_of(xla.optimization_barrier, x)


def test_tensorflow_still_has_no_public_name_for_them():
    modules = (tf, tf.raw_ops, tf.xla.experimental, tf.experimental, tf.distribute)
    public = {name.lower().replace("_", "") for module in modules for name in dir(module)}
    for name in ("dynamicupdateslice", "optimizationbarrier", "inxla", "inxlacontext"):
        assert not {name, "xla" + name} & public


def test_lowering_names_what_xla_refuses():
    spec = [tf.TensorSpec((4,), tf.float32)]
    assert len(xla.lowered(lambda x: tf.sin(x), spec)) > 100

    def words(x):
        with tf.name_scope("words"):
            return tf.strings.length(tf.strings.as_string(x))

    with pytest.raises(xla.RefusedByXLAError, match="AsString") as caught:
        xla.lowered(words, spec)
    assert caught.value.ops == ["AsString"]
    assert any("words/" in node for node in caught.value.nodes)


def test_determinism_is_seen():
    assert not xla.determinism_enabled()
    assert not hasattr(tf.config.experimental, "is_op_determinism_enabled")
