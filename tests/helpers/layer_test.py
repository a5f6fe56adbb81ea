"""`run_layer_test`: everything that a public layer must stand, in one call."""

import contextlib
import inspect
import json
import pathlib
import tempfile
from collections.abc import Callable, Collection, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import tree

Arrays = Any  # an array, or a nest (dict, list, tuple) of arrays


def run_layer_test(
    layer_cls: type[keras.layers.Layer],
    init_kwargs: dict[str, Any],
    *,
    inputs: Arrays = None,
    input_shape: Any = None,
    expected_output_shape: Any = None,
    expected_num_trainable: int | None = None,
    expected_num_parameters: int | None = None,
    reference: Callable[[Arrays, dict[str, np.ndarray]], Arrays] | None = None,
    atol: float = 1e-5,
    randomize: bool = True,
    xla: bool = True,
    per_sample: bool = True,
    mixed: bool = True,
    mixed_output_dtype: str = "bfloat16",
    mixed_tolerance: float = 0.1,
    train: bool = True,
    untrained: Collection[str] = (),
    unsaved_arguments: Collection[str] = (),
) -> keras.layers.Layer:
    """Puts a layer through all that users and the platform do with it.

    Construction; `get_config` (every argument of `__init__`, as JSON) and
    `from_config`; symbolic against eager shape and dtype; eager against
    `tf.function` with an unknown batch size against XLA; every sample on its
    own; `mixed_bfloat16`; one step of `fit` that must change every trainable
    variable; `.keras` save and load with no `custom_objects`; an independent
    NumPy form.

    Args:
        layer_cls: the layer's class.
        init_kwargs: arguments of its construction; some should differ from
            their defaults, or a wrong round trip may go unseen.
        inputs: array or nest of arrays that the layer is called with.
        input_shape: instead of `inputs`, shape or nest of shapes, batch
            included, filled with normal numbers.
        expected_output_shape: shape or nest of shapes, batch included.
        expected_num_trainable: number of trainable variables.
        expected_num_parameters: number of all the variables' elements.
        reference: called with the inputs and a dict of the variables' arrays
            by path without the layer's own name, as in `"norm/gamma"`.
        atol: tolerance of all comparisons in float32.
        randomize: give trainable weights random values first, so that biases
            of zero and gains of one hide nothing.
        xla: also compile by XLA; `False` for layers with no XLA form.
        per_sample: a sample's output must not depend on the rest of the batch.
        mixed: also run under `mixed_bfloat16`.
        mixed_output_dtype: dtype of the floating outputs there.
        mixed_tolerance: error there, as a share of the largest output.
        train: also run `fit`.
        untrained: paths of trainable variables that a step does not change.
        unsaved_arguments: arguments of `__init__` that the config leaves out.

    Returns:
        The layer, built, with the weights that were compared.
    """
    if (inputs is None) == (input_shape is None):
        raise ValueError("Give either `inputs` or `input_shape`.")
    if inputs is None:
        inputs = random_inputs(input_shape)
    inputs = tree.map_structure(np.asarray, inputs)

    with _step(layer_cls, "construction"):
        layer = layer_cls(**init_kwargs)
        eager = _call(layer, inputs)
        if randomize:
            randomize_weights(layer)
            eager = _call(layer, inputs)
        _check_counts(layer, expected_num_trainable, expected_num_parameters)
        _check_shapes(eager, expected_output_shape)

    with _step(layer_cls, "finite output"):
        for output in _float_leaves(eager):
            assert np.isfinite(output).all(), "the output has a NaN or an infinity"

    with _step(layer_cls, "config round trip"):
        _check_config(layer, init_kwargs, unsaved_arguments)
        clone = layer_cls.from_config(layer.get_config())
        assert clone.get_config() == layer.get_config(), (
            f"config after the round trip {clone.get_config()}, before {layer.get_config()}"
        )
        _call(clone, inputs)
        _copy_weights(layer, clone)
        _assert_close(_call(clone, inputs), eager, atol)

    with _step(layer_cls, "symbolic call"):
        fresh = layer_cls(**init_kwargs)
        symbolic = fresh(_keras_inputs(inputs))
        tree.map_structure(lambda s, e: _check_symbolic(s, e), symbolic, eager)

    with _step(layer_cls, "tf.function, unknown batch size"):
        signature = tree.map_structure(
            lambda x: tf.TensorSpec(_batchless(x.shape), x.dtype), inputs
        )
        graph = tf.function(lambda x: layer(x, training=False), input_signature=[signature])
        _assert_close(_numpy(graph(inputs)), eager, atol)

    if xla:
        with _step(layer_cls, "XLA (jit_compile=True)"):
            compiled = tf.function(lambda x: layer(x, training=False), jit_compile=True)
            _assert_close(_numpy(compiled(inputs)), eager, atol)

    if per_sample:
        with _step(layer_cls, "one sample by itself"):
            one = tree.map_structure(lambda x: x[:1], inputs)
            first = tree.map_structure(lambda x: x[:1], eager)
            _assert_close(_call(layer, one), first, atol)

    if reference is not None:
        with _step(layer_cls, "NumPy reference"):
            _assert_close(eager, reference(inputs, weights_by_name(layer)), atol)

    if mixed:
        with _step(layer_cls, "mixed_bfloat16"):
            _check_mixed(layer, init_kwargs, inputs, eager, mixed_output_dtype, mixed_tolerance)

    if train and layer.trainable_variables:
        with _step(layer_cls, "one step of fit"):
            _check_fit(layer_cls(**init_kwargs), inputs, xla, untrained)

    with _step(layer_cls, ".keras save and load"):
        _check_saving(layer, inputs, eager, atol)

    return layer


