import functools
import html.parser
import math

import numpy as np
import pytest

from rankup_keras.diagnostics import plots
from rankup_keras.diagnostics.record import RankProfile
from rankup_keras.diagnostics.relations import TokenRelations
from tests.diagnostics.profiles import profile_of

PROFILES = [profile_of(), *(profile_of(f"epoch {e}", e, loss=1.0 / e) for e in range(1, 30))]


class Tags(html.parser.HTMLParser):
    """Counts tags and collects texts."""

    def __init__(self, text):
        super().__init__()
        self.seen, self.texts = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)

    def handle_data(self, data):
        self.texts.append(data.strip())


def test_equal_pictures_are_equal_text_and_hold_no_date():
    first, again = (plots.svg("a", plots.along_network(PROFILES, "sample")) for _ in range(2))
    assert first == again
    assert "<metadata" not in first
    assert "<!DOCTYPE" not in first


def test_pictures_take_the_colors_of_the_page():
    text = plots.svg("a", plots.over_time(PROFILES, "sample"))
    assert "var(--soft)" in text
    assert "var(--card)" in text
    for drawn in ("#010203", "#030201", "#fefdfc", "#ffffff"):
        assert drawn not in text


def test_texts_stay_texts():
    def draw(axes):
        plots.heat_map(axes, [[0.5]], ["<a> & $b$"], ["$c$ & $d$"], 0.0)

    assert {"<a> & $b$", "$c$ & $d$"} <= set(Tags(plots.svg('"<e>"', draw)).texts)
    tags = Tags(plots.svg("title", plots.along_network(PROFILES, "token")))
    assert {"layer_0", "layer_1", "layer_2", "untrained", "epoch 1", "epoch 29"} <= set(tags.texts)


@pytest.mark.parametrize(
    "values", [[0.5], [0.5] * 3, [math.nan] * 3, [1e-12, 1.0, 1e12], [-5.0, 0.0, 3.0]], ids=str
)
def test_charts_of_any_values(values):
    marks = [str(i) for i in range(len(values))]
    draw = functools.partial(plots.heat_map, values=[values], rows=["row"], columns=marks, low=0.0)
    assert "path" in Tags(plots.svg("t", draw)).seen
    runs = [RankProfile(f"epoch {i}", i, i, {}, logs={"loss": v}) for i, v in enumerate(values)]
    assert "svg" in Tags(plots.svg("t", plots.metrics(runs)["loss"])).seen
    profile = profile_of("epoch 1")
    profile.layers["layer_0"].spectrum = [max(value, 0.0) for value in values]
    assert "svg" in Tags(plots.svg("t", plots.spectra([profile])["layer_0"])).seen


def test_long_runs_show_some_moments():
    draw = plots.layers_by_time([profile_of(str(i), i) for i in range(400)], "sample")
    texts = Tags(plots.svg("t", draw)).texts
    assert {"0", "399"} <= set(texts)
    assert sum(text.isdigit() for text in texts) <= 20


def test_figures_are_pictures_of_some_size():
    relation = TokenRelations("x", np.eye(4), np.eye(4), {"like": np.ones(4), "love": np.ones(4)})
    figures = [
        plots.rank_figure(PROFILES),
        plots.rank_figure(PROFILES[:1], "token"),
        *plots.training_figures(PROFILES).values(),
        relation.plot(),
    ]
    assert len(figures) == 8
    for figure in figures:
        assert plots.png(figure)[:4] == b"\x89PNG"
