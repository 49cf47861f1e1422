"""The page on permissions says what the command does."""

from __future__ import annotations

from pathlib import Path

import pytest

from runai_perms import ExitCode, load_catalogue
from runai_perms._explain import list_needs
from runai_perms.cli import cli

PAGE = (Path(__file__).parents[3] / "docs" / "permissions.md").read_text("utf-8")


@pytest.mark.parametrize("command", sorted(cli.commands))
def test_every_command_is_told_of(command):
    assert f"`{command}" in PAGE


@pytest.mark.parametrize("code", list(ExitCode))
def test_every_exit_code_is_told_of(code):
    assert f"\n| {int(code)} | " in PAGE


@pytest.mark.parametrize(
    ("profile", "features"),
    [
        ("step-operator", load_catalogue().profiles["step-operator"].optional),
        ("provisioner", ("custom_role", "credentials")),
    ],
)
def test_the_tables_are_the_catalogue(profile, features):
    catalogue = load_catalogue()
    needs = catalogue.needs(profile, features)
    table = list_needs(catalogue.profile(profile), needs, "2.24", "markdown")
    assert table in PAGE, "write it anew: runai-perms needs ... --format markdown"


def test_the_example_profile_loads(tmp_path):
    from runai_perms import load_profile

    example = PAGE.split("```toml\n")[1].split("```")[0]
    path = tmp_path / "my-program.toml"
    path.write_text(example)
    needs = load_catalogue().needs(load_profile(path))
    assert {"workspaces:create", "environments:read", "templates:read"} <= {
        str(n.permission) for n in needs
    }


def test_options_in_the_page_exist():
    known = {o for c in cli.commands.values() for p in c.params for o in p.opts}
    words = {w.strip("`.,;:()") for w in PAGE.split()}
    assert {w for w in words if w.startswith("--") and w.strip("-")} <= known
