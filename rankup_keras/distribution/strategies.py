"""Where a program runs, by name."""

import logging
import os
import random
from collections.abc import Sequence

import keras
import tensorflow as tf

from rankup_keras.compat.multi_worker import configure_heartbeat, global_seed, mend_fit
from rankup_keras.distribution.sharding import with_even_batches
from rankup_keras.distribution.tf_config import VARIABLE, Cluster, read_cluster
from rankup_keras.distribution.worker_lost import tells_lost_workers

# Seconds without a sign of life after which a worker counts as lost.
HEARTBEAT_TIMEOUT = 20
NAMES = ("auto", "cpu", "mirrored", "multi_worker", "tpu")


def strategy(
    name: str = "auto",
    *,
    devices: Sequence[str] | None = None,
    tpu: str | None = None,
) -> tf.distribute.Strategy:
    """The distribution strategy of a name, so that one program runs everywhere.

    Build and compile the model in its scope; `fit`, `evaluate` and `predict`
    are called as usual:

    - the batch size is the global one, and each replica gets its share: neither
      results nor the learning rate depend on the number of replicas;
    - input is sharded by worker;
    - metrics, AUC included, are those of the rows of all replicas together.

    | name | runs on |
    |---|---|
    | `"cpu"` | one CPU |
    | `"mirrored"` | all GPUs of this machine, or `devices` |
    | `"multi_worker"` | all machines of `TF_CONFIG`, all GPUs of each |
    | `"tpu"` | the TPU at `tpu`, `TPU_NAME` or in this machine |
    | `"auto"` | `"multi_worker"` if `TF_CONFIG` names several workers; else `"tpu"` if `tpu` or `TPU_NAME` is given; else `"mirrored"` with several GPUs; else the one GPU or CPU, as without a strategy |

    `"multi_worker"` must be asked for before TensorFlow has run anything. It
    patches Keras's `fit` (`compat/multi_worker.py`), checks every few seconds that
    the other workers are alive, and gives all of them one random seed where none
    was set: workers that shuffle differently would read some rows twice and
    others never.

    Args:
        name: one of the names above. Defaults to `"auto"`.
        devices: list of device names, such as `["gpu:0", "gpu:1"]`, for
            `"mirrored"`. Defaults to all GPUs.
        tpu: str. Name or address of a TPU, or `"local"`, for `"tpu"`.

    Returns:
        A `tf.distribute.Strategy`.

    Raises:
        ValueError: an unknown name, or a wrong `TF_CONFIG`; later, from `fit`:
            a batch that the replicas cannot share evenly.
        RuntimeError: no TPU, no GPU, or TensorFlow already started.

    Example:

    ```python
    import keras
    import numpy as np
    import rankup_keras as rk

    with rk.distribution.strategy("cpu").scope():  # "auto" in programs that run everywhere
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
        model.compile("adam", "mse")
    model.fit(np.ones((8, 3)), np.ones((8, 1)), batch_size=4, verbose=0)
    ```
    """  # noqa: E501 (a row of a table is one line)
    if name not in NAMES:
        raise ValueError(f"`name` must be one of {NAMES}. Received: name={name!r}.")
    if devices is not None and name != "mirrored":
        raise ValueError(f"`devices` are for name='mirrored'. Received: name={name!r}.")
    if tpu is not None and name not in ("tpu", "auto"):
        raise ValueError(f"`tpu` is for name='tpu'. Received: name={name!r}.")
    if name == "auto":
        name = _choose(tpu)
    if name == "multi_worker":
        return with_even_batches(_multi_worker())
    if name == "tpu":
        return with_even_batches(_tpu(tpu))
    if name == "mirrored":
        return with_even_batches(_mirrored(devices))
    if name == "cpu":
        return tf.distribute.OneDeviceStrategy("/cpu:0")
    # TensorFlow's for no strategy, which takes the one GPU. With `OneDeviceStrategy` ids would go
    # to the GPU and back, and tables could not lie in host memory.
    return tf.distribute.get_strategy()