def random_inputs(input_shape: Any, seed: int = 0) -> Arrays:
    """Normal float32 arrays for a shape or a nest of shapes."""
    rng = np.random.default_rng(seed)
    return tree.map_shape_structure(
        lambda shape: rng.normal(size=shape).astype("float32"), input_shape
    )


def randomize_weights(layer: keras.layers.Layer, seed: int = 0, scale: float = 0.2) -> None:
    """Adds normal noise to every trainable floating variable."""
    rng = np.random.default_rng(seed)
    for variable in layer.trainable_variables:
        if _is_float(variable.dtype):
            variable.assign_add(scale * rng.normal(size=variable.shape).astype("float32"))


def weights_by_name(layer: keras.layers.Layer) -> dict[str, np.ndarray]:
    """The layer's variables by path without the layer's own name, as in `norm/gamma`."""
    return {
        _short_path(layer, variable): keras.ops.convert_to_numpy(variable)
        for variable in layer.variables
    }


@contextlib.contextmanager
def _step(layer_cls: type, name: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        kind = "" if isinstance(error, AssertionError) else f"{type(error).__name__}: "
        raise AssertionError(f"{layer_cls.__name__}, {name}: {kind}{error}") from error


def _check_counts(layer: Any, trainable: int | None, parameters: int | None) -> None:
    names = sorted(weights_by_name(layer))
    if trainable is not None:
        count = len(layer.trainable_variables)
        assert count == trainable, f"{count} trainable variables, not {trainable}: {names}"
    if parameters is not None:
        count = layer.count_params()
        assert count == parameters, f"{count} parameters, not {parameters}: {names}"


def _check_shapes(outputs: Arrays, expected: Any) -> None:
    if expected is not None:
        shapes = tree.map_structure(np.shape, outputs)
        assert shapes == expected, f"output shape {shapes}, not {expected}"


def _check_config(layer: Any, init_kwargs: dict[str, Any], unsaved: Collection[str]) -> None:
    config = layer.get_config()
    parameters = inspect.signature(type(layer).__init__).parameters.values()
    named = {p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)} - {
        "self"
    }
    missing = (named | set(init_kwargs)) - set(config) - set(unsaved)
    assert not missing, f"`get_config` leaves out the arguments {sorted(missing)}"
    json.dumps(keras.saving.serialize_keras_object(layer))
    registered = keras.saving.get_registered_name(type(layer))
    assert ">" in registered, "the class is not registered for saving"


def _check_symbolic(symbolic: Any, eager: np.ndarray) -> None:
    expected = _batchless(eager.shape)
    shape = tuple(symbolic.shape)
    assert shape == expected, f"symbolic shape {shape}, eager {eager.shape}"
    dtype = keras.backend.standardize_dtype(symbolic.dtype)
    assert dtype == eager.dtype.name, f"symbolic dtype {dtype}, eager {eager.dtype.name}"


def _check_mixed(
    layer: Any,
    init_kwargs: dict[str, Any],
    inputs: Arrays,
    expected: Arrays,
    output_dtype: str,
    tolerance: float,
) -> None:
    lower = type(layer)(**{**init_kwargs, "dtype": "mixed_bfloat16"})
    assert lower.compute_dtype == "bfloat16", (
        f"compute dtype {lower.compute_dtype}: is `dtype` passed to `super().__init__`?"
    )
    lower(inputs, training=False)
    _copy_weights(layer, lower)
    for variable in lower.variables:
        assert not _is_float(variable.dtype) or variable.dtype == "float32", (
            f"variable {variable.path} is {variable.dtype}, not float32"
        )
    outputs = tree.flatten(lower(inputs, training=False))
    for output, target in zip(outputs, tree.flatten(expected), strict=True):
        dtype = keras.backend.standardize_dtype(output.dtype)
        if not _is_float(dtype):
            continue
        assert dtype == output_dtype, f"output dtype {dtype}, not {output_dtype}"
        error = np.max(np.abs(keras.ops.convert_to_numpy(output).astype("float32") - target))
        limit = tolerance * max(1.0, np.max(np.abs(target)))
        assert error <= limit, f"error {error:.3g} against float32, more than {limit:.3g}"


