"""Runs the nodes of a DAG: starts what is ready, drains or stops when told, all by events.

ZenML has a DAG runner of its own. It looks at its nodes every half second, leaves running nodes
alone when it is interrupted, and starts a failed node again at once or never. Here a node that
ends starts its successors at once, an interruption waits for what runs, and a node can ask for
another attempt after a delay.
"""

import contextvars
import heapq
import queue
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from zenml.logger import get_logger

from zenml_runai.orchestrators._constants import HEAD_WORKERS, INTERRUPT_CHECK_SECONDS

logger = get_logger(__name__)


class NodeState(StrEnum):
    """Where a node is. Nodes that never started stay WAITING when the DAG is interrupted."""

    WAITING = "waiting"
    STARTING = "starting"
    RUNNING = "running"
    SETTLING = "settling"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"
    STOPPED = "stopped"


@dataclass(frozen=True)
class Again:
    """The node wants another attempt, `delay` seconds from now."""

    delay: float = 0.0


class Interrupt(StrEnum):
    """DRAIN starts nothing more and waits for what runs; STOP ends what runs."""

    DRAIN = "drain"
    STOP = "stop"


class NodeWork(Protocol):
    """What a DAG does for its nodes; called from several threads at once."""

    def start(self, name: str) -> NodeState | Again:
        """Start a node. RUNNING promises a later call of `DagRunner.ended`."""

    def settle(self, name: str) -> NodeState | Again:
        """Say how a node ended."""

    def stop(self, name: str) -> None:
        """End a node that runs, or that waits for another attempt."""

    def interrupt(self) -> Interrupt | None:
        """Whether somebody wants the DAG to end; asked now and then."""


