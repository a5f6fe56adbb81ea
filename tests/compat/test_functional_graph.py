import keras

from rankup_keras.compat.functional_graph import call_of, calls


def graph():
    x = keras.Input((4,), name="x")
    shared = keras.layers.Dense(4, name="shared")
    first = shared(x)
    second = shared(first)
    return x, shared, first, second, keras.layers.Add(name="sum")([second, x])


def test_calls_are_told_apart_and_lead_back_to_the_inputs():
    _, shared, first, second, total = graph()
    assert call_of(second) == (shared, 1, [first], [second])
    assert call_of(first).number == 0
    found = [(call.operation.name, call.number) for call in calls([total])]
    assert sorted(found) == [("shared", 0), ("shared", 1), ("sum", 0), ("x", 0)]
    assert len(found) == 4


def test_paths_around_an_operation():
    total = graph()[-1]
    assert {call.operation.name for call in calls([total], without="shared")} == {"sum", "x"}


def test_keras_has_no_public_way_yet():
    _, shared, first, *_ = graph()
    public = {name for name in dir(first) if not name.startswith("_")}
    assert not {name for name in public if "node" in name or "operation" in name}
    assert {name for name in public if "history" in name} <= {"record_history"}
    assert shared.output is first  # of one call only
