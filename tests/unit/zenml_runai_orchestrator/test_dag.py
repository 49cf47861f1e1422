"""The order of a DAG's nodes, its interruptions, attempts and its second life."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zenml_runai.orchestrators._dag import (
    Again,
    CallingThread,
    DagRunner,
    Interrupt,
    NodeState,
)

DIAMOND = {"load": [], "left": ["load"], "right": ["load"], "join": ["left", "right"]}
C, F, R, S, W, K = (
    NodeState.COMPLETED,
    NodeState.FAILED,
    NodeState.RUNNING,
    NodeState.STOPPED,
    NodeState.WAITING,
    NodeState.SKIPPED,
)


class Work:
    """Nodes that run until `finish` is called, or that end at once by a script."""

    def __init__(self, results: Mapping[str, list[NodeState | Again]] | None = None) -> None:
        self.results = {name: list(values) for name, values in (results or {}).items()}
        self.log: list[tuple[str, str]] = []
        self.running: set[str] = set()
        self.most = 0
        self.answer: Interrupt | None = None
        self.on_start: Callable[[str], None] = lambda name: None
        self.lock = threading.Lock()
        self.runner: DagRunner | None = None

    def start(self, name: str) -> NodeState | Again:
        with self.lock:
            self.log.append(("start", name))
            self.running.add(name)
            self.most = max(self.most, len(self.running))
        self.on_start(name)
        return R

    def settle(self, name: str) -> NodeState | Again:
        with self.lock:
            self.log.append(("settle", name))
            self.running.discard(name)
            script = self.results.get(name)
            return script.pop(0) if script else C

    def stop(self, name: str) -> None:
        with self.lock:
            self.log.append(("stop", name))
            self.running.discard(name)

    def interrupt(self) -> Interrupt | None:
        return self.answer

    def names(self, what: str) -> list[str]:
        return [name for kind, name in self.log if kind == what]


def run(
    upstream: Mapping[str, list[str]], work: Work, *, end_at_once: bool = True, **options: object
) -> dict[str, NodeState]:
    runner = DagRunner(upstream, work, interrupt_interval=0.01, **options)  # type: ignore[arg-type]
    work.runner = runner
    if end_at_once:
        before = work.on_start

        def on_start(name: str) -> None:
            before(name)
            runner.ended(name)

        work.on_start = on_start
    return runner.run()


def test_a_diamond_runs_in_order() -> None:
    work = Work()
    assert set(run(DIAMOND, work).values()) == {C}
    starts = work.names("start")
    assert starts[0] == "load"
    assert starts[-1] == "join"
    assert len(starts) == 4


def test_an_empty_dag_is_done() -> None:
    assert run({}, Work()) == {}


def test_upstream_nodes_that_are_not_in_the_dag_count_as_done() -> None:
    assert run({"join": ["left", "right"]}, Work()) == {"join": C}


def test_siblings_run_at_the_same_time_and_max_parallelism_holds() -> None:
    together = threading.Barrier(2, timeout=10)
    work = Work()
    work.on_start = lambda name: together.wait() and None
    assert set(run({"a": [], "b": []}, work).values()) == {C}

    wide = {f"n{i}": [] for i in range(12)}
    for limit in (1, 3):
        work = Work()
        run(wide, work, max_parallelism=limit)
        assert work.most <= limit


def test_a_failure_skips_what_depends_on_it_and_nothing_else() -> None:
    work = Work({"left": [F]})
    upstream = {**DIAMOND, "after": ["join"], "other": ["right"]}
    assert run(upstream, work) == {
        "load": C, "left": F, "right": C, "join": K, "after": K, "other": C,
    }  # fmt: skip


def test_drain_on_failure_lets_siblings_end_and_starts_nothing_more() -> None:
    work = Work({"bad": [F]})
    settled = threading.Event()

    def on_start(name: str) -> None:
        if name == "good":
            threading.Thread(target=lambda: (settled.wait(10), work.runner.ended("good"))).start()  # type: ignore[union-attr]
        else:
            work.runner.ended(name)  # type: ignore[union-attr]

    work.on_start = on_start
    original = work.settle

    def settle(name: str) -> NodeState | Again:
        result = original(name)
        if name == "bad":
            settled.set()
        return result

    work.settle = settle  # type: ignore[method-assign]
    upstream = {"bad": [], "good": [], "later": ["good"]}
    states = run(upstream, work, end_at_once=False, on_failure=Interrupt.DRAIN)
    assert states == {"bad": F, "good": C, "later": W}
    assert work.names("stop") == []


def test_stop_on_failure_stops_siblings_once() -> None:
    work = Work({"bad": [F]})
    good_runs = threading.Event()

    def on_start(name: str) -> None:
        if name == "good":
            good_runs.set()
        else:
            good_runs.wait(10)
            work.runner.ended(name)  # type: ignore[union-attr]

    work.on_start = on_start
    upstream = {"good": [], "bad": [], "later": ["good"]}
    states = run(upstream, work, end_at_once=False, on_failure=Interrupt.STOP)
    assert states == {"bad": F, "good": S, "later": K}
    assert work.names("stop") == ["good"]


def test_a_node_that_starts_while_everything_is_stopped_is_stopped_too() -> None:
    work = Work()

    def on_start(name: str) -> None:
        work.answer = Interrupt.STOP
        # Comes back only after the interruption has been seen.
        seen.wait(10)

    seen = threading.Event()
    original = work.interrupt

    def interrupt() -> Interrupt | None:
        answer = original()
        if answer is not None:
            threading.Timer(0.05, seen.set).start()
        return answer

    work.on_start = on_start
    work.interrupt = interrupt  # type: ignore[method-assign]
    assert run({"a": []}, work, end_at_once=False) == {"a": S}
    assert work.names("stop") == ["a"]


def test_another_attempt_comes_after_its_delay_and_counts_anew() -> None:
    work = Work({"a": [Again(0.05), Again(0.0), C]})
    assert run({"a": [], "b": ["a"]}, work) == {"a": C, "b": C}
    assert work.names("start") == ["a", "a", "a", "b"]


def test_an_interruption_ends_a_node_that_waits_for_another_attempt() -> None:
    work = Work({"a": [Again(3600.0)]})
    original = work.settle

    def settle(name: str) -> NodeState | Again:
        work.answer = Interrupt.DRAIN
        return original(name)

    work.settle = settle  # type: ignore[method-assign]
    assert run({"a": []}, work) == {"a": S}
    assert work.names("stop") == ["a"]


def test_an_error_in_start_or_settle_fails_the_node_only() -> None:
    work = Work()

    def on_start(name: str) -> None:
        if name == "a":
            raise RuntimeError("no")

    work.on_start = on_start
    assert run({"a": [], "b": [], "c": ["a"]}, work) == {"a": F, "b": C, "c": K}


def test_a_failing_question_for_interruptions_is_no_interruption() -> None:
    work = Work()

    def interrupt() -> Interrupt | None:
        raise ConnectionError("ZenML is away")

    work.interrupt = interrupt  # type: ignore[method-assign]
    assert set(run(DIAMOND, work).values()) == {C}


def test_a_second_life_repeats_nothing_that_is_finished() -> None:
    work = Work()
    states = run(DIAMOND, work, states={"load": C, "left": C}, resumed=["right"])
    assert set(states.values()) == {C}
    assert work.names("start") == ["right", "join"]


def test_a_second_life_keeps_failures() -> None:
    work = Work()
    states = run(DIAMOND, work, states={"load": C, "left": F}, resumed=["right"])
    assert states == {"load": C, "left": F, "right": C, "join": K}


def test_a_second_life_drains_what_ran_although_it_is_interrupted() -> None:
    work = Work()
    states = run(
        DIAMOND, work, states={"load": C, "left": F}, resumed=["right"], on_failure=Interrupt.DRAIN
    )
    assert states["right"] is C
    work = Work()
    states = run(
        {**DIAMOND, "free": []},
        work,
        end_at_once=False,
        states={"load": C, "left": F},
        resumed=["right"],
        on_failure=Interrupt.STOP,
    )
    assert states["right"] is S
    assert states["free"] is W
    assert work.names("stop") == ["right"]


def test_in_the_calling_thread_everything_runs_in_it_one_after_the_other() -> None:
    work = Work()
    threads = set()
    work.on_start = lambda name: threads.add(threading.current_thread())
    wide = {f"n{i}": [] for i in range(5)}
    states = run(wide, work, executor=CallingThread(), max_parallelism=1)
    assert set(states.values()) == {C}
    assert threads == {threading.current_thread()}
    assert work.most == 1


@st.composite
def dags(draw: st.DrawFn) -> dict[str, list[str]]:
    size = draw(st.integers(0, 9))
    return {
        f"n{i}": [f"n{j}" for j in range(i) if draw(st.integers(0, 3)) == 0] for i in range(size)
    }


@settings(max_examples=60, deadline=None)
@given(dags(), st.data())
def test_any_dag_starts_each_node_once_after_all_before_it(
    upstream: dict[str, list[str]], data: st.DataObject
) -> None:
    failing = {name for name in upstream if data.draw(st.integers(0, 4)) == 0}
    work = Work({name: [F] for name in failing})
    states = run(upstream, work, max_parallelism=data.draw(st.integers(1, 4)))
    order = defaultdict(list)
    for index, (kind, name) in enumerate(work.log):
        order[kind, name].append(index)
    for name, before in upstream.items():
        reachable = all(states[up] is C for up in before)
        assert states[name] is ((F if name in failing else C) if reachable else K)
        assert len(order["start", name]) == (1 if reachable else 0)
        for up in before:
            if reachable:
                assert order["settle", up][0] < order["start", name][0]


@pytest.mark.parametrize("limit", [None, 7])
def test_a_thousand_nodes(limit: int | None) -> None:
    upstream = {f"n{i}": [f"n{i - 10}"] if i >= 10 else [] for i in range(1000)}
    assert set(run(upstream, Work(), max_parallelism=limit).values()) == {C}
