"""Frappe: which apps are used in which context."""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from rankup_keras.data.csv_options import CsvOptions
from rankup_keras.data.transforms import Derive, text
from rankup_keras.datasets import public_set
from rankup_keras.datasets.public_set import Part, PublicSet, Source
from rankup_keras.features import Categorical, FeatureSet

TERMS = (
    "Frappe: research use, to be acknowledged by L. Baltrunas et al., Frappe: Understanding the "
    "Usage and Perception of Mobile App Recommendations In-The-Wild, arXiv 1505.03014."
)
CONTEXT = [
    "user", "item", "daytime", "weekday", "isweekend", "homework", "cost", "weather", "country",
    "city",
]  # fmt: skip


def frappe(source: Source) -> PublicSet:
    """Frappe in libFM's form: a label of 1 or -1, then ten `id:1`, one for each context field.

    These are the files that ranking papers use: every use of an app with two
    apps drawn at random that the user did not use then. (The original
    `frappe.csv` has uses only, and so no labels.)

    Args:
        source: folder with `frappe.train.libfm`, `frappe.validation.libfm` and
            `frappe.test.libfm`, or one such file, whose rows are split 80, 10
            and 10 %.

    Example:

    ```python
    import rankup_keras as rk

    data = rk.datasets.frappe("frappe")
    data.adapt()
    columns, labels = next(iter(data.train.dataset(16)))
    ```

    References:
        - Baltrunas et al., "Frappe", 2015, arXiv 1505.03014.
    """
    features = FeatureSet(
        [
            Categorical(
                name, dtype="int64", side="candidate" if name in ("item", "cost") else "user"
            )
            for name in CONTEXT
        ]
    )
    place = Path(source).expanduser()
    names = ("train", "validation", "test")
    parts: list[Part] = (
        public_set.random_parts(place)
        if place.is_file()
        else [([public_set.find(place, f"frappe.{name}.libfm")], []) for name in names]
    )
    types = dict.fromkeys(["used", *CONTEXT], pa.string())
    return public_set.make_set(
        features,
        ["used"],
        TERMS,
        parts,
        format="csv",
        csv=CsvOptions(delimiter=" ", header=False, columns=["sign", *CONTEXT], quote=None),
        transform=Derive("ids of Frappe", ["sign", *CONTEXT], types, _ids),
    )


def _ids(batch: pa.RecordBatch) -> dict[str, pa.Array]:
    """`used`, 0 or 1, and the fields without `:1`."""
    made = {name: pc.replace_substring_regex(text(batch, name), ":1$", "") for name in CONTEXT}
    made["used"] = pc.replace_substring_regex(text(batch, "sign"), "^-1(\\.0)?$", "0")
    return made
