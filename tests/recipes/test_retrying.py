"""Rows whose verdict failed are asked about again when told so, they alone, and nothing is lost by it: against a real server that breaks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.judges.moderation_servers import perspective, running
from typer.testing import CliRunner

from charter.cli import app
from charter.core.errors import StoreError
from charter.judges._spec import build_judge
from charter.recipes import measuring
from charter.recipes.judging import score_rows
from charter.store.lines import ResultFile

GONE = "Gone for now."


class Service:
    """Perspective's protocol; while ``down`` it fails on some texts."""

    down = True

    def __call__(self, path, body):
        return (500, {}, {"error": "oops"}) if self.down and GONE in body["comment"]["text"] else perspective(path, body)


@pytest.fixture
def service():
    return Service()


@pytest.fixture
def server(service):
    with running(service) as server:
        yield server


def spec_of(server) -> dict:
    return {"perspective": {"url": f"{server.url}/v1alpha1", "qps": 1000, "backoff_s": 0.01, "retries": 0}}


@pytest.fixture
def scored(server, tmp_path):
    """150 rows of which every tenth failed, and one that is empty: the file of verdicts, and a function that scores again."""
    data, out, spec = tmp_path / "in.jsonl", tmp_path / "out.jsonl", tmp_path / "judge.yaml"
    rows = [{"id": i, "reply": f"A text, number {i}. {GONE if i % 10 == 0 else ''}"} for i in range(150)]
    data.write_text("".join(json.dumps(row) + "\n" for row in [*rows, {"id": "empty", "reply": " "}]), encoding="utf-8")
    spec.write_text(json.dumps(spec_of(server)), encoding="utf-8")

    def score(**options):
        server.requests.clear()
        return score_rows(str(spec), data, out, **options)

    first = score()
    assert (first.outcomes, first.retry) == ({"safe": 135, "failed": 16}, 15)
    score.out, score.spec, score.data = out, spec, data
    return score


def rows_in(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_failed_rows_alone_are_asked_about_again(scored, server, service):
    before = {row["id"]: row for row in rows_in(scored.out)}
    service.down = False
    scored()
    assert not server.requests, "without being told so nothing is asked twice"
    again = scored(retry_failed=True)
    assert (again.outcomes, again.retry, len(server.requests)) == ({"safe": 150, "failed": 1}, 0, 15)
    after = rows_in(scored.out)
    assert [row["id"] for row in after] == list(before), "one row for each id, where it stood"
    assert all(row == before[row["id"]] for row in after if row["id"] == "empty" or row["id"] % 10)
    scored(retry_failed=True)
    assert not server.requests


def test_what_fails_again_stays_failed(scored):
    again = scored(retry_failed=True)
    assert (again.outcomes, again.retry) == ({"safe": 135, "failed": 16}, 15)
    assert len(rows_in(scored.out)) == 151


def test_a_try_that_was_killed_goes_on_with_what_was_left(scored, server, service):
    """Seven rows were asked about again, and a line was torn: two lines stand there for each until the next run ends."""
    service.down = False
    whole = scored.out.read_bytes()
    scored(retry_failed=True)
    better = [row for row in rows_in(scored.out) if row["id"] != "empty" and row["id"] % 10 == 0]
    scored.out.write_bytes(whole + b"".join(json.dumps(row).encode() + b"\n" for row in better[:7]) + b'{"id": 140, "outc')
    again = scored(retry_failed=True)
    assert (again.outcomes, len(server.requests)) == ({"safe": 150, "failed": 1}, 8)
    assert [row["id"] for row in rows_in(scored.out)] == [*range(150), "empty"]


def test_a_file_that_another_one_writes_to_is_left_to_it(scored, tmp_path):
    mine, other = ResultFile(scored.out), ResultFile(scored.out)
    rows = rows_in(scored.out)
    other.replace([{**rows[0], "outcome": "safe"}])
    with pytest.raises(StoreError, match="another charter is writing to it"):
        mine.replace([rows[0]])
    late = ResultFile(scored.out)
    other.replace([rows[0]])
    with pytest.raises(StoreError, match="another charter is writing to it"):
        late.compact()
    other.compact()
    assert rows_in(scored.out) == rows
    assert not list(tmp_path.glob("*.part"))


def test_links_and_rights_stay(scored, service, tmp_path):
    service.down = False
    scored.out.chmod(0o600)
    scored.out.rename(tmp_path / "elsewhere.jsonl")
    scored.out.symlink_to(tmp_path / "elsewhere.jsonl")
    scored(retry_failed=True)
    assert scored.out.is_symlink()
    assert (tmp_path / "elsewhere.jsonl").stat().st_mode & 0o777 == 0o600
    assert len(rows_in(scored.out)) == 151


def test_a_full_disk_leaves_the_verdicts_as_they_are(scored, service, monkeypatch):
    service.down = False
    monkeypatch.setattr("charter.store.lines.shutil.copymode", full)
    with pytest.raises(StoreError, match="no space left"):
        scored(retry_failed=True)
    monkeypatch.undo()
    assert not list(scored.out.parent.glob("*.part"))
    assert scored().outcomes == {"safe": 150, "failed": 1}, "what was paid for is kept"
    assert len(rows_in(scored.out)) == 151


def full(*_):
    raise OSError(28, "No space left on device")


def test_the_command_tells_of_it(scored, service):
    told = ["judges", "score", str(scored.spec), "--data", str(scored.data), "--out", str(scored.out), "--quiet"]
    assert "15 of the failed may come out otherwise in another try: the same command with --retry-failed" in CliRunner().invoke(app, told).output
    service.down = False
    said = CliRunner().invoke(app, [*told, "--retry-failed"]).output
    assert "150 safe, 1 failed" in said
    assert "retry" not in said


def test_measuring_asks_again_too(server, service, tmp_path):
    rows = "".join(f'"A text, number {i}. {GONE if i % 4 == 0 else ""}",{i % 2}\n' for i in range(40))
    (tmp_path / "mine.csv").write_text("a,gold\n" + rows)
    (tmp_path / "mine.yaml").write_text(
        "title: Mine\ntask: toxicity\nparts: [{files: [mine.csv], reply: a, label: {column: gold, positive: ['1'], negative: ['0']}}]\n"
    )

    def measure(**options):
        server.requests.clear()
        card = measuring.measure_judge(build_judge(spec_of(server)), tmp_path, tmp_path / "o", sets=[str(tmp_path / "mine.yaml")], **options).card
        return card.rows[0].n, card.rows[0].n_failed

    assert measure() == (30, 10)
    service.down = False
    assert measure() == (30, 10)
    assert measure(retry_failed=True) == (40, 0)
    assert len(server.requests) == 10
    assert measure(retry_failed=True) == (40, 0)
    assert not server.requests
