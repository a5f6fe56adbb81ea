"""Frappe: which apps are used in which context."""

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from rankup_keras.data.csv_options import CsvOptions
from rankup_keras.data.joining import Derive, text
from rankup_keras.data.row_filters import Share
from rankup_keras.datasets.public_set import PublicSet, find, make_set
from rankup_keras.features import Categorical, FeatureSet

TERMS = (
    "Frappe: research use, to be acknowledged by L. Baltrunas et al., Frappe: Understanding the "
    "Usage and Perception of Mobile App Recommendations In-The-Wild, arXiv 1505.03014."
)
CONTEXT = [
    "user", "item", "daytime", "weekday", "isweekend", "homework", "cost", "weather", "country",
    "city",
]  # fmt: skip


def frappe(source: str | os.PathLike[str]) -> PublicSet:
    """Frappe in libFM's form: a label of 1 or -1, then ten `id:1`, one for each context field.

    These are the files that ranking papers use: every use of an app with two
    apps drawn at random that the user did not use then. (The original
    `frappe.csv` has uses only, and so no labels.)

    Args:
        source: folder with `frappe.train.libfm`, `frappe.validation.libfm` and
            `frappe.test.libfm`, or one such file, whose rows are split 80, 10
            and 10 %.
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
    if place.is_file():
        parts = [([place], [Share(a, b)]) for a, b in ((0.0, 0.8), (0.8, 0.9), (0.9, 1.0))]
    else:
        names = ("train", "validation", "test")
        parts = [([find(place, f"frappe.{name}.libfm")], []) for name in names]
    options = CsvOptions(delimiter=" ", header=False, columns=["sign", *CONTEXT], quote=None)
    return make_set(
        features, ["used"], TERMS, parts, format="csv", csv=options, transform=plain_ids()
    )


def plain_ids() -> Derive:
    """`used`, 0 or 1, and the fields without `:1`."""

    def used(batch: pa.RecordBatch) -> pa.Array:
        return pc.replace_substring_regex(text(batch, "sign"), "^-1(\\.0)?$", "0")

    def field(name: str) -> tuple[pa.DataType, object]:
        return pa.string(), lambda batch: pc.replace_substring_regex(text(batch, name), ":1$", "")

    made = {"used": (pa.string(), used), **{name: field(name) for name in CONTEXT}}
    return Derive(["sign", *CONTEXT], made, "ids of Frappe")  # type: ignore[arg-type]
