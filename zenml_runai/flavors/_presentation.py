"""How the flavors present themselves in ZenML."""

from typing import Final

DISPLAY_NAME: Final = "NVIDIA Run:ai"
# ZenML's own picture of Run:ai, as its dashboard shows it.
LOGO_URL: Final = (
    "https://public-flavor-logos.s3.eu-central-1.amazonaws.com/step_operator/runai.png"
)
DOCS_URL: Final = "https://run-ai-docs.nvidia.com/"

#: The optional service connector that holds the credentials of a control plane.
CONNECTOR_TYPE: Final = "nvidia_runai"
CONNECTOR_RESOURCE_TYPE: Final = "nvidia-runai"
