"""Pipelines, summaries, tables."""

import tomllib
import unittest
from typing import Any

from live import fair, latency, memory, report
from live.engines import plain
from live.run import INPUT, pipeline
from peers.machine import Machine

MIB = 1 << 20


def memory_run(**other: Any) -> dict[str, Any]:
    run = {
        "state": False,
        "seconds": 4,
        "records_per_s": 5e6,
        "loaded": [6 * MIB, 6 * MIB, 7 * MIB, 7 * MIB],
        "stall_seconds": 2,
        "stalled": [9 * MIB, 10 * MIB],
        "went_on_s": 0.2,
        "sent": 100,
        "expected": 98,
        "written": 98,
    }
    return run | other


class Pipelines(unittest.TestCase):
    def test_a_connection_has_no_header_and_standard_input_does(self) -> None:
        source = tomllib.loads(pipeline("tcp-listen://127.0.0.1:1"))["source"]
        self.assertEqual((source["header"], source["names"]), (False, ["timestamp", "sensor", "value"]))
        self.assertNotIn("header", tomllib.loads(pipeline(INPUT))["source"])


class Figures(unittest.TestCase):
    def test_memory_is_told_by_its_ends_its_peak_and_what_standing_still_adds(self) -> None:
        found = memory.summary(memory_run())
        self.assertEqual((found["peak"], found["first"], found["last"]), (7 * MIB, 6 * MIB, 7 * MIB))
        self.assertEqual((found["more"], found["lost"]), (3.5 * MIB, 0))

    def test_latencies_are_medians_over_runs(self) -> None:
        runs = [{"latency_ms": {"p50": p, "p99": 2 * p, "p99.9": 9.0}} for p in (1.0, 5.0, 2.0)]
        self.assertEqual(latency.medians(runs), {"p50": 2.0, "p99": 4.0, "p99.9": 9.0})

    def test_the_least_served_is_held_to_half_of_the_mean(self) -> None:
        part = {"commit": "c", "threads": 2, "seconds": 2, "connections": [4, 4, 1], "files": [3, 2, 3]}
        text = report.section({"parts": {"fair": part}}, Machine("CPU", 2, 1 << 30, "S", "6"))
        self.assertIn("| 3 connections | 0.00 million | 0.33 (missed) | 1.33 |", text)
        self.assertIn("| 3 growing files | 0.00 million | 0.75 | 1.12 |", text)
        self.assertEqual(tomllib.loads(fair.pipeline("/f/*.csv"))["source"]["follow"], True)

    def test_what_is_missed_is_marked(self) -> None:
        record = {"parts": {"memory": {"commit": "c", "threads": 2, "runs": [memory_run(loaded=[40 * MIB])]}}}
        text = report.section(record, Machine("CPU", 2, 1 << 30, "S", "6"))
        self.assertIn("| 4 s, 5.0 million records/s | 40.0 MiB (missed) |", text)
        self.assertIn("| 0.20 s | 0 of 100 |", text)


class Plain(unittest.TestCase):
    def test_the_generators_do_what_the_pipeline_says(self) -> None:
        lines = ["t0,a,60\n", "t1,a,200\n", "t2,b,120\n", "t3,a,120\n"]
        records = plain.moving_average(plain.normalize(plain.threshold(plain.parse(lines))))
        self.assertEqual(list(plain.encode(records)), ["t0,a,0.5,0.5\n", "t2,b,1.0,1.0\n", "t3,a,1.0,0.75\n"])


if __name__ == "__main__":
    unittest.main()
