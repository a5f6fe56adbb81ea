import re

from rankup_keras.diagnostics.record import TableRanks
from rankup_keras.diagnostics.report_sections import sections, summary
from tests.diagnostics.profiles import profile_of


def headings(profiles, relations=None):
    text = "".join(sections(profiles, relations or {}, 0.3, {}, ()))
    return re.findall("<h2>(.*?)</h2>", text)


def test_sections_depend_on_what_was_measured():
    run = [profile_of(), profile_of("epoch 1", 1, loss=0.5), profile_of("epoch 2", 2, loss=0.4)]
    run[-1].tables["item"] = TableRanks(50, 8, 50, 6.0, 8)
    always = ["What it says", "Along the network, sample view", "Along the network, token view"]
    end = ["Layers, epoch 2", "Embedding tables", "How to read this"]
    assert headings(run) == [
        *always, "Layers by time", "Over training", "Tokens by layer, epoch 2",
        "Losses and metrics", "Spectra", *end,
    ]  # fmt: skip
    assert headings([profile_of("now")]) == [
        *always, "Tokens by layer, now", "Spectra", "Layers, now", "How to read this"
    ]  # fmt: skip


def test_the_summary_tells_what_was_measured_and_what_it_cost():
    run = [profile_of(), profile_of("epoch 1", 1)]
    assert summary(run) == (
        "3 layers, 4 tokens of width 8, 32 samples; 2 measurements up to step 1 (epoch 1), taking "
        "0.0 s in all."
    )


def test_the_page_names_the_run_and_its_tokens():
    about = {"model": "rankup", "test: click": "auc 0.7000"}
    tokens = [("sparse", "user, <item>"), ("sparse", "city"), ("task", "click"), ("mine", "")]
    text = "".join(sections([profile_of()], {}, 0.3, about, tokens))
    assert "<td>test: click</td><td>auc 0.7000</td>" in text
    assert "<td>0</td><td>sparse</td><td>user, &lt;item&gt;</td>" in text
    # Each family that is there is explained, once.
    assert text.count("sparse: the embeddings of some fields, projected.") == 1
    assert "task: a learned vector per task" in text
    assert "crossed:" not in text
