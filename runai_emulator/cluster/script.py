"""Scripts of simulated workloads: phases and how long each lasts.

`Pending=3,Running=10,Completed` waits three seconds before it asks for resources, runs for ten,
and completes. Steps are joined by commas:

PHASE=SECONDS      stay in a phase: Creating, Pending, Initializing, Running, Degraded, Updating,
                   Unknown, Terminating
Fail[:REASON]      one pod fails (exit code 1, or 137 with OOMKilled) and counts for backoffLimit
Preempt            the workload is preempted and asks for resources again
Completed          the end; Failed[:REASON] likewise. Without an end the last phase lasts.
"""

from __future__ import annotations

from dataclasses import dataclass

_LASTING = (
    "Creating",
    "Pending",
    "Initializing",
    "Running",
    "Degraded",
    "Updating",
    "Unknown",
    "Terminating",
)
_INSTANT = ("Fail", "Preempt", "Completed", "Failed")

#: Where a workload carries its own script.
ANNOTATION = "runai-emulator/script"
VARIABLE = "RUNAI_EMULATOR_SCRIPT"


@dataclass(frozen=True, slots=True)
class Step:
    name: str
    seconds: float = 0.0
    reason: str | None = None


def parse(script: str) -> list[Step]:
    """The steps of a script; raises ValueError that says what is wrong."""
    steps = []
    for item in script.split(","):
        written = item.strip()
        name, equals, seconds = written.partition("=")
        if equals:
            if name not in _LASTING:
                raise ValueError(f"{name!r} is not a phase that can last: {', '.join(_LASTING)}")
            try:
                length = float(seconds)
            except ValueError:
                raise ValueError(f"{seconds!r} is not a number of seconds") from None
            if not 0 <= length < 1e9:
                raise ValueError(f"{seconds!r} is not a sensible number of seconds")
            steps.append(Step(name, length))
            continue
        name, _, reason = written.partition(":")
        if name not in _INSTANT:
            raise ValueError(f"{written!r} is neither PHASE=SECONDS nor {', '.join(_INSTANT)}")
        steps.append(Step(name, 0.0, reason or None))
        if name in ("Completed", "Failed"):
            break
    return steps


def script_of(spec: dict, default: str | None) -> str | None:
    """The script that a spec carries in an annotation or variable, else the default."""
    for item in spec.get("annotations") or ():
        if item.get("name") == ANNOTATION:
            return item.get("value") or ""
    for item in spec.get("environmentVariables") or ():
        if item.get("name") == VARIABLE and item.get("value") is not None:
            return item["value"]
    return default
