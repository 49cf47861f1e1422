"""Numbers and names of the orchestrator, each with its reason."""

from collections.abc import Sequence
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
#: Between two looks at what is known of the workloads when nothing new is heard: timeouts.
WATCH_SECONDS: Final = 1.0
#: Between attempts to submit while the control plane is away, beyond the client's own; the last
#: one is repeated. Nothing is lost meanwhile, so there is no hurry.
OUTAGE_PAUSES: Final[Sequence[float]] = (1.0, 2.0, 5.0, 10.0, 15.0)

#: Metadata of the run: the head workload, and how many heads the run has had. A dynamic run that
#: is resumed after its end gets another.
HEAD_ID: Final = "runai_head_id"
HEAD_NAME: Final = "runai_head_name"
HEAD_NUMBER: Final = "runai_head_number"

#: Between two questions to a step operator for a step; doubled up to the second number for
#: operators that ask a backend of their own, as ZenML's own waiting does.
OPERATOR_POLL_SECONDS: Final = 1.0
OPERATOR_POLL_SECONDS_MAX: Final = 16.0

#: Restarts of a failed step within its workload, where the user does not say. A step that raised
#: would raise again while it holds its GPU; ZenML retries steps, as workloads of their own.
STEP_BACKOFF_LIMIT: Final = 0

#: Between two looks at a run that is waited for, and at a head that is being stopped.
HEAD_POLL_SECONDS: Final = 2.0
#: How long a head may take to stop before its steps are stopped beside it: Kubernetes' default
#: grace period and some time to notice.
HEAD_STOP_SECONDS: Final = 45.0

#: Between two looks of a dynamic head at its isolated steps. ZenML's own ten seconds spare the
#: backend, which is asked only once for all steps here.
DYNAMIC_MONITORING_VARIABLE: Final = "ZENML_DYNAMIC_PIPELINE_MONITORING_INTERVAL"
DYNAMIC_MONITORING_SECONDS: Final = "1.0"
