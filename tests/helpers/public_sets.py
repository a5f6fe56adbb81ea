"""Very small copies of public data sets, in their exact formats, with values made up."""

import gzip
import pathlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq


def _write(path: pathlib.Path, lines, encoding="utf-8", zipped=False) -> pathlib.Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = "".join(f"{line}\n" for line in lines).encode(encoding)
    path.write_bytes(gzip.compress(data) if zipped else data)
    return path


def write_criteo(path: pathlib.Path, rows=200, seed=0, zipped=False) -> pathlib.Path:
    """Tab-separated, no header; numbers and hexadecimal categories may be empty."""
    rng = np.random.default_rng(seed)
    lines = []
    for _ in range(rows):
        numbers = ["" if rng.random() < 0.2 else str(rng.integers(-1, 500)) for _ in range(13)]
        words = ["" if rng.random() < 0.1 else f"{rng.integers(0, 9) * 7:08x}" for _ in range(26)]
        lines.append("\t".join([str(rng.integers(0, 2)), *numbers, *words]))
    return _write(path, lines, zipped=zipped)


def write_avazu(path: pathlib.Path, rows=200) -> pathlib.Path:
    """CSV with a header; `hour` runs over the set's ten days."""
    rng = np.random.default_rng(0)
    names = (
        "id,click,hour,C1,banner_pos,site_id,site_domain,site_category,app_id,app_domain,"
        "app_category,device_id,device_ip,device_model,device_type,device_conn_type,"
        "C14,C15,C16,C17,C18,C19,C20,C21"
    )
    lines = [names]
    for row in range(rows):
        hour = f"1410{21 + row * 10 // rows}{row % 24:02d}"
        words = [f"{rng.integers(0, 5):08x}" for _ in range(9)]
        numbers = [str(rng.integers(0, 4)) for _ in range(10)]
        start = [str(10**18 + row), str(rng.integers(0, 2)), hour, "1005", "0"]
        lines.append(",".join([*start, *words, *numbers]))
    return _write(path, lines)


def write_frappe(folder: pathlib.Path, rows=60) -> pathlib.Path:
    """libFM's form: a sign, then a one-hot id for each field."""
    rng = np.random.default_rng(0)
    for part in ("train", "validation", "test"):
        lines = []
        for _ in range(rows):
            ids = [10 * field + int(rng.integers(0, 5)) for field in range(10)]
            lines.append(" ".join([str(rng.choice([1, -1])), *(f"{i}:1" for i in ids)]))
        _write(folder / f"frappe.{part}.libfm", lines)
    return folder


def write_movielens_1m(folder: pathlib.Path) -> pathlib.Path:
    """`::` between the columns, Latin-1, no header."""
    users = ["1::F::1::10::48067", "2::M::56::16::70072", "3::M::25::15::55117-1234"]
    movies = [
        "1::Toy Story (1995)::Animation|Children's|Comedy",
        "2::Misérables, Les (1995)::Drama|Musical",
        '3::The "Quoted" One (1960)::Drama',
    ]
    ratings = [f"{1 + i % 3}::{1 + i * 7 % 4}::{1 + i * 3 % 5}::{978300000 + i}" for i in range(60)]
    _write(folder / "users.dat", users, "latin-1")
    _write(folder / "movies.dat", movies, "latin-1")
    _write(folder / "ratings.dat", ratings, "latin-1")
    return folder


def write_movielens_20m(folder: pathlib.Path) -> pathlib.Path:
    """CSV with headers, titles with commas quoted."""
    movies = [
        "movieId,title,genres",
        "1,Toy Story (1995),Adventure|Animation|Children|Comedy|Fantasy",
        '2,"American President, The (1995)",Comedy|Drama|Romance',
        '3,"Say ""Hi"" (2001)",(no genres listed)',
        "4,Without a Year,Drama",
    ]
    ratings = ["userId,movieId,rating,timestamp"]
    ratings += [f"{1 + i % 5},{1 + i % 4},{0.5 * (1 + i * 3 % 10)},{10**9 + i}" for i in range(80)]
    _write(folder / "movies.csv", movies)
    _write(folder / "ratings.csv", ratings)
    return folder


