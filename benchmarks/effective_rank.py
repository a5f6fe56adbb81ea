"""Accuracy, speed and overhead of the effective-rank diagnostics.

python benchmarks/effective_rank.py accuracy   # against numpy.linalg.svd, 1,000 matrices
python benchmarks/effective_rank.py speed      # 4,096 matrices of 32 x 768
python benchmarks/effective_rank.py overhead   # share of a training's time
python benchmarks/effective_rank.py all --json results.json
"""

import argparse
import json
import os
import time

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

SHAPES = [(8, 16), (16, 64), (32, 768), (64, 32), (96, 96)]


def spectrum(kind: str, side: int, rng: np.random.Generator) -> np.ndarray:
    if kind == "deficient":
        values = np.zeros(side)
        values[: rng.integers(1, side)] = 1.0
        return values * rng.uniform(0.1, 1.0, side)
    if kind == "ill_conditioned":
        return 10.0 ** (-rng.uniform(2, 18) * np.linspace(0.0, 1.0, side))
    values = np.full(side, 10.0 ** rng.uniform(-12, -3))
    values[0] = 1.0
    return values


def make_matrix(kind: str, rows: int, columns: int, rng: np.random.Generator) -> np.ndarray:
    if kind == "random":
        return rng.normal(size=(rows, columns))
    side = min(rows, columns)
    left, _ = np.linalg.qr(rng.normal(size=(rows, side)))
    right, _ = np.linalg.qr(rng.normal(size=(columns, side)))
    return (left * spectrum(kind, side, rng)) @ right.T


def reference(matrix: np.ndarray) -> dict[str, float]:
    values = np.linalg.svd(matrix, compute_uv=False)
    share = values / values.sum()
    share = share[share > 0.0]
    return {
        "effective_rank": float(np.exp(-(share * np.log(share)).sum())),
        "stable_rank": float(np.square(values / values[0]).sum()),
        "information_abundance": float((values / values[0]).sum()),
    }


def accuracy() -> dict[str, float]:
    from rankup_keras import diagnostics

    rng = np.random.default_rng(0)
    worst = dict.fromkeys(["effective_rank", "stable_rank", "information_abundance"], 0.0)
    count = 0
    for kind in ("random", "deficient", "ill_conditioned", "one_large"):
        for rows, columns in SHAPES:
            batch = np.stack([make_matrix(kind, rows, columns, rng) for _ in range(50)])
            expected = [reference(matrix) for matrix in batch]
            for name in worst:
                found = getattr(diagnostics, name)(batch)
                error = np.abs(found / [item[name] for item in expected] - 1.0).max()
                worst[name] = max(worst[name], float(error))
            count += len(batch)
    print(f"accuracy: {count} matrices, float64, against numpy.linalg.svd")
    for name, error in worst.items():
        print(f"  {name}: largest relative error {error:.1e}")
    return {"matrices": count, **worst}


def speed(repeats: int = 5) -> dict[str, float]:
    from rankup_keras.diagnostics import effective_rank

    batch = np.random.default_rng(0).normal(size=(4096, 32, 768)).astype(np.float32)
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        effective_rank(batch)
        times.append(time.perf_counter() - start)
    start = time.perf_counter()
    np.linalg.svd(batch[:256].astype(np.float64), compute_uv=False)
    svd = 16 * (time.perf_counter() - start)
    print(
        f"speed: 4,096 matrices of 32 x 768 in {np.median(times):.2f} s (median of {repeats}, "
        f"best {min(times):.2f} s); a float64 SVD of all would take {svd:.1f} s"
    )
    return {"median_s": float(np.median(times)), "best_s": min(times), "svd_s": svd}


def overhead(rows: int = 80_000, epochs: int = 4) -> dict[str, float]:
    """A token mixer of the demo's size: 16 tokens of width 64, two blocks."""
    import keras
    from keras import layers, ops

    from rankup_keras.callbacks import EffectiveRank

    tokens, width, ids = 16, 64, 10_000

    class Mixing(layers.Layer):
        def call(self, x):
            heads = ops.reshape(x, (-1, tokens, tokens, width // tokens))
            mixed = ops.reshape(ops.transpose(heads, (0, 2, 1, 3)), (-1, tokens, width))
            return x + mixed

    class PerTokenFFN(layers.Layer):
        def build(self, shape):
            scale = keras.initializers.RandomNormal(stddev=width**-0.5)
            self.up = self.add_weight(shape=(tokens, width, 2 * width), initializer=scale)
            self.down = self.add_weight(shape=(tokens, 2 * width, width), initializer=scale)
            self.norm = layers.LayerNormalization()
            self.norm.build(shape)

        def call(self, x):
            hidden = ops.gelu(ops.einsum("btd,tdk->btk", self.norm(x), self.up))
            return x + ops.einsum("btk,tkd->btd", hidden, self.down)

    keras.utils.set_random_seed(0)
    inputs = keras.Input((tokens,), dtype="int32")
    x = layers.Dense(width, name="tokens")(layers.Embedding(ids, 16)(inputs))
    for block in (1, 2):
        x = Mixing(name=f"block_{block}_mixer")(x)
        x = PerTokenFFN(name=f"block_{block}_ffn")(x)
    output = layers.Dense(1, "sigmoid")(layers.GlobalAveragePooling1D()(x))
    model = keras.Model(inputs, output)
    model.compile("adam", "binary_crossentropy", metrics=["auc"])

    rng = np.random.default_rng(0)
    data = rng.integers(0, ids, (rows, tokens)).astype("int32")
    labels = (data.sum(axis=1) % 2).astype("float32")[:, None]
    callback = EffectiveRank((data, labels))
    start = time.perf_counter()
    model.fit(data, labels, batch_size=512, epochs=epochs, verbose=0, callbacks=[callback])
    total = time.perf_counter() - start
    cost = [profile.seconds for profile in callback.profiles]
    print(
        f"overhead: {sum(cost):.2f} of {total:.2f} s ({callback.overhead:.1%}); first measurement "
        f"{cost[0]:.2f} s (it compiles), then {np.mean(cost[1:]):.3f} s each"
    )
    return {"training_s": total, "share": callback.overhead, "each_s": float(np.mean(cost[1:]))}


def main() -> None:
    commands = {"accuracy": accuracy, "speed": speed, "overhead": overhead}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=[*commands, "all"])
    parser.add_argument("--json", help="file to write the numbers to")
    options = parser.parse_args()
    chosen = commands if options.what == "all" else {options.what: commands[options.what]}
    results = {name: run() for name, run in chosen.items()}
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(results, file, indent=2)


if __name__ == "__main__":
    main()
