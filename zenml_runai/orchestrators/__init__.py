"""The orchestrator: whole pipelines as Run:ai workloads."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zenml_runai.orchestrators.runai_orchestrator import RunAIOrchestrator

__all__ = ["RunAIOrchestrator"]


def __getattr__(name: str) -> Any:
    # The parts of the head are imported without the orchestrator by their tests and by workloads.
    if name == "RunAIOrchestrator":
        from zenml_runai.orchestrators.runai_orchestrator import RunAIOrchestrator

        return RunAIOrchestrator
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
