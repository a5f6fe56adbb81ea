"""Trains a model on a device that servers do not have and exports it, in a process of its own."""

import json
import pathlib
import sys

import keras
import tensorflow as tf

# Before the package is imported: layers start TensorFlow's runtime.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
sys.path.insert(0, str(pathlib.Path(__file__).parents[3]))
import rankup_keras as rk  # noqa: E402

ROWS = {
    "item": ["a", "b", "c", "d"],
    "user": ["x", "y", "x", "z"],
    "price": [1.0, 2.0, 3.0, 4.0],
    "history": [["a", "c"], ["b", "c"], ["c", "d"], ["a", "d"]],
}


def main(folder, policy, device):
    """Exports a trained model; says where its weights lie, its scores and where the export is."""
    keras.config.set_dtype_policy(policy)
    keras.utils.set_random_seed(0)
    features = rk.FeatureSet(
        [
            rk.Categorical("item", vocabulary=["a", "b", "c"]),
            rk.Categorical("user", hash_buckets=50, side="user"),
            rk.Numeric("price"),
            rk.History("history", of="item", max_length=5, side="user"),
        ]
    ).adapt(ROWS)
    with tf.device("/cpu:1"):
        model = rk.RankMixer(features, ["click"], token_dim=8, num_tokens=4, num_blocks=1)
        model.compile()
        model.fit({**ROWS, "click": [0.0, 1.0, 0.0, 1.0]}, verbose=0)
        path = rk.export(model, folder, warmup=ROWS, device=device)
        scores = model.predict(ROWS, verbose=0)["click"][:, 0].tolist()
    weights = sorted({variable.value.device[-6:] for variable in model.variables})
    print(json.dumps({"path": str(path), "weights": weights, "scores": scores}))


if __name__ == "__main__":
    main(*sys.argv[1:])
