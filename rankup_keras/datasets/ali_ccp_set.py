"""Ali-CCP: clicks and purchases on Taobao."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rankup_keras.data.csv_options import CsvOptions
from rankup_keras.data.row_filters import Share
from rankup_keras.data.transforms import Chain, Derive, join, text
from rankup_keras.datasets import public_set
from rankup_keras.datasets.public_set import Part, PublicSet, Source
from rankup_keras.features import Categorical, FeatureSet
from rankup_keras.features.feature import Side

TERMS = (
    "Ali-CCP: Alibaba's terms at tianchi.aliyun.com/dataset/408, research use; to be acknowledged "
    "by X. Ma et al., Entire Space Multi-Task Model, SIGIR 2018."
)
# Fields of one value, and fields of several with the number of values to keep.
USER = ["101", "121", "122", "124", "125", "126", "127", "128", "129"]
USER_LISTS = {"109_14": 20, "110_14": 20, "127_14": 20, "150_14": 20}
ITEM = ["205", "206", "207", "216", "301", "508", "509", "702", "853"]
ITEM_LISTS = {"210": 10}
_SKELETON = ["sample", "click", "buy", "common", "count", "features"]
_COMMON = ["common", "count", "features"]


def ali_ccp(source: Source, min_count: int = 10) -> PublicSet:
    """Ali-CCP: `sample_skeleton_{train,test}.csv` and `common_features_{train,test}.csv`.

    A line of the skeleton has a click, a purchase, the key of a line of the
    common features (the user's), and the features of the item: `field␂id␃value`
    joined by `␁`. The common features of one part are held in memory (about 10
    GB for the whole set). A random half of the test files validates.

    Tasks are `click` and `buy`; a purchase without a click does not occur.

    Args:
        source: folder with the files, plain or compressed.
        min_count: values seen less often share the unknown id. Defaults to 10.

    Example:

    ```python
    import rankup_keras as rk

    data = rk.datasets.ali_ccp("ali-ccp")
    columns, labels = next(iter(data.train.dataset(16)))
    ```

    References:
        - Ma et al., "Entire Space Multi-Task Model", SIGIR 2018.
    """
    sides: list[tuple[Side, dict[str, Any]]] = [
        ("user", dict.fromkeys(USER)),
        ("candidate", dict.fromkeys(ITEM)),
        ("user", USER_LISTS),
        ("candidate", ITEM_LISTS),
    ]
    features = FeatureSet(
        [
            Categorical(name, dtype="string", min_count=min_count, max_length=length, side=side)
            for side, fields in sides
            for name, length in fields.items()
        ]
    )
    train = _files(source, "train", features, [[]] * 3).train
    test = _files(source, "test", features, [[], [Share(0.5, 1.0)], [Share(0.0, 0.5)]])
    return PublicSet(features, ["click", "buy"], train, test.valid, test.test, TERMS)


def _files(
    source: Source, part: str, features: FeatureSet, filters: Sequence[list[Share]]
) -> PublicSet:
    skeleton = public_set.find(source, f"sample_skeleton_{part}.csv")
    types = dict.fromkeys(ITEM, pa.string()) | dict.fromkeys(ITEM_LISTS, pa.list_(pa.string()))
    own = Derive(
        "items of Ali-CCP",
        ["features"],
        types,
        lambda batch: fields_of(text(batch, "features"), ITEM, ITEM_LISTS),
    )
    common = _common_fields(public_set.find(source, f"common_features_{part}.csv"))
    parts: list[Part] = [([skeleton], where) for where in filters]
    return public_set.make_set(
        features,
        ["click", "buy"],
        TERMS,
        parts,
        format="csv",
        csv=CsvOptions(header=False, columns=_SKELETON, quote=None, delimiter=","),
        transform=Chain(own, common),
    )


def _common_fields(path: Path) -> Derive:
    options = CsvOptions(header=False, columns=_COMMON, quote=None, delimiter=",")
    keys, parts = [], []
    for batch in public_set.text_batches([path], options, ["common", "features"]):
        keys.append(text(batch, "common"))
        parts.append(fields_of(text(batch, "features"), USER, USER_LISTS))
    columns = {name: pa.concat_arrays([part[name] for part in parts]) for name in parts[0]}
    return join(f"users of Ali-CCP, {path.name}", "common", pa.concat_arrays(keys), columns)


def fields_of(raw: pa.Array, singles: Sequence[str], lists: Collection[str]) -> dict[str, pa.Array]:
    r"""Fields of lines such as `205\x02123\x031.0\x01206\x029\x031.0`.

    Args:
        raw: the lines.
        singles: fields whose first value is wanted.
        lists: fields whose values are all wanted, as lists.
    """
    items = pc.split_pattern(pc.fill_null(raw, ""), "\x01")
    pieces = pc.split_pattern_regex(items.flatten(), "[\x02\x03]")
    whole = pc.greater_equal(pc.list_value_length(pieces), 2)
    owner = pc.list_parent_indices(items).filter(whole).to_numpy()
    pieces = pieces.filter(whole)
    fields, values = pc.list_element(pieces, 0), pc.list_element(pieces, 1)
    result = {}
    for name in (*singles, *lists):
        mask = pc.equal(fields, name)
        rows = owner[mask.to_numpy(zero_copy_only=False)]
        chosen = values.filter(mask)
        if name in lists:
            offsets = np.zeros(len(raw) + 1, np.int32)
            np.cumsum(np.bincount(rows, minlength=len(raw)), out=offsets[1:])
            result[name] = pa.ListArray.from_arrays(pa.array(offsets), chosen)
        else:
            place = np.full(len(raw), -1, np.int64)
            place[rows[::-1]] = np.arange(len(rows))[::-1]
            result[name] = chosen.take(pa.array(place, mask=place < 0))
    return result
