"""The page about the emulator tells what is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from runai_emulator import create_app, endpoint_table
from runai_emulator.cli import main
from runai_emulator.cluster.interventions import ACCIDENTS
from runai_emulator.endpoints import route_table
from runai_emulator.faults import KINDS

PAGE = (Path(__file__).parents[3] / "docs" / "emulator.md").read_text("utf-8")


def test_the_route_table_is_current():
    shown = PAGE.partition("<!-- routes -->")[2].partition("<!-- /routes -->")[0].strip()
    assert shown == route_table(endpoint_table())
    assert CliRunner().invoke(main, ["routes"]).output.strip() == shown


@pytest.mark.parametrize("name", [*KINDS, *ACCIDENTS])
def test_fault_kinds_and_accidents_are_explained(name):
    assert f"`{name}`" in PAGE


def test_options_are_explained():
    options = {
        option
        for parameter in main.commands["serve"].params
        for option in parameter.opts
        if option != "--log-level"
    }
    assert {option for option in options if f"`{option}" not in PAGE} == set()


def test_admin_routes_are_explained():
    app = create_app()
    for method, path in app.admin._handlers:
        shown = path.replace("{}", "<id>")
        assert any(method in line and shown in line for line in PAGE.splitlines()), (
            f"{method} {shown}"
        )
    app.emulator.close()


def test_the_example_works():
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(code, "docs/emulator.md", "exec"), {})  # noqa: S102 - our own page


def test_routes_as_json():
    import json

    rows = json.loads(CliRunner().invoke(main, ["routes", "--format", "json"]).output)
    assert {(row["method"], row["path"]) for row in rows} == {
        (one.method, one.path) for one in endpoint_table()
    }
