"""Benchmarks of GPUs, which somebody runs once, on a machine that is lent for minutes."""

import argparse
import json
import time

import pytest
import tensorflow as tf

from benchmarks import dense_stack, gpu_bars, gpu_step, measuring


@pytest.fixture
def written(monkeypatch, tmp_path):
    """What was recorded, read from the file."""
    monkeypatch.setattr(measuring, "RESULTS", tmp_path)
    monkeypatch.setattr(measuring, "gpu", lambda: {"gpu": "NVIDIA H100 80GB HBM3", "driver": "1"})
    return lambda: json.loads((tmp_path / "gpu_bars.json").read_text())


def run_bars(monkeypatch, parts, *arguments):
    monkeypatch.setattr(gpu_bars, "PARTS", parts)
    monkeypatch.setattr("sys.argv", ["gpu_bars", *arguments])
    return gpu_bars.main()


def test_a_part_that_fails_takes_no_other_figures_with_it(monkeypatch, written, capsys):
    def first(o):
        yield "speed", 2.0, "at least", 1.0

    def broken(o):
        yield "half", 3.0, "at most", 4.0
        raise RuntimeError("out of memory")

    def ended(o):
        raise SystemExit("a process failed")
        yield

    def last(o):
        # What came before is on the disk already.
        assert set(written()) == {"speed", "half", "machine"}
        yield "time", 2.0, "at most", 1.0

    parts = {"first": first, "broken": broken, "ended": ended, "last": last}
    assert run_bars(monkeypatch, parts) == 1
    assert set(written()) == {"speed", "half", "time", "machine"}
    assert written()["time"] == {"value": 2.0, "bar": "at most 1.0", "met": False}
    said = capsys.readouterr().out
    assert "at most 8 minutes" in said.splitlines()[0]
    assert "FAILED broken: out of memory" in said
    assert "FAILED ended: a process failed" in said
    assert "2 met, 1 missed; failed: ['broken', 'ended']" in said
    assert run_bars(monkeypatch, {"first": first}) == 0


def test_parts_end_when_the_time_does(monkeypatch, written, capsys):
    def part(o):
        gpu_bars.run(o, "benchmarks.gpu_step")
        yield "never", 0.0, "at most", 1.0

    monkeypatch.setattr(measuring, "in_fresh_process", lambda *_, **__: pytest.fail("started"))
    assert run_bars(monkeypatch, {"part": part}, "--minutes", "0.1") == 1
    assert "FAILED part: no time is left for it" in capsys.readouterr().out
    timeouts = []
    monkeypatch.setattr(
        measuring, "in_fresh_process", lambda *_, timeout, **__: timeouts.append(timeout)
    )
    run_bars(monkeypatch, {"part": part}, "--minutes", "2")
    assert 100 < timeouts[0] <= 120


def test_pytorch_is_tried_without_the_libraries_of_tensorflow(monkeypatch, capsys):
    monkeypatch.setattr(gpu_bars.importlib.util, "find_spec", lambda name: name)
    monkeypatch.setenv("LD_LIBRARY_PATH", "/cuda-12")
    started = []

    def run(o, module, *options, **environment):
        started.append((options[-1], environment))
        if options[-1] == "torch_compile" and not environment:
            raise SystemExit("libcudnn.so.9: version mismatch")
        return {"gflop_a_step": 989.0, options[-1]: {"median_ms": 4.0 if environment else 2.0}}

    monkeypatch.setattr(gpu_bars, "run", run)
    o = argparse.Namespace(tiny=True)
    mfu, ratio = gpu_bars.dense("16,768,2,2.8333", 4096, "train", 0.4, 1.3)(o)
    assert mfu[1] == pytest.approx(0.5)
    assert ratio[1] == pytest.approx(2.0)
    apart = ("torch_compile", {"LD_LIBRARY_PATH": ""})
    assert started == [("rankup_keras", {}), ("torch_compile", {}), apart]
    assert "libcudnn.so.9" in capsys.readouterr().out


@pytest.mark.processes
def test_a_process_that_takes_too_long_ends_with_what_it_started(tmp_path, monkeypatch):
    program = "import os, subprocess, sys\n"
    program += "print('[\"%s\"]' % os.environ['TF_FORCE_GPU_ALLOW_GROWTH'], flush=True)\n"
    program += "if sys.argv[1:]: subprocess.run(['sleep', '60'])\n"
    (tmp_path / "lingers.py").write_text(program)
    here = {"PYTHONPATH": str(tmp_path)}
    # TensorFlow leaves memory of a GPU to PyTorch, and to the process after it.
    assert measuring.in_fresh_process("lingers", environment=here) == ["true"]
    start = time.monotonic()
    with pytest.raises(SystemExit, match="lingers wait was stopped after 1 s"):
        measuring.in_fresh_process("lingers", "wait", environment=here, timeout=1)
    assert time.monotonic() - start < 20


def test_a_gpu_that_tensorflow_does_not_see_is_not_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
    smi = tmp_path / "nvidia-smi"
    smi.write_text("#!/bin/sh\necho 'NVIDIA H100 80GB HBM3, 580.1'\n")
    smi.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert gpu_bars.flops_of_card() == 989e12
    with pytest.raises(SystemExit, match="does not see this machine's NVIDIA H100"):
        measuring.on_gpu()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert not measuring.on_gpu()
    assert measuring.gpu() == {}


def test_a_round_on_a_gpu_is_longer_than_the_wait_for_its_end():
    # Training of 107M parameters at 4,096 rows, a step of which takes some 7 ms; 512 rows.
    flops = 12 * 2 * 16 * 4096 * 768 * 2176
    assert dense_stack.steps_of(flops, on_gpu=True) == 38
    assert dense_stack.steps_of(flops / 8, on_gpu=True) == 100
    assert dense_stack.steps_of(flops, on_gpu=False) == 1


def test_what_fit_does_around_an_epoch_is_no_step():
    around, step = 0.3, 0.005
    seconds = {"fit": [around + 110 * step] * 3, "few": [around + 10 * step] * 3, "step": [0.4]}
    assert gpu_step.steps_alone(seconds) == {
        "fit": [pytest.approx(100 * step)] * 3,
        "step": [0.4],
    }
    assert gpu_step.FEW == 10
