"""The example service, judged by runs of its pipeline; by its test client, and as a server."""

import json
import os
import random
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pyarrow
import pytest
import tidemill
from fastapi.testclient import TestClient
from tidemill import Fit, Normalize, Pipeline

SERVICE = Path(__file__).parents[2] / "examples/service"
sys.path.insert(0, str(SERVICE))

from service import MAX_READINGS, create_app  # noqa: E402

START = datetime(2026, 1, 1, tzinfo=UTC)


def readings(count, pumps=4):
    generator = random.Random(1)
    return [
        {
            "pump": f"pump-{generator.randrange(pumps)}",
            "time": (START + timedelta(seconds=at)).isoformat().replace("+00:00", "Z"),
            "pressure": generator.gauss(20, 10),
            "temperature": generator.choice([None, generator.gauss(60, 20)]),
        }
        for at in range(count)
    ]


def whole_run(records, tmp_path, pipeline=SERVICE / "pumps.toml"):
    """What a run of the pipeline gives for these records."""
    (tmp_path / "readings").mkdir()
    (tmp_path / "readings/all.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    (tmp_path / "pumps.toml").write_text(pipeline.read_text())
    return Pipeline.from_file(tmp_path / "pumps.toml").to_arrow().to_pylist()


def constants(records):
    """What a first pass over these records gives."""
    fit = Fit([Normalize(columns=["pressure"], fit=True)], sensor="pump", measurements=["pressure"])
    fit.observe(pyarrow.RecordBatch.from_pylist([{"pump": record["pump"], "pressure": record["pressure"]} for record in records]))
    return fit.finish()


def comparable(scores):
    """Scores by sensor, with times as instants."""
    by_pump = {}
    for score in scores:
        time = score["time"]
        instant = datetime.fromisoformat(time) if isinstance(time, str) else time
        by_pump.setdefault(score["pump"], []).append({**score, "time": instant})
    return by_pump


@pytest.fixture
def client():
    with TestClient(create_app(SERVICE / "pumps.toml", max_body=100_000)) as client:
        yield client


def post(client, records):
    answer = client.post("/score", json=records)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_scores_are_those_of_a_run_whatever_the_requests(client, tmp_path):
    records, scores, dropped, at = readings(500), [], 0, 0
    generator = random.Random(2)
    while at < len(records):
        count = generator.randrange(1, 60)
        answer = post(client, records[at : at + count])
        scores, dropped, at = scores + answer["scores"], dropped + answer["dropped"], at + count
    expected = whole_run(records, tmp_path)
    assert comparable(scores) == comparable(expected)
    assert dropped == len(records) - len(scores) > 0


def test_variables_and_constants_are_those_of_a_run(tmp_path, monkeypatch):
    monkeypatch.setenv("WINDOW", "7s")
    records, pipeline = readings(500), tmp_path / "live.toml"
    scaled = '[[stage]]\ntype = "normalize"\nload = "constants.json"\ncolumns = ["pressure"]\n\n[[sink]]'
    pipeline.write_text((SERVICE / "pumps.toml").read_text().replace("window = 5", 'window = "${WINDOW}"').replace("[[sink]]", scaled))
    (tmp_path / "constants.json").write_text(constants(records))
    with TestClient(create_app(pipeline)) as client:
        scores = post(client, records)["scores"]
    assert comparable(scores) == comparable(whole_run(records, tmp_path, pipeline))


def test_requests_at_one_time_do_not_mix_the_state_of_sensors(client, tmp_path):
    records = readings(600, pumps=6)
    by_pump = {}
    for record in records:
        by_pump.setdefault(record["pump"], []).append(record)

    def follow(own):
        return [score for at in range(0, len(own), 7) for score in post(client, own[at : at + 7])["scores"]]

    with ThreadPoolExecutor(6) as threads:
        scores = [score for own in threads.map(follow, by_pump.values()) for score in own]
    assert comparable(scores) == comparable(whole_run(records, tmp_path))


@pytest.mark.parametrize(
    ("change", "at", "message"),
    [
        ({"pump": "no such name"}, "1.pump", "pattern"),
        ({"pump": None}, "1.pump", "string"),
        ({"time": "yesterday"}, "1.time", "datetime"),
        ({"time": "2026-01-01T00:00:00"}, "1.time", "timezone"),
        ({"pressure": "high"}, "1.pressure", "number"),
        ({"pressure": float("nan")}, "1.pressure", "finite"),
        ({"presure": 1.0}, "1.presure", "not permitted"),
    ],
)
def test_mistakes_are_named_and_change_nothing(client, change, at, message):
    first = {"pump": "pump-0", "time": "2026-01-01T00:00:00Z", "pressure": 20.0}
    body = json.dumps([first, {**first, **change}])
    answer = client.post("/score", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422
    (mistake,) = answer.json()["mistakes"]
    assert mistake["at"] == at and message in mistake["message"]
    assert post(client, [first])["scores"][0]["pressure_score"] is None, "it is the first of its pump"


@pytest.mark.parametrize("body", ["", "5", "{", "[]", '{"readings": []}', "[1, 2]"])
def test_what_is_no_list_of_readings_is_refused(client, body):
    answer = client.post("/score", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422 and answer.json()["mistakes"]


def test_of_many_mistakes_some_are_named(client):
    answer = client.post("/score", json=[{} for _ in range(100)]).json()
    assert len(answer["mistakes"]) == 10 and answer["others"] == 190


def test_sizes_are_limited(client):
    def chunks():
        for _ in range(1000):
            yield b" " * 1000

    for body in (b" " * 100_001, chunks()):
        answer = client.post("/score", content=body, headers={"content-type": "application/json"})
        assert answer.status_code == 413 and "100000 bytes" in answer.json()["detail"]
    with TestClient(create_app(SERVICE / "pumps.toml", max_body=10**8)) as client:
        answer = client.post("/score", json=readings(1) * (MAX_READINGS + 1))
        assert answer.status_code == 422 and str(MAX_READINGS) in answer.json()["mistakes"][0]["message"]


def test_the_models_are_the_columns_of_the_pipeline(client):
    models = client.get("/openapi.json").json()["components"]["schemas"]
    assert set(models["Reading"]["properties"]) == {"pump", "time", "pressure", "temperature"}
    assert set(models["Reading"]["required"]) == {"pump", "time"}
    added = {f"{name}_score{end}" for name in ("pressure", "temperature") for end in ("", "_avg")}
    assert set(models["Score"]["properties"]) == {"pump", "time", "pressure", "temperature"} | added


@pytest.fixture
def server(tmp_path):
    """Starts servers, and stops them at the end."""
    started = []

    def start():
        environment = {**os.environ, "STATE": str(tmp_path / "state"), "MAX_BODY": "100000"}
        command = [sys.executable, "-m", "uvicorn", "--factory", "service:app", "--app-dir", SERVICE, "--host", "127.0.0.1", "--port", "0"]
        process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        started.append(process)
        for line in process.stderr:
            if found := re.search(r"running on (http://127\.0\.0\.1:[0-9]+)", line):
                return process, found[1]
        raise AssertionError("it did not start")

    yield start
    for process in started:
        process.kill()
        process.communicate(timeout=60)


def test_a_server_that_is_stopped_and_started_goes_on(server, tmp_path):
    records = readings(300)
    scores = []
    for part in (records[:130], records[130:]):
        process, address = server()
        with httpx2.Client(base_url=address) as client:
            scores += post(client, part)["scores"]
            assert client.post("/score", content=b" " * 100_001).status_code == 413
            assert client.post("/score", json=[{}]).status_code == 422
        process.terminate()
        process.communicate(timeout=60)
    assert comparable(scores) == comparable(whole_run(records, tmp_path))


def test_a_state_of_another_pipeline_is_refused(tmp_path):
    text = (SERVICE / "pumps.toml").read_text()
    first, second = tmp_path / "first.toml", tmp_path / "second.toml"
    first.write_text(text)
    second.write_text(text.replace("window = 5", "window = 6"))
    with TestClient(create_app(first, tmp_path / "state")) as client:
        post(client, readings(10))
    with pytest.raises(tidemill.TidemillError):
        create_app(second, tmp_path / "state")