def write_kuairand(folder: pathlib.Path) -> pathlib.Path:
    """KuaiRand-Pure's files and headers; the tags of a video stand within quotes."""
    head = (
        "user_id,video_id,date,hourmin,time_ms,is_click,is_like,is_follow,is_comment,is_forward,"
        "is_hate,long_view,play_time_ms,duration_ms,profile_stay_time,comment_stay_time,"
        "is_profile_enter,is_rand,tab"
    )

    def log(rows, is_rand):
        return [head] + [
            f"{i % 4},{i % 6},20220408,{(i * 131) % 24 * 100 + 5},{1649400000000 + i},{i % 2},"
            f"0,0,0,0,0,{i % 3 == 0:d},{i * 10},5000,0,0,0,{is_rand},{i % 3}"
            for i in range(rows)
        ]

    _write(folder / "log_standard_4_08_to_4_21_pure.csv", log(40, 0))
    _write(folder / "log_standard_4_22_to_5_08_pure.csv", log(40, 0))
    _write(folder / "log_random_4_22_to_5_08_pure.csv", log(20, 1))
    onehot = ",".join(f"onehot_feat{i}" for i in range(18))
    users = [
        (
            "user_id,user_active_degree,is_lowactive_period,is_live_streamer,is_video_author,"
            "follow_user_num,follow_user_num_range,fans_user_num,fans_user_num_range,friend_user_num,"
            f"friend_user_num_range,register_days,register_days_range,{onehot}"
        )
    ]
    users += [
        f'{u},full_active,0,0,{u % 2},5,"(0,10]",0,0,0,0,107,61-90,' + ",".join(["1"] * 18)
        for u in range(4)
    ]
    videos = [
        (
            "video_id,author_id,video_type,upload_dt,upload_type,visible_status,video_duration,"
            "server_width,server_height,music_id,music_type,tag"
        )
    ]
    videos += [
        f'{v},{v % 3},NORMAL,2022-03-28,LongImport,0,{5000 + v},720,1280,1,9,"{v},{v + 1}"'
        for v in range(5)
    ]
    _write(folder / "user_features_pure.csv", users)
    _write(folder / "video_features_basic_pure.csv", videos)
    return folder


def write_ali_ccp(folder: pathlib.Path) -> pathlib.Path:
    """Skeletons and common features, `field\\x02id\\x03value` joined by `\\x01`."""

    def features(pairs):
        return "\x01".join(f"{field}\x02{value}\x03{weight}" for field, value, weight in pairs)

    for part, rows in (("train", 30), ("test", 20)):
        common = []
        for user in range(3):
            pairs = [("101", user, "1.0"), ("121", 7, "1.0"), ("109_14", user + 1, "0.69")]
            pairs += [("109_14", user + 2, "1.10")] * (user > 0)
            common.append(f"u{user},{len(pairs)},{features(pairs)}")
        lines = []
        for row in range(rows):
            pairs = [("205", row % 5, "1.0"), ("206", 1, "1.0"), ("210", 4, "1.0")]
            pairs += [("210", 5, "1.0"), ("508", 3, "2.3")]
            click = row % 2
            lines.append(f"{row},{click},{click * (row % 3 == 0)},u{row % 3},5,{features(pairs)}")
        _write(folder / f"sample_skeleton_{part}.csv", lines)
        _write(folder / f"common_features_{part}.csv", common)
    return folder


def write_logs(folder: pathlib.Path) -> pathlib.Path:
    """What the examples of `rankup_keras.data` read: logs in Parquet, and CSV files."""
    (folder / "logs").mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    items = [f"i{v}" for v in rng.integers(0, 9, 200)]
    prices, clicks = rng.lognormal(size=200), rng.integers(0, 2, 200)
    logs = {"item": items, "price": prices, "click": clicks, "day": np.arange(200) % 30}
    logs["split"] = np.where(rng.random(200) < 0.8, "train", "test")
    pq.write_table(pa.table(logs), folder / "logs" / "a.parquet")
    lines = [f"{i},{p:.3f},{c}" for i, p, c in zip(items, prices, clicks, strict=True)]
    _write(folder / "semicolons.csv", [line.replace(",", ";") for line in lines])
    _write(folder / "malformed.csv", ["item,price,click", *lines, "i1,cheap,0"])
    return folder
