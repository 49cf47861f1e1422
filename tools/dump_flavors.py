"""Write the flavors' registration to `provision/data/flavors.json`.

Provisioning registers the flavors over REST without importing ZenML, so what ZenML would compute
from the classes is computed here and shipped. Run it after every change of a flavor:

    python -m tools.dump_flavors [--check]
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

TARGET = Path(__file__).parent.parent / "provision" / "data" / "flavors.json"


def registrations() -> list[dict[str, object]]:
    """The two bodies for ``POST /api/v1/flavors``, as ZenML itself builds them."""
    from zenml_runai.flavors import RunAIOrchestratorFlavor, RunAIStepOperatorFlavor

    bodies = []
    for flavor in (RunAIStepOperatorFlavor, RunAIOrchestratorFlavor):
        body = flavor().to_model(integration="custom", is_custom=True).model_dump(mode="json")
        # ZenML resolves the class to the file that defines it; users import it from the package,
        # and that path stays when files move.
        body["source"] = f"zenml_runai.flavors.{flavor.__name__}"
        bodies.append({key: body[key] for key in sorted(body) if key != "user"})
    return bodies


def text() -> str:
    """The content of the file."""
    return json.dumps(registrations(), indent=2, sort_keys=True) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Write the file, or with ``--check`` say whether it is up to date (exit code 1 if not)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, only compare")
    options = parser.parse_args(arguments)
    # Resolving a class makes ZenML open a store; a throw-away one leaves the user's alone.
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("ZENML_CONFIG_PATH", folder)
        os.environ.setdefault("ZENML_ANALYTICS_OPT_IN", "false")
        content = text()
    if options.check:
        if not TARGET.exists() or TARGET.read_text() != content:
            print(f"{TARGET} is out of date: run `python -m tools.dump_flavors`", file=sys.stderr)
            return 1
        return 0
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(content)
    print(f"wrote {TARGET}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
