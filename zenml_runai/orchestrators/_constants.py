"""Numbers and names of the orchestrator, each with its reason."""

from typing import Final

#: Starts of steps at a time. A start is some four requests to ZenML and one to Run:ai, most of
#: it waiting; ZenML's own pool has ten.
HEAD_WORKERS: Final = 16
#: Between two looks at the run's status for a stop; a request each.
INTERRUPT_CHECK_SECONDS: Final = 2.0
#: How long the head waits for a ZenML server that is away before a step fails: an upgrade of the
#: server, with its migration, takes minutes.
ZENML_OUTAGE_SECONDS: Final = 900.0
#: Between two attempts; ZenML's client has tried for half a minute by then.
ZENML_RETRY_SECONDS: Final = 5.0
#: Between two looks for steps that have failed while their pods linger; a request to ZenML each.
LINGERING_CHECK_SECONDS: Final = 10.0
#: Metadata and deletions after steps, beside the work that the next steps wait for.
TIDY_WORKERS: Final = 4