def _choose(tpu: str | None) -> str:
    cluster = read_cluster()
    if cluster is not None and len(cluster.addresses) > 1:
        return "multi_worker"
    if tpu or os.environ.get("TPU_NAME"):
        return "tpu"
    return "mirrored" if len(tf.config.get_visible_devices("GPU")) > 1 else "one"


def _mirrored(devices: Sequence[str] | None) -> tf.distribute.Strategy:
    if devices is None:
        gpus = tf.config.list_logical_devices("GPU")
        if not gpus:
            raise RuntimeError(
                "No GPU was found for name='mirrored'; name='cpu' runs on the CPU, and `devices` "
                "names other devices. TensorFlow sees: "
                f"{[device.name for device in tf.config.list_logical_devices()]}."
            )
        devices = [gpu.name for gpu in gpus]
    known = [_short(device.name) for device in tf.config.list_logical_devices()]
    if not devices or any(_short(device) not in known for device in devices):
        raise ValueError(
            f"`devices` must be devices of this machine, {[name.lower() for name in known]}. "
            f"Received: devices={list(devices)}."
        )
    return tf.distribute.MirroredStrategy(list(devices))


def _short(device: str) -> str:
    return ":".join(device.upper().replace("/", ":").split(":")[-2:])


def _tpu(address: str | None) -> tf.distribute.Strategy:
    address = address or os.environ.get("TPU_NAME") or "local"
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu=address)
        if address != "local":
            tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except (ValueError, RuntimeError, tf.errors.OpError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise RuntimeError(
            f"No TPU was found at tpu={address!r}; give its name or address as `tpu` or in the "
            "environment variable TPU_NAME, or check a model without a TPU by "
            f"`rankup_keras.distribution.experimental.tpu_check`. TensorFlow says: {first}"
        ) from error
    return tf.distribute.TPUStrategy(resolver)


def _multi_worker() -> tf.distribute.Strategy:
    cluster = read_cluster()
    if cluster is None:
        raise ValueError(
            f"name='multi_worker' needs the environment variable {VARIABLE} with the addresses of "
            "all workers and this one's index. It is not set or names no cluster."
        )
    mend_fit(tells_lost_workers)
    configure_heartbeat(cluster.jobs, HEARTBEAT_TIMEOUT)
    # TensorFlow waits for the others in silence, forever, and holding Python's lock.
    logging.getLogger(__name__).warning(
        "%s waits until all of the workers %s have started.", cluster.task, list(cluster.addresses)
    )
    try:
        made = tf.distribute.MultiWorkerMirroredStrategy()
    except RuntimeError as error:
        if "startup" not in str(error):
            raise
        raise RuntimeError(
            "name='multi_worker' must be asked for before TensorFlow has run anything in this "
            "process: move `strategy` to the top of the program, before models and data."
        ) from error
    if len(cluster.addresses) > 1:
        _agree_on_seed(made, cluster)
    return made


def _agree_on_seed(made: tf.distribute.Strategy, cluster: Cluster) -> None:
    own = global_seed()
    # Every worker fills its own place of a vector, and all see all of it.
    mine = random.SystemRandom().randrange(1, 2**31) if own is None else int(own)
    count = len(cluster.addresses)
    given = tf.one_hot([cluster.place], count, int(own is not None), 0, dtype=tf.int64)[0]
    seeds = tf.one_hot([cluster.place], count, mine, 0, dtype=tf.int64)[0]
    spread = made.experimental_distribute_values_from_function(
        lambda replica: (
            tf.stack([given, seeds])
            * int(replica.replica_id_in_sync_group % len(made.extended.worker_devices) == 0)
        )
    )
    flags, numbers = made.reduce("SUM", spread, axis=None).numpy().tolist()
    by_worker = [n if flag else None for flag, n in zip(flags, numbers, strict=True)]
    if not any(flags):
        keras.utils.set_random_seed(numbers[0] % 2**31)
    elif len(set(by_worker)) > 1:
        raise ValueError(
            f"All workers must set the same random seed, or none. Received, by worker: {by_worker}."
        )
