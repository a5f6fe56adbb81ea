import html.parser
import json
import pathlib
import shutil
import subprocess

import numpy as np
import pytest
import tensorflow as tf

from rankup_keras.callbacks import EffectiveRank
from rankup_keras.diagnostics import rank_profile, read_profiles, reliability, report
from rankup_keras.diagnostics import token_relations as relations_of
from tests.diagnostics.networks import Tied, column_rows, rows, token_network

VOID = {"meta", "link", "br"}
ACTIVATIONS = np.random.default_rng(0).normal(size=(64, 4, 8))
LINKS = ("src", "href", "xlink:href")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

# Appended to a copy of the page: says what the browser made of it.
PROBE = """<script>
addEventListener("load", () => {
  const svgs = [...document.querySelectorAll("svg")];
  const cut = [];
  for (const svg of svgs) {
    const box = svg.viewBox.baseVal;
    const frame = svg.getBoundingClientRect();
    for (const text of svg.querySelectorAll("text")) {
      const r = text.getBoundingClientRect();
      if (r.left < frame.left - 1.5 || r.right > frame.right + 1.5 ||
          r.top < frame.top - 1.5 || r.bottom > frame.bottom + 1.5) cut.push(text.textContent);
    }
  }
  const shapes = "path,use,image";
  const drawn = s => s.getBoundingClientRect().height >= 40 && s.querySelector(shapes);
  parent.postMessage(JSON.stringify({
    width: innerWidth,
    overflow: document.documentElement.scrollWidth - innerWidth,
    svgs: svgs.length,
    empty: svgs.filter(s => !drawn(s)).length,
    smallest: Math.min(...[...document.querySelectorAll("p,li,td")].map(
      e => parseFloat(getComputedStyle(e).fontSize))),
    cut: cut,
  }), "*");
});
</script>"""

# A window cannot be as narrow as a phone; a frame can.
FRAME = """<script>onmessage = e => document.body.dataset.found = e.data</script>
<iframe src="{page}" style="width:{width}px;height:900px;border:0"></iframe>"""


class Checker(html.parser.HTMLParser):
    """Collects tags, and whether each that was opened was closed."""

    def __init__(self):
        super().__init__()
        self.open, self.seen, self.outside, self.texts = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        self.outside += [v for k, v in attrs if k in LINKS and not v.startswith(("data:", "#"))]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def train(folder, model=None, **kwargs):
    model = model or token_network()
    callback = EffectiveRank(column_rows(200), path=folder / "ranks.jsonl", **kwargs)
    x, y = column_rows(200)
    model.fit(
        x, y, epochs=3, batch_size=50, verbose=0, callbacks=[callback], validation_data=(x, y)
    )
    return model, callback


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    model, callback = train(folder)
    relations = relations_of(model, column_rows(200), ["tokens"], clusters=4)
    page = folder / "page.html"
    click, share, city = [0, 1, 1, 0], [0.1, 0.6, 0.8, 0.3], ["a<b>", "c", "a<b>", "d"]
    told = {"click": reliability(click, share, segments=city, bins=3, by="city")}
    report(callback, page, title="A <run> & more", relations=relations, calibration=told)
    return folder, callback, page.read_text(encoding="utf-8")


def test_the_page_is_whole_and_needs_nothing_else(run):
    checker = Checker()
    checker.feed(run[2])
    assert checker.open == []
    assert checker.outside == []
    assert "script" not in checker.seen
    # 2 along the network, 2 over time, 1 of tokens, 1 loss, 5 spectra, 3 relations.
    assert checker.seen.count("svg") == 15
    assert "<title>A &lt;run&gt; &amp; more</title>" in run[2]


def test_the_page_has_the_numbers(run):
    last = run[1].profiles[-1]
    for name, ranks in last.layers.items():
        assert f"<td>{name}</td>" in run[2]
        assert f"<td>{ranks.mean:.2f} of {ranks.ceiling}</td>" in run[2]
    assert f"{last.tables['item'].abundance:.2f} of" in run[2]
    assert "No layer is collapsed" in run[2]


