"""runai-perms: help time, requests and time of a check at tenant sizes, the set cover."""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import sys
import time
from itertools import combinations, product
from pathlib import Path

from benchmarks._report import Report, median_ratio, paired
from runai_perms import Permission, PermissionSet, smallest_cover
from tests.perms.plane import RULES, Caller, Plane

ROLES = 200
OWN_RULES = (1, 50, 500)
TENANT_RULES = (1, 100, 5_000)
RUNS = 15
SMALL_CASES = 300
SETS = 200

#: The same requests as a check with own credentials, with httpx alone.
BARE = """
import os, httpx
url = os.environ["RUNAI_BASE_URL"]
with httpx.Client(base_url=url) as http:
    form = {"grant_type": "client_credentials", "client_id": os.environ["RUNAI_CLIENT_ID"],
            "client_secret": os.environ["RUNAI_CLIENT_SECRET"]}
    token = http.post("/api/v2/token", data=form).json()["access_token"]
    http.headers["Authorization"] = f"Bearer {token}"
    for path in %r:
        http.get(path).raise_for_status().json()
"""
OWN_PATHS = [
    "/api/v1/authorization/me/access-rules?limit=500",
    "/api/v1/authorization/permissions",
    "/api/v1/org-unit/projects?filterBy=name%3D%3Dml-team&limit=500",
]
WITH_ROLES = [
    *OWN_PATHS,
    "/api/v2/authorization/roles?limit=500",
    "/api/v1/authorization/permission-sets",
]


def seconds(command: list[str], environment: dict[str, str] | None = None) -> float:
    """Wall time of a process that may use compiled modules, as an installed one does."""
    started = time.perf_counter()
    subprocess.run(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "", **(environment or {})},
    )
    return time.perf_counter() - started


