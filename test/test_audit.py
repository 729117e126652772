"""The audit of what the project stands on: loose pins, wrong versions, licences, known holes; and nobody to ask is said."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

import audit  # noqa: E402


class Database(BaseHTTPRequestHandler):
    """An advisory database that knows of one hole."""

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["queries"]
        holes = {("jinja2", "2.4.1"): [{"id": "GHSA-1", "modified": "x"}, {"id": "PYSEC-2"}]}
        answer = {"results": [{"vulns": v} if (v := holes.get((q["package"]["name"], q["version"]))) else {} for q in asked]}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode() if "/good" in self.path else b"<html>")

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Database) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_this_project_passes(monkeypatch, capsys):
    monkeypatch.setenv("SPATIA_ADVISORIES", "off")
    monkeypatch.setattr(sys, "argv", ["audit.py"])
    status = audit.main()
    said = capsys.readouterr()
    assert (status, said.err) == (0, "")
    assert "not audited" in said.out


def test_only_exact_pins_pass(tmp_path):
    lines = ["a==1.0  # why", "B_b[x]==2", "c>=3", "d", "git+https://x/y", "", "# note", "a==1.1", "--index-url http://x"]
    (tmp_path / "r.txt").write_text("\n".join(lines))
    found, wrong = audit.pins(tmp_path)
    assert found == {"a": "1.0", "b-b": "2"}
    assert [each.split(":")[1] for each in wrong] == ["3", "4", "5", "8", "9"]


def test_what_is_installed_is_held_to_the_pins():
    wanted, present = (
        {"a": "1", "b": "2", "t": "3", "n": "2.2"},
        {"a": "1", "b": "2.1", "c": "9", "t": "3+cpu", "n": "1.26", "pip": "24"},
    )
    faults = audit.differences(wanted, present, {"n": "1.26"})
    assert faults == ["b: expected 2, 2.1 is installed", "c: 9 is installed, and pinned nowhere"]


@pytest.mark.parametrize(
    ("said", "fits"),
    [
        ("MIT", True), ("BSD License", True), ("Apache-2.0 OR BSD-2-Clause", True), ("MPL 2.0", True), ("", False),
        ("GPL-3.0-only", False), ("GNU General Public License v3 (GPLv3)", False), ("AGPLv3", False), ("Proprietary", False),
    ],
)  # fmt: skip
def test_licences(said, fits):
    assert (audit.does_not_fit("some", said) == "") is fits


def test_a_known_hole_is_found(address):
    told, wrong = audit.vulnerabilities({"jinja2": "2.4.1", "numpy": "2.2.6"}, f"{address}/good", {})
    assert wrong == ["jinja2==2.4.1: GHSA-1", "jinja2==2.4.1: PYSEC-2"]
    assert "2 packages asked about" in told


def test_one_that_does_not_concern_us_passes_with_its_reason(tmp_path, address):
    (tmp_path / "advisories.txt").write_text("# ID reason\nGHSA-1 templates are ours alone\nPYSEC-2\n")
    known = audit.accepted(tmp_path / "advisories.txt")
    assert known == {"GHSA-1": "templates are ours alone"}, "one without a reason does not count"
    told, wrong = audit.vulnerabilities({"jinja2": "2.4.1"}, f"{address}/good", known)
    assert wrong == ["jinja2==2.4.1: PYSEC-2"]
    assert "accepted with a reason: GHSA-1" in told


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/x", "{address}/bad", "http://example.org/x", "file:///etc/passwd"])
def test_nobody_to_ask_is_said_and_does_not_fail(address, url):
    told, wrong = audit.vulnerabilities({"jinja2": "2.4.1"}, url.format(address=address), {})
    assert wrong == []
    assert "NOT AUDITED: no advisory database reachable" in told
