"""The HTML page: self-contained, safe against hostile names, and true to the report."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest

from runai_perms import load_catalogue
from runai_perms._check import judge
from runai_perms._evaluate import Holdings, holdings
from runai_perms._model import (
    Permission,
    PermissionSet,
    Role,
    Rule,
    Scope,
    ScopePath,
    ScopeType,
)
from runai_perms._reading import Reading
from runai_perms.render import FORMATS, render
from runai_perms.render._matrix import MOST_GRANTS

HOSTILE = '<script>alert("x")</script>&"\''
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


def report(
    subject: str = "service-account runner",
    project: str = "ml-team",
    held_instead: Holdings | None = None,
):
    path = ScopePath("1", "c1", ("d1",), "p1", project, (("d1", "research"),))
    held = [
        Permission.parse(p)
        for p in ("trainings:create", "trainings:read", "trainings:delete", "project:read")
    ]
    sets = (PermissionSet("s", f"set {project}", frozenset(held)),)
    roles = [
        Role(1, "AI practitioner", frozenset(held), sets),
        Role(2, "L2 researcher", frozenset(held[:1])),
    ]
    rules = [
        Rule(1, subject, "service-account", 1, "AI practitioner", _scope("project", "p1", project)),
        Rule(2, subject, "service-account", 2, "L2 researcher", _scope("department", "d1", "")),
        Rule(3, subject, "service-account", 2, "L2 researcher", _scope("project", "p2", "other")),
    ]
    catalogue = load_catalogue()
    profile = catalogue.profile("step-operator")
    reading = Reading("2.24", subject, path, held_instead or holdings(rules, roles))
    needs = catalogue.needs(profile)
    return judge("https://acme.run.ai", profile, (), needs, reading, catalogue, project)


def _scope(kind: str, key: str, name: str) -> Scope:
    return Scope(ScopeType(kind), key, name, "c1")


class Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def parsed(text: str) -> Page:
    page = Page()
    page.feed(text)
    assert page.open == []
    return page


def test_one_page_that_loads_nothing():
    text = render(report(), "html")
    page = parsed(text)
    names = {tag for tag, _ in page.tags}
    assert not names & {"script", "link", "img", "iframe"}
    assert not any("src" in attributes or "href" in attributes for _, attributes in page.tags)
    assert not re.search(r"url\(|@import", text)


def test_hostile_names_stay_text():
    text = render(report(HOSTILE, HOSTILE), "html")
    parsed(text)
    assert "<script>" not in text
    assert "&lt;script&gt;" in text


def test_the_matrix_says_what_the_report_says():
    text = render(report(), "html")
    found = report()
    assert text.count('class="cell good"') == sum(v.granted for v in found.evaluation.verdicts)
    assert text.count('class="cell bad"') == len(found.evaluation.missing)
    assert text.count('class="cell much"') == len(found.evaluation.excess) == 1
    assert "Rights missing" in text
    assert "Department research" in text
    assert "rule 3: L2 researcher" in text


def rows(text: str) -> dict[str, list[str]]:
    """The signs of each row of the first table."""
    table = text[text.index("<table") : text.index("</table>")]
    return {
        re.sub("<code>.*?</code>", "", title): re.findall(r">([^<]*)</td>", cells)
        for title, cells in re.findall(r'<th scope="row">(.*?)</th>(.*?)</tr>', table)
    }


def test_each_need_is_held_against_each_grant():
    text = render(report(), "html")
    heads = re.findall(r'class="grant"><span>(.*?)</span>', text)
    assert heads == [
        "in all",
        "rule 1: AI practitioner<br>Project ml-team",
        "rule 2: L2 researcher<br>Department research",
        "rule 3: L2 researcher<br>Project other",
    ]
    found = rows(text)
    assert found["trainings:create"] == ["✓", "✓", "✓", "○"]
    assert found["trainings:read"] == ["✓", "✓", "", ""]
    assert found["trainings:update"] == ["✗", "", "", ""]
    assert found["held, not needed"] == ["+1", "+1", "", ""]


def test_many_rules_do_not_make_the_table_endless():
    sets = (PermissionSet("s", "all", frozenset({Permission("trainings", "read")})),)
    roles = [Role(n, f"role {n}", sets[0].permissions, sets) for n in range(500)]
    rules = [
        Rule(n, "runner", "service-account", n, f"role {n}", _scope("project", "p1", "ml-team"))
        for n in range(500)
    ]
    text = render(report(held_instead=holdings(rules, roles)), "html")
    assert text.count('class="grant"') == 1 + MOST_GRANTS + 1
    assert f"{500 - MOST_GRANTS} more rules" in text
    assert rows(text)["trainings:read"] == ["✓"] * (2 + MOST_GRANTS)


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_renders_hostile_names(form):
    text = render(report(HOSTILE, HOSTILE), form)
    if form in ("json", "sarif"):
        json.loads(text)
    if form == "junit":
        assert "<script>" not in text


MEASURE = """<script>
const colour = q => getComputedStyle(document.querySelector(q)).backgroundColor;
document.title = JSON.stringify({
  wide: document.documentElement.scrollWidth > innerWidth,
  good: colour('td.good'), bad: colour('td.bad'), much: colour('td.much'),
  tall: document.body.scrollHeight});
</script></body>"""


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium on PATH")
@pytest.mark.parametrize("width", [420, 1280])
def test_it_reads_well_in_a_browser(tmp_path, width):
    page = tmp_path / "report.html"
    page.write_text(render(report(), "html").replace("</body>", MEASURE), "utf-8")
    done = subprocess.run(
        [
            str(CHROMIUM),
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            f"--user-data-dir={tmp_path / 'profile'}",
            f"--window-size={width},900",
            "--dump-dom",
            page.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    title = re.search(r"<title>(.*?)</title>", done.stdout)
    assert title
    seen = json.loads(title[1].replace("&quot;", '"'))
    assert not seen["wide"], "the page is wider than the window"
    assert len({seen["good"], seen["bad"], seen["much"]}) == 3
    assert seen["tall"] > 600
