"""Drives the real engine on a Pulumi project of its own: own home, file backend, passphrase."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from provision._session import FROM_ENVIRONMENT
from tools import pulumi_engine

ROOT = Path(__file__).resolve().parents[2]
PASSPHRASE = "canary-passphrase-7f3a"
#: Credentials of whoever runs the tests, which stacks would use as well.
CREDENTIALS = tuple(FROM_ENVIRONMENT.values())
SECRET_KEYS = ("runaiClientSecret", "zenmlApiKey", "registryPassword")
#: A full `up` takes 6 to 10 s; anything near this hangs.
TIME_LIMIT = 170


@dataclass(frozen=True)
class Outcome:
    """What one command of the engine said and how it ended."""

    command: str
    code: int
    output: str

    @property
    def errors(self) -> str:
        """The lines that tell of errors, each with what follows it."""
        return "\n".join(re.findall(r"error: .*(?:\n(?!\s*$).*)*", self.output))

    def succeeded(self) -> Outcome:
        assert self.code == 0, f"{self.command} failed:\n{self.output}"
        return self

    def failed(self) -> Outcome:
        assert self.code != 0, f"{self.command} should have failed:\n{self.output}"
        assert "Traceback" not in self.output, self.output
        return self


class Engine:
    """One Pulumi stack in a folder of its own."""

    def __init__(
        self,
        folder: Path,
        binaries: Path,
        stack: str,
        program: str | None = None,
        *,
        backend: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """`backend` is the URL of the state's home, by default the folder ``state``; `environment`
        is what the engine needs to reach it."""
        self.folder = folder
        self.stack = stack
        self.transcript = ""
        (folder / "stacks").mkdir(parents=True)
        (folder / "state").mkdir()
        settings = (ROOT / "Pulumi.yaml").read_text()
        # An engine that honours the option must find this very environment.
        settings = settings.replace("virtualenv: .venv", f"virtualenv: {sys.prefix}")
        (folder / "Pulumi.yaml").write_text(settings)
        if program is None:
            shutil.copy(ROOT / "stacks" / "__main__.py", folder / "stacks" / "__main__.py")
        else:
            (folder / "stacks" / "__main__.py").write_text(program)
        self.environment = {
            **{key: value for key, value in os.environ.items() if key not in CREDENTIALS},
            **(environment or {}),
            "PATH": pulumi_engine.path_with(binaries),
            "PULUMI_HOME": str(folder / "home"),
            "PULUMI_BACKEND_URL": backend or f"file://{folder / 'state'}",
            "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE,
            "PULUMI_SKIP_UPDATE_CHECK": "true",
        }
        self.run("stack", "init", stack).succeeded()

    def run(self, *arguments: str, environment: Mapping[str, str] | None = None) -> Outcome:
        """Run a command of the engine; everything it prints goes to the transcript."""
        ran = subprocess.run(
            ["pulumi", *arguments, "--non-interactive"],
            cwd=self.folder,
            env={**self.environment, **(environment or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIME_LIMIT,
        )
        self.transcript += ran.stdout
        return Outcome(f"pulumi {' '.join(arguments)}", ran.returncode, ran.stdout)

    def configure(self, **settings: Any) -> None:
        """Set values (dictionaries as a whole); secrets encrypted; None removes a key."""
        file = self.folder / "stacks" / f"Pulumi.{self.stack}.yaml"
        content = yaml.safe_load(file.read_text()) or {}
        config = content.setdefault("config", {})
        secrets: list[str] = []
        for key, value in settings.items():
            config.pop(f"zenml-runai:{key}", None)
            if value is None:
                continue
            if key in SECRET_KEYS or key.endswith("Credentials"):
                for path, text in _flat(key, value):
                    secrets += ["--secret", f"{path}={text}"]
            else:
                config[f"zenml-runai:{key}"] = value
        file.write_text(yaml.safe_dump(content))
        if secrets:
            self.run("config", "set-all", "--path", *secrets).succeeded()

    def settings(self) -> dict[str, Any]:
        """The configuration as it stands in the file, secrets encrypted."""
        file = self.folder / "stacks" / f"Pulumi.{self.stack}.yaml"
        config = yaml.safe_load(file.read_text())["config"]
        return {key.partition(":")[2]: value for key, value in config.items()}

    def up(self, *options: str) -> Outcome:
        return self.run("up", "--yes", "--suppress-progress", *options)

    def preview(self, *options: str) -> Outcome:
        return self.run("preview", "--suppress-progress", *options)

    def refresh(self) -> Outcome:
        return self.run("refresh", "--yes", "--suppress-progress")

    def destroy(self, *options: str) -> Outcome:
        return self.run("destroy", "--yes", "--suppress-progress", *options)

    def export(self) -> dict[str, Any]:
        """The state, secrets encrypted."""
        listed = subprocess.run(
            ["pulumi", "stack", "export"],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return dict(json.loads(listed.stdout)["deployment"])

    def resources(self) -> dict[str, dict[str, Any]]:
        """Resources in the state, by logical name, without stack, component and provider."""
        return {
            entry["urn"].rsplit("::", 1)[1]: entry
            for entry in self.export().get("resources", [])
            if entry["type"].startswith("pulumi-python:dynamic")
        }

    def outputs(self) -> dict[str, Any]:
        shown = self.run("stack", "output", "--json").succeeded().output
        return dict(json.loads(shown))


def _flat(path: str, value: Any) -> list[tuple[str, str]]:
    if isinstance(value, dict):
        return [pair for key, part in value.items() for pair in _flat(f"{path}.{key}", part)]
    return [(path, str(value))]
