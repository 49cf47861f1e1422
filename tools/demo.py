"""The main job on the embedded control plane, from admin credentials to a running pipeline.

Starts the lab, then runs the commands that a user runs against a real tenant, and shows each of
them: ``pulumi up``, ``zenml stack set``, ``runai-perms check``, and the quickstart pipeline. Stops
at the first that fails. The services keep running, so that one can go on from there.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time

from tools import lab, pulumi_engine, services

STACK = "demo"
ZENML_STACK = f"runai-{STACK}"
PROJECT = "ml-team"


class CommandFailed(Exception):
    """A command of the demo ended with an error."""


def main() -> int:
    started = time.monotonic()
    running = lab.up()
    environment = {**os.environ, **lab.environment()}
    zenml_key = environment["ZENML_STORE_API_KEY"]

    def run(*command: str, secret: str | None = None) -> None:
        """Run and show a command; `secret` goes to its standard input, not to its arguments."""
        shown = shlex.join(command)
        print(f"\n$ {shown}" + (" < (secret)" if secret else ""), flush=True)
        ran = subprocess.run(
            command, env=environment, cwd=pulumi_engine.ROOT, input=secret, text=True
        )
        if ran.returncode:
            raise CommandFailed(f"`{shown}` ended with exit code {ran.returncode}")

    def set_secret(path: str, value: str) -> None:
        run("pulumi", "config", "set", "--secret", "--path", path, secret=value)

    print("1. Configure: the admin credentials of the control plane and of ZenML")
    run("pulumi", "stack", "select", "--create", STACK)
    values = {
        "runaiBaseUrl": running["emulator"].url,
        "runaiClientId": services.EMULATOR_ADMIN_ID,
        "runaiProject": PROJECT,
        "zenmlUrl": running["zenml"].url,
        "artifactStoreDefinition.flavor": "s3",
        "artifactStoreDefinition.configuration.path": f"s3://{services.S3_BUCKET}",
        "artifactStoreDefinition.configuration.client_kwargs.endpoint_url": running["s3"].url,
        "artifactStoreDefinition.configuration.client_kwargs.region_name": "us-east-1",
        "containerRegistryDefinition.flavor": "default",
        "containerRegistryDefinition.configuration.uri": "registry.example.com/ml",
    }
    pairs = [part for key, value in values.items() for part in ("--plaintext", f"{key}={value}")]
    run("pulumi", "config", "set-all", "--path", *pairs)
    set_secret("runaiClientSecret", services.EMULATOR_ADMIN_SECRET)
    set_secret("zenmlApiKey", zenml_key)
    set_secret("artifactStoreCredentials.key", services.S3_ACCESS_KEY)
    set_secret("artifactStoreCredentials.secret", services.S3_SECRET_KEY)

    print("\n2. Provision: service account, role, access rule, and the ZenML stack that uses them")
    run("pulumi", "up", "--yes")

    print(
        "\n3. Use it: the stack of the data scientist, and whether it has the rights, and no more"
    )
    run("zenml", "stack", "set", ZENML_STACK)
    run("zenml", "stack", "describe")
    run("runai-perms", "check", "--stack", ZENML_STACK)

    print("\n4. Run a pipeline: six steps, each a workload with what it needs and no more")
    run(sys.executable, "stacks/quickstart/pipeline.py")

    print(f"\nDone in {time.monotonic() - started:.0f} s. The services keep running:")
    for name, service in running.items():
        print(f"  {name:9} {service.url}")
    print('Go on in this shell:  eval "$(make -s lab-env)"   (then pulumi, zenml, runai-perms)')
    print("Take it all back:     pulumi destroy   and   make lab-down")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (CommandFailed, services.ServiceError, pulumi_engine.EngineError) as error:
        sys.exit(f"[demo] {error}")
