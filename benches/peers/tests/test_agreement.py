"""The judge, judged."""

import math
import unittest

from peers.agreement import Outcome, compare, distance, same_totals
from peers.jobs import Summary

NAN = math.nan


def outcome(*rows: tuple[str, float | None, float | None], columns: tuple[str, str] = ("a", "b")) -> Outcome:
    return Outcome(columns, {(key,): values for key, *values in rows})


class Distances(unittest.TestCase):
    def test_are_relative_above_one_and_absolute_below(self) -> None:
        self.assertEqual(distance(1.0, 1.0), 0.0)
        self.assertAlmostEqual(distance(1000.0, 1001.0), 1 / 1001)
        self.assertAlmostEqual(distance(1e-12, 2e-12), 1e-12)

    def test_numbers_are_infinitely_far_from_what_is_none(self) -> None:
        for a, b in [
            (1.0, None),
            (None, 0.0),
            (1.0, NAN),
            (NAN, None),
            (math.inf, -math.inf),
            (math.inf, 1.0),
        ]:
            with self.subTest(a=a, b=b):
                self.assertFalse(distance(a, b) <= 1.0)

    def test_what_is_none_is_like_itself(self) -> None:
        for value in (None, NAN, math.inf):
            self.assertEqual(distance(value, value), 0.0)


class Comparisons(unittest.TestCase):
    def test_rows_may_come_in_any_order(self) -> None:
        one = outcome(("x", 1.0, 2.0), ("y", 3.0, None))
        two = outcome(("y", 3.0, None), ("x", 1.0 + 1e-15, 2.0))
        found = compare(one, two)
        self.assertTrue(found.agrees())
        self.assertLess(found.deviation, 1e-14)

    def test_columns_may_come_in_any_order(self) -> None:
        one, two = outcome(("x", 1.0, 2.0)), outcome(("x", 2.0, 1.0), columns=("b", "a"))
        self.assertTrue(compare(one, two).agrees())

    def test_other_columns_are_an_error(self) -> None:
        with self.assertRaisesRegex(ValueError, "columns"):
            compare(outcome(), outcome(columns=("a", "c")))

    def test_rows_on_one_side_only_are_counted(self) -> None:
        one = outcome(("x", 1.0, 2.0), ("y", 1.0, 2.0))
        two = outcome(("x", 1.0, 2.0), ("z", 1.0, 2.0), ("w", 1.0, 2.0))
        found = compare(one, two)
        self.assertEqual((found.missing, found.surplus, found.unlike), (1, 2, 0))
        self.assertEqual(str(found), "rows: 1 missing, 2 surplus")

    def test_one_wrong_value_is_enough(self) -> None:
        one = outcome(("x", 1.0, 2.0), ("y", 1.0, 2.0))
        for wrong in (2.0 + 1e-6, None, NAN):
            with self.subTest(wrong=wrong):
                found = compare(one, outcome(("x", 1.0, 2.0), ("y", 1.0, wrong)))
                self.assertEqual(found.unlike, 1)
                self.assertFalse(found.agrees())

    def test_a_nan_is_not_lost_behind_a_number(self) -> None:
        # Comparisons with NaN are false: a greatest distance taken carelessly would drop it.
        self.assertFalse(compare(outcome(("x", NAN, 2.0)), outcome(("x", 1.0, 2.0))).agrees())
        self.assertFalse(compare(outcome(("x", 1.0, math.inf)), outcome(("x", 1.0, -math.inf))).agrees())


class Totals(unittest.TestCase):
    def test_counts_are_exact_and_sums_nearly(self) -> None:
        self.assertTrue(same_totals(Summary(5, {"a": 1.0}), Summary(5, {"a": 1.0 + 1e-9})))
        self.assertFalse(same_totals(Summary(5, {"a": 1.0}), Summary(6, {"a": 1.0})))
        self.assertFalse(same_totals(Summary(5, {"a": 1.0}), Summary(5, {"a": 1.1})))

    def test_who_tells_no_sums_is_judged_by_the_count(self) -> None:
        self.assertTrue(same_totals(Summary(5, {}), Summary(5, {"a": 1.0})))


if __name__ == "__main__":
    unittest.main()
