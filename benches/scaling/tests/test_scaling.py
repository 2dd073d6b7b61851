"""Ratios, limits, inputs."""

import unittest
from dataclasses import replace
from pathlib import Path

from peers.record import replace_section
from scaling.cases import MIB, Case, Memory, Ratio, cases, questions
from scaling.inputs import _magnitude, _odd, _quoted, pipeline
from scaling.feeds import Fed, feeds
from scaling.report import BEGIN, END, memory_table, table

FEW, MANY = Case(100, 2), Case(1000, 2)


class Answers(unittest.TestCase):
    def test_a_time_a_row_is_one_where_time_grows_with_the_rows(self) -> None:
        ratio = Ratio("a row", MANY, FEW, 1.1, 0.9, per_row=True)
        self.assertAlmostEqual(ratio.answer({FEW: 0.5, MANY: 5.0}), 1.0)
        self.assertEqual([ratio.holds(answer) for answer in (0.8, 1.0, 1.2)], [False, True, False])

    def test_what_is_missed_is_marked(self) -> None:
        ratio, memory = Ratio("r", MANY, FEW, 1.5), Memory("m", FEW, MIB, "nothing")
        seconds = {FEW: 1.0, MANY: 2.0}
        self.assertIn("| r | 2.00 × (missed) | at most 1.5 | 2.00 / 1.00 |", table([ratio], seconds))
        fed = [(feeds()[0], Fed(MIB, 3.0, 3000, 2999))]
        text = memory_table([memory], seconds, {FEW: 2 * MIB}, fed)
        self.assertIn("| m | 2 MiB (missed) | 1 MiB | nothing |  | 1.00 |", text)
        self.assertIn("are rejected | 2,999 of 3,000 | 3.00 |", text)

    def test_every_case_of_a_question_is_run_once(self) -> None:
        ratios, memory = questions(50_000_000, 2)
        run = cases(ratios, memory)
        self.assertEqual(len(run), len(set(run)))
        for ratio in ratios:
            self.assertIn(ratio.of, run)
            self.assertIn(ratio.to, run)

    def test_only_the_section_is_replaced(self) -> None:
        new = f"{BEGIN}\nnew\n{END}"
        self.assertEqual(replace_section(f"a {BEGIN} old {END} b", new), f"a {new} b")
        with self.assertRaises(ValueError):
            replace_section("nothing", new)


class Inputs(unittest.TestCase):
    def test_lines_are_quoted_or_odd(self) -> None:
        line = b"2026-01-01T00:00:00Z,temp-1,20.5\n"
        self.assertEqual(_quoted(0, line), b'"2026-01-01T00:00:00Z","temp-1","20.5"\n')
        self.assertEqual([_odd(at, line) == line for at in (0, 998, 999, 1000)], [True, True, False, True])
        self.assertEqual(float(_odd(999, line).split(b",")[2]), 20.5)

    def test_numbers_are_of_all_magnitudes_and_both_signs(self) -> None:
        numbers = [float(_magnitude(at, b"t,temp-1,20.5\n").split(b",")[2]) for at in range(100_000)]
        of_one = {(number < 0, f"{number:e}"[-4:]) for number in numbers[7::300]}
        self.assertGreater(len(of_one), 250)
        self.assertLess(min(abs(number) for number in numbers), 1e-306)
        self.assertGreater(max(numbers), 1e307)

    def test_each_job_has_its_stages(self) -> None:
        case = replace(FEW, job="quantiles")
        self.assertIn("quantiles = [0.5, 0.99]", pipeline(case, Path("in.csv")))
        self.assertIn('order = "time"', pipeline(replace(FEW, job="sorted"), Path("in.csv")))
        self.assertIn("window = 20", pipeline(FEW, Path("in.csv")))


if __name__ == "__main__":
    unittest.main()
