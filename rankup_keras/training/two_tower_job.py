"""The process of `train_two_tower`: Keras 2, so nothing of this package is imported here."""

import json
import pathlib
import sys

import numpy as np


def main(folder: pathlib.Path, settings: dict) -> None:
    """Trains the towers of the pairs in `folder` and leaves their vectors and metrics there."""
    import tensorflow as tf
    import tensorflow_recommenders as tfrs
    import tf_keras

    tf_keras.utils.set_random_seed(settings["seed"])
    with np.load(folder / "pairs.npz") as arrays:
        pairs = {name: arrays[name].astype(np.int32) for name in arrays.files}

    def tower(rows: int) -> tf_keras.layers.Embedding:
        return tf_keras.layers.Embedding(rows, settings["dim"], name="tower")

    class TwoTowers(tfrs.Model):
        def __init__(self) -> None:
            super().__init__()
            self.users = tower(settings["users"])
            self.items = tower(settings["items"])
            candidates = tf.data.Dataset.range(settings["items"], output_type=tf.int32)
            metric = tfrs.metrics.FactorizedTopK(candidates.batch(1024).map(self.items))
            self.task = tfrs.tasks.Retrieval(metrics=metric, remove_accidental_hits=True)
            counts = np.bincount(pairs["items"], minlength=settings["items"])
            self.shares = tf.constant(counts / len(pairs["items"]), tf.float32)

        def compute_loss(self, pair: tuple, training: bool = False) -> tf.Tensor:
            users, items = pair
            user_vectors, item_vectors = self.users(users), self.items(items)
            # The metric ranks all items for every pair: only where it is read.
            loss = self.task(
                user_vectors,
                item_vectors,
                candidate_sampling_probability=tf.gather(self.shares, items),
                candidate_ids=items,
                compute_metrics=not training,
            )
            squares = [tf.reduce_sum(tf.square(x)) for x in (user_vectors, item_vectors)]
            return loss + settings["l2"] * tf.add_n(squares)

    def batches(users: np.ndarray, items: np.ndarray) -> tf.data.Dataset:
        return tf.data.Dataset.from_tensor_slices((users, items))

    model = TwoTowers()
    model.compile(optimizer=tf_keras.optimizers.Adagrad(settings["learning_rate"]))
    train = batches(pairs["users"], pairs["items"])
    train = train.shuffle(len(pairs["users"]), seed=settings["seed"])
    model.fit(train.batch(settings["batch_size"]), epochs=settings["epochs"], verbose=0)
    valid = batches(pairs["valid_users"], pairs["valid_items"]).batch(settings["batch_size"])
    metrics = model.evaluate(valid, return_dict=True, verbose=0)
    (folder / "metrics.json").write_text(
        # Null in place of NaN, which is no JSON.
        json.dumps({k: float(v) if np.isfinite(v) else None for k, v in metrics.items()}, indent=2)
        + "\n"
    )
    np.savez(
        folder / "towers.npz",
        users=model.users.embeddings.numpy(),
        items=model.items.embeddings.numpy(),
    )


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), json.loads(sys.argv[2]))
