"""ZenML on NVIDIA Run:ai: a step operator and an orchestrator, flavor ``nvidia_runai``.

Importing this package imports nothing else, neither ZenML nor the control-plane client. Start
from ``zenml_runai.flavors`` for configuration and settings.
"""

from typing import Final

FLAVOR_NAME: Final = "nvidia_runai"

__all__ = ["FLAVOR_NAME"]