def _check_fit(layer: Any, inputs: Arrays, xla: bool, untrained: Collection[str]) -> None:
    model = _as_model(layer, inputs)
    rng = np.random.default_rng(1)
    outputs = tree.flatten(model(inputs, training=False))
    targets = [rng.normal(size=y.shape).astype("float32") for y in outputs]
    model.compile(optimizer=keras.optimizers.Adam(0.01), loss="mse", jit_compile=xla)
    # Else the first step is traced twice.
    model.optimizer.build(model.trainable_variables)
    # Gates at exactly zero would pass no gradient: start off such points.
    randomize_weights(layer)
    before = weights_by_name(layer)
    history = model.fit(inputs, targets, batch_size=len(targets[0]), verbose=0)
    assert np.isfinite(history.history["loss"]).all(), f"loss {history.history['loss']}"
    after = weights_by_name(layer)
    for variable in layer.trainable_variables:
        name = _short_path(layer, variable)
        changed = not np.array_equal(before[name], after[name])
        if name in untrained:
            assert not changed, f"{name} was to stay as it is, and training changed it"
        else:
            assert changed, f"training left {name} as it was: it has no gradient"


def _check_saving(layer: Any, inputs: Arrays, expected: Arrays, atol: float) -> None:
    model = _as_model(layer, inputs)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "layer.keras"
        model.save(path)
        loaded = keras.saving.load_model(path)
    _assert_close(
        _numpy(loaded(inputs, training=False)), _numpy(model(inputs, training=False)), atol
    )
    restored = loaded.get_layer(layer.name)
    assert restored.get_config() == layer.get_config(), (
        f"config after loading {restored.get_config()}, before {layer.get_config()}"
    )
    _assert_close(_call(restored, inputs), expected, atol)


def _as_model(layer: Any, inputs: Arrays) -> keras.Model:
    """A Functional model of the layer, whose outputs are its floating ones."""
    symbolic = _keras_inputs(inputs)
    outputs = [y for y in tree.flatten(layer(symbolic)) if _is_float(y.dtype)]
    return keras.Model(symbolic, outputs)


def _keras_inputs(inputs: Arrays) -> Any:
    if isinstance(inputs, dict):
        return {name: _keras_input(x, name) for name, x in inputs.items()}
    return tree.map_structure(lambda x: _keras_input(x), inputs)


def _keras_input(array: np.ndarray, name: str | None = None) -> Any:
    dtype = "string" if array.dtype.kind in "SUO" else array.dtype.name
    return keras.Input(batch_shape=_batchless(array.shape), dtype=dtype, name=name)


def _batchless(shape: tuple[int, ...]) -> tuple[int | None, ...]:
    return (None, *shape[1:])


def _call(layer: Any, inputs: Arrays) -> Arrays:
    return _numpy(layer(inputs, training=False))


def _numpy(outputs: Any) -> Arrays:
    return tree.map_structure(keras.ops.convert_to_numpy, outputs)


def _copy_weights(source: Any, target: Any) -> None:
    pairs = [[_short_path(x, v) for v in x.variables] for x in (source, target)]
    assert len(pairs[0]) == len(pairs[1]), f"variables {pairs[0]} became {pairs[1]}"
    target.set_weights(source.get_weights())


def _short_path(layer: Any, variable: Any) -> str:
    return variable.path.removeprefix(f"{layer.path or layer.name}/")


def _float_leaves(outputs: Arrays) -> list[np.ndarray]:
    return [x for x in tree.flatten(outputs) if _is_float(x.dtype)]


def _is_float(dtype: Any) -> bool:
    return "float" in keras.backend.standardize_dtype(dtype)


def _assert_close(actual: Arrays, expected: Arrays, atol: float) -> None:
    actual_leaves, expected_leaves = tree.flatten(actual), tree.flatten(expected)
    assert len(actual_leaves) == len(expected_leaves), (
        f"{len(actual_leaves)} outputs, not {len(expected_leaves)}"
    )
    for a, e in zip(actual_leaves, expected_leaves, strict=True):
        assert a.shape == np.shape(e), f"output shape {a.shape}, not {np.shape(e)}"
        if not _is_float(a.dtype):
            assert np.array_equal(a, e), "outputs differ"
            continue
        error = np.abs(a.astype("float64") - np.asarray(e, "float64"))
        worst = np.unravel_index(np.argmax(error), error.shape) if error.size else ()
        assert not error.size or error[worst] <= atol, (
            f"outputs differ by {error[worst]:.3g} at {tuple(map(int, worst))}, more than {atol:g}"
        )
