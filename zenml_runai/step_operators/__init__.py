"""The step operator of the flavor ``nvidia_runai``."""

from zenml_runai.step_operators.runai_step_operator import RunAIStepOperator

__all__ = ["RunAIStepOperator"]
