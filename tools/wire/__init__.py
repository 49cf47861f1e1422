"""Recordings of the wire: scenarios that run against a control plane and against cassettes."""
