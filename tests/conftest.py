"""What every test starts from: quiet TensorFlow, sane threads, one seed, no trace outside tmp."""

import gc
import os
import shutil
import tempfile
import traceback

# Before TensorFlow and Keras are imported: they read these once.
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
os.environ.setdefault("MPLBACKEND", "Agg")
_home = tempfile.mkdtemp(prefix="rankup_keras_tests_")
for _variable in ("KERAS_HOME", "XDG_CACHE_HOME", "MPLCONFIGDIR"):
    os.environ[_variable] = os.path.join(_home, _variable.lower())
# XLA compiles here what runs once: on a CPU it does so in two thirds of the time without LLVM's
# optimizations, and tests of layers in two thirds without MLIR's emitters of fusions.
if not shutil.which("nvidia-smi"):
    os.environ.setdefault(
        "XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false"
    )
# Workers of pytest-xdist share the cores, also with the processes that tests start.
_workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
_threads = max(1, min(8, (os.cpu_count() or 1) // _workers))
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(_threads))

import hypothesis  # noqa: E402
import keras  # noqa: E402
import pytest  # noqa: E402
import tensorflow as tf  # noqa: E402
from tensorflow.python.util import tf_stack  # noqa: E402

tf.config.threading.set_intra_op_parallelism_threads(_threads)
tf.config.threading.set_inter_op_parallelism_threads(_threads)

# Every operation of a graph is given the Python stack that made it, for messages of errors: with
# pytest's and Keras's frames, a tenth of the time that tests take. Here all are given one stack;
# OP_STACKS=1 shows what made an operation that fails.
if "OP_STACKS" not in os.environ:
    _stack = tf_stack.extract_stack()
    # TensorFlow lets go of code that the stack still names, and XLA reads it.
    _code = [frame.f_code for frame, _ in traceback.walk_stack(None)]
    tf_stack.extract_stack = lambda stacklevel=1: _stack
# What is imported stays, and is not looked through for garbage again and again.
gc.freeze()
gc.set_threshold(5000)

# On a GPU float32 means float32 here, as the bounds of the tests do.
tf.config.experimental.enable_tensor_float_32_execution(False)

# No deadline: the first call of a TensorFlow function traces it.
hypothesis.settings.register_profile(
    "tests",
    deadline=None,
    database=None,
    derandomize=True,
    max_examples=25,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("tests")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take longest come first, as those that start processes: nobody waits for them."""
    slow = {
        item.path
        for item in items
        if item.get_closest_marker("processes") or item.get_closest_marker("long")
    }
    items.sort(key=lambda item: item.path not in slow)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None):
    """What a file leaves behind, in caches of TensorFlow and Keras, is there to stay as well.

    Otherwise each full search for garbage takes longer than the one before.
    """
    yield
    if nextitem is None or nextitem.path != item.path:
        gc.collect()
        gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef) -> None:
    """What a file's tests share starts alike too, whichever tests a worker has run before."""
    if fixturedef.scope != "function":
        keras.utils.set_random_seed(0)


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(_home, ignore_errors=True)


@pytest.fixture(autouse=True)
def _same_start_for_every_test():
    keras.utils.set_random_seed(0)
    policy = keras.config.dtype_policy()
    yield
    keras.config.set_dtype_policy(policy)
