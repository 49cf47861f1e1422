"""Numbers and names of the orchestrator, each with its reason."""

from typing import Final

#: Starts of steps at a time. A start is some four requests to ZenML and one to Run:ai, most of
#: it waiting; ZenML's own pool has ten.
HEAD_WORKERS: Final = 16
#: Between two looks at the run's status for a stop; a request each.
INTERRUPT_CHECK_SECONDS: Final = 2.0
