"""The input files, with a tidemill of the standard library."""

import gzip
import sys
import tempfile
import unittest
from pathlib import Path

from peers.data import Files, to_line_protocol
from peers.jobs import JOBS, PLANT, ROW_GROUPS, Input, Job, job_named
from peers.peer import PEERS

TIDEMILL = f"""\
#!{sys.executable}
import sys, tomllib

with open(sys.argv[2], "rb") as file:
    spec = tomllib.load(file)
with open(spec["sink"][0]["path"], "w") as file:
    file.write("timestamp,sensor,value\\n" + str(spec) + "\\n")
"""
"""Writes what it was told to."""


class Inputs(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        tidemill = self.folder / "tidemill"
        tidemill.write_text(TIDEMILL)
        tidemill.chmod(0o755)
        self.files = Files(self.folder / "data", tidemill, 10)

    def timed(self, job: Job, rows: int) -> Path:
        return self.files.timed(job.table, rows, job.input)

    def names(self) -> list[str]:
        return sorted(path.name.split(".", 1)[1] for path in self.files.folder.iterdir())

    def test_a_file_is_made_once(self) -> None:
        job = job_named("plant")
        path = self.timed(job, 1000)
        self.assertIn("'odd': 0.001", path.read_text())
        path.write_text("as it was")
        self.assertEqual(self.timed(job, 1000).read_text(), "as it was")
        self.assertNotEqual(self.timed(job, 2000), path)

    def test_parquet_has_its_row_groups(self) -> None:
        path = self.timed(job_named("parquet-parquet"), 10 * ROW_GROUPS)
        self.assertIn("'row_group': 10", path.read_text())

    def test_compressed_files_are_made_of_plain_ones_which_go_if_they_were_not_there(self) -> None:
        packed = self.timed(job_named("gz"), 1000)
        self.assertEqual(self.names(), ["csv.gz"])
        plain = self.timed(job_named("plant"), 1000)
        said = gzip.decompress(packed.read_bytes()).decode()
        self.assertEqual(said.replace("unfinished-", ""), plain.read_text().replace("unfinished-", ""))
        packed.unlink()
        self.timed(job_named("gz"), 1000)
        self.assertEqual(self.names(), ["csv", "csv.gz"])

    def test_line_protocol_has_the_same_readings(self) -> None:
        plain, lines = self.folder / "in.csv", self.folder / "out.lp"
        plain.write_text(
            "timestamp,sensor,value\n"
            "2026-01-01T00:00:00.001Z,temp-00001,59.5\n"
            "2026-01-01T00:00:00.002000Z,temp-00000,5.9e-8\n"
        )
        to_line_protocol(plain, lines)
        self.assertEqual(
            lines.read_text(),
            "readings,sensor=temp-00001 value=59.5 1767225600001000000\n"
            "readings,sensor=temp-00000 value=5.9e-8 1767225600002000000\n",
        )


class Jobs(unittest.TestCase):
    def test_have_names_of_their_own(self) -> None:
        self.assertEqual(len({job.name for job in JOBS}), len(JOBS))

    def test_only_line_protocol_has_no_peer(self) -> None:
        def alone(job: Job) -> bool:
            return all(peer.refuses(job) for peer in PEERS)

        self.assertEqual([job.input for job in JOBS if alone(job)], [Input.INFLUX])
        self.assertTrue(all(job.table is PLANT for job in JOBS if job.input is not Input.CSV))


if __name__ == "__main__":
    unittest.main()
