"""What the shapes are, and what the table says of them."""

from __future__ import annotations

import csv
import random
import tempfile
import unittest
from pathlib import Path

from peers.machine import Machine
from peers.process import Usage
from shapes.inputs import file_of
from shapes.report import Result, table
from shapes.shapes import SENSORS, SHAPES, VALUES_PER_ROW, shape_named


class Shapes(unittest.TestCase):
    def test_each_file_has_its_rows_and_columns_and_is_the_same_again(self) -> None:
        rows = 2 * SENSORS
        for shape in SHAPES:
            with self.subTest(shape.name), tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
                file = file_of(shape, rows, Path(first))
                self.assertEqual(file.read_bytes(), file_of(shape, rows, Path(second)).read_bytes())
                with file.open(newline="") as text:
                    found = list(csv.reader(text))
                self.assertEqual(found[0], shape.header.split(","))
                self.assertEqual(len(found), 1 + shape.rows(rows))
                self.assertEqual({len(row) for row in found}, {2 + len(shape.measurements)})

    def test_times_do_not_go_back_and_most_rows_have_their_own(self) -> None:
        lines = shape_named("times").lines(1000, random.Random(1))
        times = [line.split(",")[0] for line in lines]
        self.assertEqual(times, sorted(times))
        self.assertGreater(len(set(times)), 700)

    def test_a_wide_row_is_long(self) -> None:
        line = next(shape_named("wide-digits").lines(1, random.Random(1)))
        self.assertGreater(len(line), 16 * VALUES_PER_ROW)


class Table(unittest.TestCase):
    def test_what_falls_short_is_marked(self) -> None:
        def result(name: str, seconds: float, polars: float) -> Result:
            usage = Usage(seconds, 2 * seconds, 0, 0, 0, False, "", "")
            return Result(shape_named(name), 1_000_000, 40_000_000, [usage], [polars])

        here = Machine("a processor", 2, 1 << 30, "a system", "6.1")
        text = table([result("times", 0.1, 2.0), result("nulls", 0.5, 2.0)], 1, 2, here, "abc")
        times, nulls = (line for line in text.splitlines() if "×" in line and "row" in line or "empty" in line)
        self.assertIn("20.0 ×", times)
        self.assertNotIn("missed", times)
        self.assertEqual(nulls.count("missed"), 2)