def help_time(report: Report) -> None:
    command = str(Path(sys.executable).with_name("runai-perms"))
    ours, peer = paired(
        lambda: seconds([command, "--help"]),
        lambda: seconds([sys.executable, "-c", "import click"]),
        RUNS,
    )
    report.note("--help, median", f"{statistics.median(ours) * 1000:.0f} ms")
    report.note("import click, median", f"{statistics.median(peer) * 1000:.0f} ms")
    report.at_most("--help / import click", median_ratio(ours, peer), 1.6)
    code = (
        "import sys; sys.argv = ['runai-perms', '--help']\n"
        "from runai_perms.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "peak = next(l for l in open('/proc/self/status') if l.startswith('VmHWM'))\n"
        "print(peak.split()[1], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    report.at_most("--help, memory", int(done.stderr) / 1000, 30, " MB")


def tenant(rules: int) -> tuple[Plane, list[int]]:
    """A tenant with 200 roles and so many rules of other subjects."""
    plane = Plane()
    roles = [plane.role([Permission("project", "read")]) for _ in range(ROLES)]
    for number in range(rules):
        body = {
            "subjectId": f"user-{number}@example.com",
            "subjectType": "user",
            "roleId": roles[0],
            "scopeType": "project",
            "scopeId": plane.project["id"],
        }
        plane.admin.must("POST", RULES, body)
    return plane, roles


def caller_with(plane: Plane, roles: list[int], rules: int, reads_roles: bool) -> Caller:
    """An account with all that a step operator needs and so many rules in all."""
    caller, name = plane.account()
    wanted = ["project:read", "clusters-minimal:read", "workloads:read"]
    wanted += [f"trainings:{a}" for a in ("create", "read", "update")]
    wanted += ["roles:read"] if reads_roles else []
    plane.grant(name, plane.role(map(Permission.parse, wanted)), plane.scopes["project"])
    units = [plane.scopes[s] for s in ("project", "other project", "far project")]
    for role, unit in list(product(roles, units))[: rules - 1]:
        plane.grant(name, role, unit)
    return caller


def requests_at_sizes(report: Report) -> None:
    from runai_perms._check import check

    for tenant_rules in TENANT_RULES:
        plane, roles = tenant(tenant_rules)
        for own_rules, reads_roles in product(OWN_RULES, (True, False)):
            caller = caller_with(plane, roles, own_rules, reads_roles)
            label = f"{tenant_rules} rules in the tenant, {own_rules} own"
            sight = "reads roles" if reads_roles else "reads no roles"
            for subject, who, kind in (
                (None, caller, f"itself, {sight}"),
                (caller.client_id, plane.admin, "administrator"),
            ):
                before = plane.app.emulator.request_count
                with plane.client(who) as client:
                    answer = check(client, "step-operator", (), "ml-team", subject=subject)
                count = plane.app.emulator.request_count - before
                report.add(
                    f"{label}, {kind}",
                    f"{count} requests, exit {int(answer.exit_code())}",
                    "<= 6, exit 0",
                    count <= 6 and answer.exit_code() == 0,
                )


def check_time(report: Report) -> None:
    from benchmarks.emulator import emulator
    from runai_api import RunaiClient

    with emulator() as running:
        access = {"client_id": "emulator-admin", "client_secret": "emulator-admin-secret"}
        with RunaiClient(running.url, **access) as client:
            made = client.service_accounts.create("runner")
            client.access_rules.create(
                made.client_id,
                "service-account",
                client.roles.find("AI practitioner").id,
                "project",
                client.projects.find("ml-team").id,
            )
        command = str(Path(sys.executable).with_name("runai-perms"))
        runner = (made.client_id, made.client_secret.get_secret_value())
        admin = tuple(access.values())
        for label, who, paths in (
            ("submitter", runner, OWN_PATHS),
            ("administrator", admin, WITH_ROLES),
        ):
            environment = {
                "RUNAI_BASE_URL": running.url,
                "RUNAI_CLIENT_ID": who[0],
                "RUNAI_CLIENT_SECRET": who[1],
            }
            ours, peer = paired(
                lambda e=environment: seconds([command, "check", "-p", "ml-team"], e),
                lambda e=environment, p=paths: seconds([sys.executable, "-c", BARE % p], e),
                RUNS,
            )
            report.note(f"check, {label}, median", f"{statistics.median(ours) * 1000:.0f} ms")
            report.at_most(f"check / its bare requests, {label}", median_ratio(ours, peer), 2.0)


def random_sets(chance: random.Random, count: int, types: int) -> list[PermissionSet]:
    universe = [
        Permission(f"type-{t}", a)
        for t in range(types)
        for a in ("create", "read", "update", "delete")
    ]
    return [
        PermissionSet(str(i), f"set {i}", frozenset(chance.sample(universe, chance.randint(1, 8))))
        for i in range(count)
    ]


def fewest_excess(wanted: set[Permission], sets: list[PermissionSet]) -> int:
    """Exhaustive search: the least excess of any choice that covers all that can be covered."""
    can = wanted & frozenset().union(*(s.permissions for s in sets))
    best = 10**9
    for size in range(len(sets) + 1):
        for chosen in combinations(sets, size):
            union = frozenset().union(*(s.permissions for s in chosen))
            if can <= union:
                best = min(best, len(union - wanted))
    return best


def cover(report: Report) -> None:
    chance = random.Random(1)
    times, exact = [], 0
    for _ in range(40):
        sets = random_sets(chance, SETS, 40)
        wanted = chance.sample(sorted({p for s in sets for p in s.permissions}), 15)
        started = time.perf_counter()
        found = smallest_cover(wanted, sets)
        times.append(time.perf_counter() - started)
        exact += found.exact
    report.at_most(f"cover of {SETS} random sets, slowest of 40", max(times), 0.2, " s")
    report.note("... of which proved smallest", f"{exact} of 40")
    worse = 0
    for _ in range(SMALL_CASES):
        sets = random_sets(chance, chance.randint(1, 9), 4)
        wanted = set(chance.sample(sorted({p for s in sets for p in s.permissions}), 1))
        wanted |= {Permission(f"type-{chance.randrange(4)}", "read") for _ in range(4)}
        worse += len(smallest_cover(wanted, sets).excess) > fewest_excess(wanted, sets)
    report.at_most(f"small cases worse than exhaustive search, of {SMALL_CASES}", worse, 0)


def main() -> int:
    report = Report("Permissions")
    help_time(report)
    check_time(report)
    requests_at_sizes(report)
    cover(report)

    return report.show()


if __name__ == "__main__":
    sys.exit(main())
