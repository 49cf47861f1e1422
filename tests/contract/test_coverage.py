"""The coverage table is current, and what it promises about cassettes holds."""

from __future__ import annotations

import pytest

from tools import coverage_table


@pytest.fixture(scope="module")
def table() -> list[coverage_table.Row]:
    return coverage_table.rows()


def test_the_document_is_current() -> None:
    written = coverage_table.OUTPUT.read_text("utf-8")
    assert written == coverage_table.render(), "run: python -m tools.coverage_table"


def test_a_cassette_shows_every_operation_of_the_client(table: list[coverage_table.Row]) -> None:
    assert [row.client for row in table if row.client and not row.cassettes] == []


def test_the_emulator_serves_every_operation_of_the_client(
    table: list[coverage_table.Row],
) -> None:
    assert [row.client for row in table if row.client and not row.emulator] == []


def test_every_recorded_request_belongs_to_a_row(table: list[coverage_table.Row]) -> None:
    strangers = {
        (method, path)
        for _, method, path in coverage_table.recorded()
        if coverage_table._find(table, method, path) is None
    }
    assert strangers == set()
