"""What is written down, and read again."""

import tempfile
import unittest
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

from peers import chart
from peers.figures import Run, Runs
from peers.machine import Machine
from peers.record import BEGIN, END, Measured, Record, Setting, load, replace_section, report, section

MACHINE = Machine("A <fast> CPU", 2, 8 << 30, "Debian", "6.1")
TITLES = {"tidemill": "tidemill", "polars": "Polars", "duckdb": "DuckDB"}
SETTING = Setting(1000, 10, 2, {"tidemill": "0.1.0", "polars": "2.1.0", "duckdb": "2.0.0"}, TITLES)


def example() -> Record:
    engines = [
        Runs("tidemill", [Run(1.0, 2.0, 30 << 20, 20 << 20, 5 << 20)] * 3),
        Runs("polars", [Run(12.0, 20.0, 300 << 20, 200 << 20, 6 << 20)] * 3),
        Runs("duckdb", [], "stopped after 60 s"),
    ]
    jobs = {"csv": Measured("to CSV", 43_000, "abc", engines)}
    return Record(MACHINE, SETTING, jobs, {"to CSV": {"polars": "2e-16"}})


class Records(unittest.TestCase):
    def test_are_read_as_they_were_written(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "sub" / "peers.json"
            example().save(path)
            self.assertEqual(load(path, MACHINE, SETTING), example())

    def test_of_another_setting_are_not_gone_on_with(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "peers.json"
            example().save(path)
            other = Setting(2000, 10, 2, SETTING.versions, TITLES)
            self.assertEqual(load(path, MACHINE, other).jobs, {})

    def test_say_medians_ratios_and_who_was_dropped(self) -> None:
        text = report(example(), ["csv"])
        self.assertIn("| to CSV | **1.00 s** (12.0 ×) | *12.0 s* | – |", text)
        self.assertIn("| to CSV | 20 MiB | 200 MiB | – |", text)
        self.assertIn("- to CSV, DuckDB: stopped after 60 s", text)

    def test_say_what_is_wanted_and_missed(self) -> None:
        record = example()
        ours = Runs("tidemill", [Run(0.0001, 0.0002, 1, 1, None)])
        record.jobs["csv"] = replace(record.jobs["csv"], wanted=12.5)
        record.jobs["fit"] = replace(record.jobs["csv"], title="to fit", wanted=11.5)
        record.jobs["influx"] = Measured("line protocol", 1, "abc", [ours], wanted_rate=45e6)
        text = report(record, ["csv", "fit", "influx"])
        self.assertIn("| *12.0 s* | – | 12.5 × (missed) |", text)
        self.assertIn("| *12.0 s* | – | 11.5 × |", text)
        self.assertIn("| line protocol | **0.00 s** (10.0 M/s) | – | – | 45 M/s (missed) |", text)

    def test_fill_their_section_of_the_readme_and_nothing_else(self) -> None:
        new = section(example(), ["csv"], "benches/record/x")
        text = replace_section(f"before\n{BEGIN}\nold\n{END}\nafter\n", new)
        self.assertTrue(text.startswith("before\n" + BEGIN) and text.endswith(END + "\nafter\n"))
        self.assertNotIn("old", text)
        self.assertEqual(replace_section(text, new), text)
        with self.assertRaises(ValueError):
            replace_section("no markers", new)

    def test_machines_have_names_for_folders(self) -> None:
        self.assertEqual(MACHINE.slug(), "a-fast-cpu-2-cores")


class Pictures(unittest.TestCase):
    def test_are_well_formed_and_tell_what_was_not_measured(self) -> None:
        root = ElementTree.fromstring(chart.draw(example(), ["csv"]))
        text = [element.text or "" for element in root.iter() if element.tag.endswith("text")]
        self.assertIn("12.0 × the fastest peer's speed", text)
        self.assertIn("stopped after 60 s", text)
        bars = [element for element in root.iter() if element.tag.endswith("rect")]
        self.assertEqual([bar.get("class") for bar in bars], ["ours", "peer"])
        self.assertAlmostEqual(float(bars[1].get("width", 0)) / float(bars[0].get("width", 1)), 12, places=1)


if __name__ == "__main__":
    unittest.main()