class CallingThread(Executor):
    """Runs each piece of work at once, in the thread that submits it."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


class DagRunner:
    """One run of a DAG.

    Args:
        upstream: The nodes in the order of preference, each with the names of those before it.
        work: What to do for a node.
        states: Nodes that an earlier life of this DAG has finished, with their final states.
        resumed: Nodes that ran when that life ended; they are started in any case, first of all.
        max_parallelism: Nodes that run at the same time at most.
        on_failure: What the failure of a node means for the others; None lets them run.
        executor: Where `work` is called; a pool of threads by default.
        interrupt_interval: Seconds between two questions for an interruption.
    """

    def __init__(
        self,
        upstream: Mapping[str, Collection[str]],
        work: NodeWork,
        *,
        states: Mapping[str, NodeState] | None = None,
        resumed: Collection[str] = (),
        max_parallelism: int | None = None,
        on_failure: Interrupt | None = None,
        executor: Executor | None = None,
        interrupt_interval: float = INTERRUPT_CHECK_SECONDS,
    ) -> None:
        self._work = work
        self._max_parallelism = max_parallelism or max(len(upstream), 1)
        self._on_failure = on_failure
        self._own_pool = executor is None
        self._pool = executor or ThreadPoolExecutor(HEAD_WORKERS, thread_name_prefix="runai-head")
        self._interrupt_interval = interrupt_interval

        self._states = dict.fromkeys(upstream, NodeState.WAITING)
        self._missing = {
            name: {up for up in ups if up in self._states} for name, ups in upstream.items()
        }
        self._downstream: dict[str, list[str]] = {name: [] for name in upstream}
        for name, missing in self._missing.items():
            for up in missing:
                self._downstream[up].append(name)

        self._events: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._ready: deque[str] = deque()
        self._resumed = deque(name for name in upstream if name in resumed)
        self._retries: list[tuple[float, str]] = []
        self._early: set[str] = set()
        self._active = 0
        self._interrupted: Interrupt | None = None
        self._asking = False
        self._next_question = 0.0
        self._restore(states or {})

    def _restore(self, states: Mapping[str, NodeState]) -> None:
        for name, state in states.items():
            if name in self._states:
                self._finish(name, state)
                if state is NodeState.FAILED and self._on_failure is not None:
                    self._interrupted = self._on_failure
        self._ready = deque(
            name
            for name, missing in self._missing.items()
            if not missing and self._states[name] is NodeState.WAITING and name not in self._resumed
        )

    def run(self) -> dict[str, NodeState]:
        """Run the DAG to its end; returns the state of each node."""
        try:
            while not self._done():
                self._ask()
                self._start_what_is_due()
                try:
                    handle = self._events.get(timeout=self._patience())
                except queue.Empty:
                    continue
                handle()
        finally:
            if self._own_pool:
                self._pool.shutdown(wait=True, cancel_futures=True)
        return dict(self._states)

    def ended(self, name: str) -> None:
        """Tell that a running node has ended; may come before its `start` has returned."""
        self._events.put(lambda: self._on_ended(name))

    def _done(self) -> bool:
        if self._active or self._asking or self._resumed or self._retries:
            return False
        return self._interrupted is not None or not self._ready

    def _patience(self) -> float | None:
        """Seconds until something is due without an event; None when nothing is."""
        due = [] if self._asking else [self._next_question]
        if self._retries:
            due.append(self._retries[0][0])
        return max(min(due) - time.monotonic(), 0.0) if due else None

    def _ask(self) -> None:
        if self._asking or time.monotonic() < self._next_question:
            return
        self._asking = True
        self._call(self._work.interrupt, self._on_answer, on_error=None)

    def _on_answer(self, answer: Interrupt | None) -> None:
        self._asking = False
        self._next_question = time.monotonic() + self._interrupt_interval
        if answer is not None:
            self._interrupt(answer)

    def _start_what_is_due(self) -> None:
        while self._resumed and self._active < self._max_parallelism:
            self._start(self._resumed.popleft())
        now = time.monotonic()
        while self._retries and (self._interrupted or self._retries[0][0] <= now):
            _, name = heapq.heappop(self._retries)
            if self._interrupted:
                self._active += 1
                self._stop(name)
            else:
                self._ready.append(name)
        while self._ready and not self._interrupted and self._active < self._max_parallelism:
            self._start(self._ready.popleft())

    def _start(self, name: str) -> None:
        self._states[name] = NodeState.STARTING
        self._active += 1
        self._call(
            lambda: self._work.start(name),
            lambda result: self._on_result(name, result),
            on_error=NodeState.FAILED,
        )

    def _on_result(self, name: str, result: NodeState | Again) -> None:
        if result is NodeState.RUNNING:
            self._states[name] = result
            if name in self._early:
                self._early.discard(name)
                self._on_ended(name)
            elif self._interrupted is Interrupt.STOP:
                self._stop(name)
            return
        self._active -= 1
        self._early.discard(name)
        if isinstance(result, Again):
            self._states[name] = NodeState.WAITING
            heapq.heappush(self._retries, (time.monotonic() + result.delay, name))
            return
        self._finish(name, result)
        if result is NodeState.FAILED and self._on_failure is not None:
            self._interrupt(self._on_failure)

    def _on_ended(self, name: str) -> None:
        state = self._states[name]
        if state is NodeState.STARTING:
            self._early.add(name)
        elif state is NodeState.RUNNING:
            self._states[name] = NodeState.SETTLING
            self._call(
                lambda: self._work.settle(name),
                lambda result: self._on_result(name, result),
                on_error=NodeState.FAILED,
            )

    def _interrupt(self, interrupt: Interrupt) -> None:
        if self._interrupted in (Interrupt.STOP, interrupt):
            return
        self._interrupted = interrupt
        if interrupt is Interrupt.STOP:
            for name, state in self._states.items():
                if state is NodeState.RUNNING:
                    self._stop(name)

    def _stop(self, name: str) -> None:
        self._states[name] = NodeState.SETTLING

        def stop() -> NodeState:
            self._work.stop(name)
            return NodeState.STOPPED

        self._call(stop, lambda result: self._on_result(name, result), on_error=NodeState.STOPPED)

    def _finish(self, name: str, state: NodeState) -> None:
        self._states[name] = state
        if state is NodeState.COMPLETED:
            for after in self._downstream[name]:
                missing = self._missing[after]
                missing.discard(name)
                if not missing and self._states[after] is NodeState.WAITING:
                    self._ready.append(after)
            return
        lost = deque(self._downstream[name])
        while lost:
            after = lost.popleft()
            if self._states[after] is NodeState.WAITING:
                self._states[after] = NodeState.SKIPPED
                logger.warning("Skipping `%s`: `%s` is %s.", after, name, state.value)
                lost.extend(self._downstream[after])

    def _call(
        self,
        do: Callable[[], Any],
        then: Callable[[Any], None],
        *,
        on_error: NodeState | None,
    ) -> None:
        """Have `do` done in the pool and its result handled by `then` in the thread of `run`."""

        def call() -> None:
            try:
                result = do()
            except Exception:
                logger.exception("A piece of the head's work failed.")
                result = on_error
            self._events.put(lambda: then(result))

        self._pool.submit(contextvars.copy_context().run, call)
