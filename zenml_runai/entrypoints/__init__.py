"""What runs inside the workloads: the heads of pipelines, and their steps.

Nothing is imported here, so that naming an entrypoint costs nothing.
"""
