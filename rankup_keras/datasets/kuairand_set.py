"""KuaiRand: short videos shown by a recommender and, for a part, at random."""

import os
from pathlib import Path

import pyarrow as pa

from rankup_keras.data.bad_rows import BadRows
from rankup_keras.data.csv_options import CsvOptions
from rankup_keras.data.csv_source import CsvSource
from rankup_keras.data.data_error import DataError
from rankup_keras.data.joining import Chain, Derive, Join, text
from rankup_keras.data.row_filters import Share
from rankup_keras.datasets.public_set import PublicSet, find_all, make_set
from rankup_keras.features import Categorical, FeatureSet, Numeric

TERMS = (
    "KuaiRand: CC BY-SA 4.0, to be acknowledged by C. Gao et al., KuaiRand: An Unbiased Sequential "
    "Recommendation Dataset with Randomly Exposed Videos, CIKM 2022."
)
TASKS = ("is_click", "is_like", "is_follow", "is_comment", "is_forward", "long_view")
USER = [
    "user_active_degree", "is_lowactive_period", "is_live_streamer", "is_video_author",
    "follow_user_num_range", "fans_user_num_range", "friend_user_num_range", "register_days_range",
    *(f"onehot_feat{i}" for i in range(18)),
]  # fmt: skip
VIDEO = ["author_id", "video_type", "upload_type", "visible_status", "music_type", "tag"]


def kuairand(
    source: str | os.PathLike[str],
    tasks: tuple[str, ...] = ("is_click", "is_like", "long_view"),
    random_exposures: bool = False,
) -> PublicSet:
    """KuaiRand (Pure, 1K or 27K): logs, users and videos, CSV with headers.

    `log_standard_4_08_to_4_21_*` train; `log_standard_4_22_to_5_08_*` are
    halved by chance into rows to validate with and to test. Users' and
    videos' columns are joined from `user_features_*` and
    `video_features_basic_*`. Columns that are known only after the video was
    shown (play time, comments' time) are no features.

    Args:
        source: the folder `data` of the set, or one above it.
        tasks: labels among `TASKS`.
        random_exposures: test on `log_random_*`, the videos shown at random,
            in place of the later half.
    """
    unknown = [task for task in tasks if task not in TASKS]
    if unknown or not tasks:
        raise ValueError(f"`tasks` must be among {TASKS}. Received: tasks={tasks!r}.")
    early = _logs(source, "log_standard_4_08_to_4_21")
    late = _logs(source, "log_standard_4_22_to_5_08")
    test = _logs(source, "log_random") if random_exposures else late
    users = _tables(source, "user_features", "user_id", USER)
    videos = _tables(source, "video_features_basic", "video_id", [*VIDEO, "video_duration"])
    features = FeatureSet(
        [
            Categorical("user_id", dtype="string", side="user"),
            *(Categorical(n, dtype="string", side="user") for n in USER if n in users[1]),
            Categorical("video_id", dtype="string", side="candidate"),
            *(
                Categorical(n, dtype="string", side="candidate")
                for n in VIDEO
                if n in videos[1] and n != "tag"
            ),
            Categorical("tag", dtype="string", max_length=5, side="candidate"),
            Numeric("video_duration", normalize="log", side="candidate"),
            Categorical("hour", dtype="string"),
            Categorical("tab", dtype="string"),
        ]
    )
    transform = Chain(
        Join("user_id", users[0], users[1], "users of KuaiRand"),
        Join("video_id", videos[0], videos[1], "videos of KuaiRand"),
        Derive(["hourmin"], {"hour": (pa.string(), _hour)}, "hours of KuaiRand"),
    )
    half = [[Share(0, 0.5)], [Share(0.5, 1)]]
    parts = [(early, []), (late, half[0]), (test, [] if random_exposures else half[1])]
    return make_set(
        features,
        tasks,
        TERMS,
        parts,
        format="csv",
        csv=CsvOptions(list_separator=","),
        transform=transform,
    )


def _logs(source: str | os.PathLike[str], start: str) -> list[Path]:
    return find_all(
        source, lambda name: name.startswith(start) and ".csv" in name, f"named {start}*.csv"
    )


def _hour(batch: pa.RecordBatch) -> pa.Array:
    # 1905 is five past seven in the evening, 5 five past midnight.
    minutes = text(batch, "hourmin").to_pylist()
    return pa.array([str(int(m) // 100) if m and m.isdigit() else "" for m in minutes], pa.string())


def _tables(
    source: str | os.PathLike[str], start: str, key: str, wanted: list[str]
) -> tuple[pa.Array, dict[str, pa.Array]]:
    """Key and further columns of tables in one or several files, all text."""
    paths = _logs(source, start)
    reader = CsvSource(CsvOptions().for_format("csv"), BadRows())
    names = [name for name in wanted if name in reader.schema(paths[0]).names]
    if key not in reader.schema(paths[0]).names:
        raise DataError(f"The table has no column {key!r}.", paths[0])
    batches = [
        chunk.batch
        for path in paths
        for chunk in reader.read((path, None), [key, *names], set(), 1 << 16)
    ]
    table = pa.Table.from_batches(batches).combine_chunks()
    arrays = {}
    for name in [key, *names]:
        column = table.column(name).combine_chunks()
        array = pa.concat_arrays(column.chunks) if isinstance(column, pa.ChunkedArray) else column
        arrays[name] = array.cast(pa.string())
    return arrays.pop(key), arrays
