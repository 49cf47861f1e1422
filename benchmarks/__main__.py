"""Run every benchmark in a process of its own; name some to run only those.

``python -m benchmarks [NAME ...]``
"""

from __future__ import annotations

import pkgutil
import subprocess
import sys
import time

import benchmarks


def main(chosen: list[str]) -> int:
    names = [
        m.name for m in pkgutil.iter_modules(benchmarks.__path__) if not m.name.startswith("_")
    ]
    unknown = sorted(set(chosen) - set(names))
    if unknown:
        print(f"no benchmark named {', '.join(unknown)}; there are: {', '.join(names)}")
        return 2
    failed = []
    for name in chosen or names:
        print(f"== {name}", flush=True)
        started = time.monotonic()
        if subprocess.run([sys.executable, "-m", f"benchmarks.{name}"]).returncode:
            failed.append(name)
        print(f"   ({time.monotonic() - started:.0f} s)\n", flush=True)
    if failed:
        print(f"could not be measured, or missed their goal: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
