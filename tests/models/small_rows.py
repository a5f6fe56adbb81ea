"""A feature set with one of everything, and rows for it."""

import numpy as np

import rankup_keras as rk

ROWS = 24


def raw_rows(seed=0, rows=ROWS):
    rng = np.random.default_rng(seed)
    genres = rng.choice(["a", "b", "c", ""], size=(rows, 3))
    history = rng.choice(["i0", "i1", "i2", "i3", ""], size=(rows, 4))
    history[0] = ""
    return {
        "user": rng.choice([f"u{i}" for i in range(6)], size=rows),
        "item": rng.choice([f"i{i}" for i in range(4)], size=rows),
        "genres": genres,
        "city": rng.choice(["x", "y"], size=rows),
        "history": history,
        "price": rng.normal(size=rows).astype("float32"),
        "user_vector": rng.normal(size=(rows, 3)).astype("float32"),
        "item_vector": rng.normal(size=(rows, 3)).astype("float32"),
    }


def labels(seed=0, rows=ROWS):
    rng = np.random.default_rng(100 + seed)
    return {name: rng.integers(0, 2, rows).astype("float32") for name in ("click", "buy")}


def features(item_dim=None, with_sequence=True, with_numeric=True, with_vectors=True):
    listed = [
        rk.Categorical("user", group="who", side="user"),
        rk.Categorical("item", group="what", embedding_dim=item_dim),
        rk.Categorical("city", group="who", side="user"),
        rk.Categorical("genres", max_length=3),
    ]
    if with_sequence:
        listed.append(rk.History("history", of="item", max_length=4))
    if with_numeric:
        listed.append(rk.Numeric("price", group="what"))
    if with_vectors:
        listed += [rk.Pretrained("user_vector", dim=3), rk.Pretrained("item_vector", dim=3)]
    return rk.FeatureSet(listed).adapt(raw_rows())


SMALL = {"token_dim": 12, "num_blocks": 1, "embedding_dim": 4}

# Every choice that RankUp leaves open.
RANKUPS = {
    "semantic": {
        "tokenizer": "semantic",
        "token_dim": 18,
        "crosses": [["user_vector", "item_vector"]],
    },
    "slice": {"tokenizer": "slice", "num_sparse_tokens": 6, "token_dim": 11},
    "fm": {"global_func": "fm", "global_units": [5]},
    "dcnv2": {"global_func": {"kind": "dcnv2", "num_crosses": 1, "rank": 3}},
    "attention": {"sequence_encoder": "attention"},
    "interactions": {
        "interactions": [["user", "item"], ["city", "item"]],
        "token_dim": 20,
        "multi_embedding": {"interaction": "third", "global": "second"},
    },
    "many_sets": {
        "multi_embedding": {"sparse": ["a", "b"], "global": ["b", "c"], "sequence": ["a", "c"]},
        "table_fields": {"b": ["user", "city"], "a": ["item", "genres", "history", "city"]},
        "sequence_encoder": "attention",
    },
    "joined": {"multi_embedding": "joined", "sequence_encoder": "attention"},
    "mix_and_revert": {"mixing": {"kind": "mix_and_revert", "num_heads": 3}},
    "no_norms": {"token_norm": False, "final_norm": False},
    "tokenmixer_large": {
        "mixing": {"kind": "tokenmixer_large", "num_heads": 3},
        "norm": "rms_norm",
        "num_blocks": 2,
        "auxiliary_loss": 0.1,
        "ffn": {"kind": "sparse_moe", "num_experts": 4, "num_active": 3},
    },
    "unimixer_lite": {
        "mixing": {"kind": "unimixing", "bases": 2, "rank": 4},
        "norm": "siamese",
    },
    "full_mixing": {"mixing": {"kind": "full_mixing", "form": "kronecker"}, "token_dim": 10},
}


def rankup(**settings):
    return rk.RankUp(features(), ["click", "buy"], **{**SMALL, **settings})
