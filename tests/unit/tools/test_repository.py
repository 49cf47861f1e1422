"""What must hold for the repository as a whole."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--", *patterns], cwd=ROOT, capture_output=True, check=True
    )
    return [ROOT / name for name in listed.stdout.decode().split("\0") if name]


DOCUMENTS = tracked("*.md")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_make_target_in_the_documents_exists(document: Path) -> None:
    named = set(
        re.findall(
            r"`make (?:-s )?([a-z-]+)[^`]*`|^make (?:-s )?([a-z-]+)", document.read_text(), re.M
        )
    )
    assert {one or other for one, other in named} <= TARGETS


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_between_the_documents_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|mailto:|#)([^)#\s]+)", document.read_text()):
        assert (document.parent / target).exists(), f"{document.name} links to {target}"


def test_requirements_are_hash_pinned_and_name_no_address() -> None:
    for path in tracked("requirements/*.txt"):
        text = path.read_text()
        assert "://" not in text
        pins = re.findall(r"^[A-Za-z0-9][^\s;]*", text, re.MULTILINE)
        assert pins
        assert all("==" in pin for pin in pins)
        assert text.count("--hash=sha256:") >= len(pins)


def test_no_module_is_larger_than_can_be_read_in_one_sitting() -> None:
    shipped = ["runai_api", "runai_perms", "provision", "zenml_runai", "runai_emulator"]
    sizes = {
        path.relative_to(ROOT): len(path.read_text().splitlines())
        for room in shipped
        for path in tracked(f"{room}/*.py")
    }
    assert {path: lines for path, lines in sizes.items() if lines > 520} == {}


def test_the_changelog_knows_the_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text()
