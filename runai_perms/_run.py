"""Running a check: open a client, ask (again, if it is to wait), close it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from runai_perms._check import Report, check, with_probes
from runai_perms._errors import ExitCode, UsageError
from runai_perms._target import Target

FIRST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 5.0
"""Pauses of ``--wait``: a rule is usually ready within seconds, so the first looks come soon."""


def run_check(
    target: Target,
    *,
    probing: bool,
    wait: float | None,
    exact: bool,
    talk: Callable[[str], None],
) -> Report:
    """Check, again and again while ``wait`` seconds last and rights are still on their way."""
    if probing and target.subject:
        raise UsageError("--probe asks with the subject's own credentials: leave --subject out")
    deadline = time.monotonic() + (wait or 0)
    pause = FIRST_PAUSE_SECONDS
    with target.access.client() as client:
        while True:
            report = check(
                client,
                target.profile,
                target.features,
                target.project,
                subject=target.subject,
                cluster=target.cluster,
                exact=exact,
            )
            if probing:
                from runai_perms._probe import probe

                needs = [v.need for v in report.evaluation.verdicts]
                report = with_probes(report, probe(client, needs, report.reading.path))
            left = deadline - time.monotonic()
            if wait is None or left <= 0 or not _on_its_way(report):
                return report
            talk(f"waiting for access rules to take effect ({left:.0f} s left)")
            time.sleep(min(pause, left))
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)


def write_file(path: str, text: str) -> None:
    """Write a report; a path that cannot be written is a usage error."""
    try:
        Path(path).write_text(text + "\n", "utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from None


def _on_its_way(report: Report) -> bool:
    """Whether waiting may change the answer."""
    pending = any(r.phase not in (None, "Ready") for r in report.reading.held.rules)
    refused = any(p.allowed is False for p in report.probes)
    return pending or refused or report.exit_code() is ExitCode.MISSING
