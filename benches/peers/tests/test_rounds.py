"""Turns, and who is dropped from them, with engines of the shell."""

import tempfile
import unittest
from dataclasses import dataclass, field
from pathlib import Path

from peers.engines import Command
from peers.figures import Run, Runs, fastest_peer, speed_up
from peers.jobs import JOBS, Job, Summary, Task
from peers.rounds import Plan, in_turn


@dataclass
class Shell:
    """An engine that is a line of shell and claims some totals."""

    name: str
    line: str = "true"
    rows: int = 3
    reason: str | None = None
    title: str = "Shell"
    tasks: list[Task] = field(default_factory=list)

    def version(self) -> str:
        return "1"

    def refuses(self, job: Job) -> str | None:
        return self.reason

    def command(self, task: Task) -> Command:
        self.tasks.append(task)
        return Command(["sh", "-c", self.line, "sh", str(task.output)])

    def summary(self, task: Task, stdout: str) -> Summary | None:
        return Summary(self.rows, {"value": 1.0})


class Turns(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.file = self.folder / "in.csv"
        self.file.write_text("timestamp,sensor,value\n")
        self.said: list[str] = []

    def turns(self, *engines: Shell, job: int = 0, limit: float = 60.0, **repeats: int) -> dict[str, Runs]:
        plan = Plan(threads=1, repeats=3, repeats_of=repeats, limit=limit, folder=self.folder)
        return {runs.engine: runs for runs in in_turn(JOBS[job], self.file, engines, plan, self.said.append)}

    def test_engines_take_turns(self) -> None:
        self.turns(Shell("a"), Shell("b"))
        self.assertEqual([line.split()[2] for line in self.said], ["a", "b"] * 3)

    def test_an_engine_can_have_fewer_turns(self) -> None:
        found = self.turns(Shell("a"), Shell("b"), b=1)
        self.assertEqual([len(found["a"].runs), len(found["b"].runs)], [3, 1])

    def test_who_fails_is_dropped_with_its_last_words(self) -> None:
        found = self.turns(Shell("a"), Shell("b", "echo out of memory >&2; exit 3"))
        self.assertEqual((found["b"].runs, found["b"].note), ([], "failed with status 3: out of memory"))
        self.assertEqual(len(found["a"].runs), 3)

    def test_who_takes_too_long_is_dropped(self) -> None:
        found = self.turns(Shell("a", "exec sleep 600"), limit=0.2)
        self.assertIn("stopped after", found["a"].note or "")

    def test_who_refuses_is_never_started(self) -> None:
        engine = Shell("a", reason="cannot")
        self.assertEqual(self.turns(engine)["a"].note, "cannot")
        self.assertEqual(engine.tasks, [])

    def test_who_contradicts_the_others_is_dropped(self) -> None:
        found = self.turns(Shell("a"), Shell("b", rows=4))
        self.assertIn("its totals are not those of a", found["b"].note or "")

    def test_outputs_are_weighed_and_gone(self) -> None:
        found = self.turns(Shell("a", 'printf 12345 > "$1"'), job=1)
        self.assertEqual(found["a"].runs[0].output_bytes, 5)
        self.assertEqual(list(self.folder.iterdir()), [self.file])

    def test_memory_is_seen(self) -> None:
        found = self.turns(Shell("a", "sleep 0.2"))
        self.assertGreater(found["a"].runs[0].peak_anonymous, 0)
        self.assertGreater(found["a"].runs[0].peak_resident, found["a"].runs[0].peak_anonymous)


class Figures(unittest.TestCase):
    @staticmethod
    def runs(engine: str, *seconds: float) -> Runs:
        return Runs(engine, [Run(s, s, 2, 1, None) for s in seconds])

    def test_ratios_are_to_the_fastest_peer_by_medians(self) -> None:
        ours = self.runs("tidemill", 1.0, 9.0, 2.0)
        all_of_them = [ours, self.runs("slow", 20.0), self.runs("fast", 10.0, 1.0, 10.0), Runs("dropped")]
        best = fastest_peer(all_of_them)
        self.assertEqual(best.engine if best else None, "fast")
        self.assertEqual(speed_up(ours, all_of_them), 5.0)
        self.assertEqual(speed_up(all_of_them[1], all_of_them), 0.5)
        self.assertIsNone(speed_up(all_of_them[3], all_of_them))
        self.assertIsNone(speed_up(ours, [ours]))


if __name__ == "__main__":
    unittest.main()
