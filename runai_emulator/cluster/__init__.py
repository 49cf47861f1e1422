"""The cluster behind the control plane: workloads, their phases, scheduling, and execution."""