def test_callback_file_folder_and_profiles_give_the_same_page(run, tmp_path):
    folder, callback, _ = run
    pages = [
        callback.report(tmp_path / "a.html"),
        report(folder, tmp_path / "b.html"),
        report(folder / "ranks.jsonl", tmp_path / "c.html"),
        report(read_profiles(folder / "ranks.jsonl"), tmp_path / "d.html"),
    ]
    texts = {pathlib.Path(page).read_text(encoding="utf-8") for page in pages}
    assert len(texts) == 1
    assert report(folder) == str(folder / "effective_rank.html")


def test_a_collapse_is_on_the_page(tmp_path):
    model = token_network({"block_1_ffn": lambda name: Tied(name=name)})
    with pytest.warns(UserWarning, match="block_1_ffn"):
        _, callback = train(tmp_path, model)
    text = pathlib.Path(callback.report(tmp_path / "page.html")).read_text(encoding="utf-8")
    assert '<li class="problem"><b>Problem.</b>Layer &#x27;block_1_ffn&#x27; has collapsed' in text


def test_a_single_measurement_has_a_page_too(tmp_path):
    profile = rank_profile(token_network(), column_rows())
    assert "Tokens by layer, now" in pathlib.Path(report(profile, tmp_path / "p.html")).read_text()


def test_names_are_text_and_nothing_else(tmp_path):
    name = "<script>alert('$x$')</script> & $y$"
    profile = rank_profile(None, rows()[0], activations=lambda ids: {name: ACTIVATIONS})
    page = pathlib.Path(report([profile, profile], tmp_path / "page.html", title=name))
    checker = Checker()
    checker.feed(page.read_text(encoding="utf-8"))
    assert "script" not in checker.seen
    assert checker.open == []
    assert checker.texts.count(name) >= 8  # title, charts, tables


def test_wrong_runs_are_named(tmp_path):
    with pytest.raises(ValueError, match="does not exist"):
        report(tmp_path / "nothing.jsonl")
    with pytest.raises(ValueError, match=r"one \.jsonl file.*Found: \[\]"):
        report(tmp_path)
    with pytest.raises(ValueError, match="Received: int"):
        report(3, tmp_path / "page.html")
    with pytest.raises(ValueError, match="no measurement"):
        report([], tmp_path / "page.html")
    with pytest.raises(ValueError, match="`path` is needed"):
        report([rank_profile(token_network(), column_rows())])


def ask_browser(browser, folder, page, width):
    """What the browser made of the page, and what it wrote to the console."""
    frame = folder / "frame.html"
    frame.write_text(FRAME.format(page=page.name, width=width))
    result = subprocess.run(
        [browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
         f"--user-data-dir={folder / 'profile'}", "--enable-logging=stderr", "--dump-dom",
         "--window-size=1400,1000", "--virtual-time-budget=5000", frame.as_uri()],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    attribute = result.stdout.split('data-found="', 1)[1].split('"', 1)[0]
    console = [line for line in result.stderr.splitlines() if "CONSOLE" in line]
    return json.loads(attribute.replace("&quot;", '"')), console


@pytest.mark.parametrize("width", [1280, 390])
def test_a_real_browser_draws_every_picture(run, tmp_path, width):
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip(f"no browser on PATH: {', '.join(BROWSERS)}")
    page = tmp_path / "page.html"
    page.write_text(run[2].replace("</body>", PROBE + "</body>"), encoding="utf-8")
    found, console = ask_browser(browser, tmp_path, page, width)
    assert console == []
    assert found["svgs"] == 15
    assert found["empty"] == 0
    assert found["overflow"] <= 0
    assert found["cut"] == []
    assert found["smallest"] >= 12
    assert found["width"] == width
    shot = tmp_path / "shot.png"
    subprocess.run(
        [browser, "--headless=new", "--no-sandbox", "--disable-gpu",
         f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},900",
         f"--screenshot={shot}", page.as_uri()],
        capture_output=True, timeout=120, check=True,
    )  # fmt: skip
    assert tf.io.decode_png(shot.read_bytes(), channels=3).numpy().std() > 10.0
