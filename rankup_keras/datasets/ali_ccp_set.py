"""Ali-CCP: clicks and purchases on Taobao."""

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rankup_keras.data.bad_rows import BadRows
from rankup_keras.data.csv_options import CsvOptions
from rankup_keras.data.csv_source import CsvSource
from rankup_keras.data.joining import Chain, Derive, Join, text
from rankup_keras.data.row_filters import Share
from rankup_keras.datasets.public_set import PublicSet, find, make_set
from rankup_keras.features import Categorical, FeatureSet

TERMS = (
    "Ali-CCP: Alibaba's terms at tianchi.aliyun.com/dataset/408, research use; to be acknowledged "
    "by X. Ma et al., Entire Space Multi-Task Model, SIGIR 2018."
)
# Fields of one value, and fields of several with the number of values to keep.
USER = ["101", "121", "122", "124", "125", "126", "127", "128", "129"]
USER_LISTS = {"109_14": 20, "110_14": 20, "127_14": 20, "150_14": 20}
ITEM = ["205", "206", "207", "216", "301"]
ITEM_LISTS = {"210": 10}
CROSSED = ["508", "509", "702", "853"]
_SKELETON = ["sample", "click", "buy", "common", "count", "features"]
_COMMON = ["common", "count", "features"]


def ali_ccp(source: str | os.PathLike[str], min_count: int = 10) -> PublicSet:
    """Ali-CCP: `sample_skeleton_{train,test}.csv` and `common_features_{train,test}.csv`.

    A line of the skeleton has a click, a purchase, the key of a line of the
    common features (the user's), and the features of the item: `field␂id␃value`
    joined by `␁`. The common features of one part are held in memory (about 10
    GB for the whole set). Of the test files every second row, by chance,
    validates.

    Tasks are `click` and `buy`; a purchase without a click does not occur.

    Args:
        source: folder with the files, plain or compressed.
        min_count: values seen less often share the unknown id. Defaults to 10.
    """
    singles = {"user": USER, "candidate": [*ITEM, *CROSSED]}
    lists = {"user": USER_LISTS, "candidate": ITEM_LISTS}
    features = FeatureSet(
        [
            Categorical(name, dtype="string", min_count=min_count, side=side)  # type: ignore[arg-type]
            for side, names in singles.items()
            for name in names
        ]
        + [
            Categorical(name, dtype="string", min_count=min_count, max_length=length, side=side)  # type: ignore[arg-type]
            for side, sizes in lists.items()
            for name, length in sizes.items()
        ]
    )
    sets = []
    options = CsvOptions(header=False, columns=_SKELETON, quote=None, delimiter=",")
    for part, shares in (("train", [(0.0, 1.0)]), ("test", [(0.0, 0.5), (0.5, 1.0)])):
        skeleton = find(source, f"sample_skeleton_{part}.csv")
        transform = Chain(
            _own_fields(), _common_fields(find(source, f"common_features_{part}.csv"))
        )
        sets.append(
            make_set(
                features,
                ["click", "buy"],
                TERMS,
                [([skeleton], [Share(a, b)]) for a, b in shares]
                + [([skeleton], [])] * (3 - len(shares)),
                format="csv",
                csv=options,
                transform=transform,
            )
        )
    train, test = sets
    return PublicSet(features, ["click", "buy"], train.train, test.train, test.valid, TERMS)


def _own_fields() -> Derive:
    def field(name: str, listed: bool) -> tuple[pa.DataType, object]:
        kind = pa.list_(pa.string()) if listed else pa.string()
        return kind, lambda batch: fields_of(text(batch, "features"), [name], listed)[name]

    made = {name: field(name, False) for name in [*ITEM, *CROSSED]}
    made.update({name: field(name, True) for name in ITEM_LISTS})
    return Derive(["features"], made, "items of Ali-CCP")  # type: ignore[arg-type]


def _common_fields(path: Path) -> Join:
    options = CsvOptions(header=False, columns=_COMMON, quote=None, delimiter=",")
    reader = CsvSource(options, BadRows())
    keys, parts = [], []
    for chunk in reader.read((path, None), ["common", "features"], set(), 1 << 15):
        raw = text(chunk.batch, "features")
        keys.append(text(chunk.batch, "common"))
        columns = fields_of(raw, USER, False) | fields_of(raw, list(USER_LISTS), True)
        parts.append(columns)
    columns = {
        name: pa.concat_arrays([part[name] for part in parts]) for name in [*USER, *USER_LISTS]
    }
    return Join("common", pa.concat_arrays(keys), columns, f"users of Ali-CCP, {path.name}")


def fields_of(raw: pa.Array, names: list[str], listed: bool) -> dict[str, pa.Array]:
    r"""Fields of lines such as `205\x02123\x031.0\x01206\x029\x031.0`.

    Args:
        raw: the lines.
        names: the fields.
        listed: whether all values are wanted, as lists, or the first one.
    """
    items = pc.split_pattern(pc.fill_null(raw, ""), "\x01")
    flat = items.flatten()
    owner = pc.list_parent_indices(items).to_numpy()
    pieces = pc.split_pattern_regex(flat, "[\x02\x03]")
    whole = pc.greater_equal(pc.list_value_length(pieces), 2)
    owner = owner[whole.to_numpy(zero_copy_only=False)]
    pieces = pieces.filter(whole)
    fields, values = pc.list_element(pieces, 0), pc.list_element(pieces, 1)
    result = {}
    for name in names:
        mask = pc.equal(fields, name)
        rows = owner[mask.to_numpy(zero_copy_only=False)]
        chosen = values.filter(mask)
        if listed:
            offsets = np.zeros(len(raw) + 1, np.int32)
            np.cumsum(np.bincount(rows, minlength=len(raw)), out=offsets[1:])
            result[name] = pa.ListArray.from_arrays(pa.array(offsets), chosen)
        else:
            place = np.full(len(raw), -1, np.int64)
            place[rows[::-1]] = np.arange(len(rows))[::-1]
            index = pa.array(np.where(place < 0, 0, place), mask=place < 0)
            result[name] = chosen.take(index)
    return result
