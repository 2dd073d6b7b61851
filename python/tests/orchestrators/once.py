"""A stage that kills its process in the middle of the first run, after a checkpoint."""

import os
import signal
import time
from pathlib import Path


class Once:
    def __init__(self):
        self.records = 0
        self.folder = Path(os.environ["PIPELINE"]).parent

    def save(self):
        return self.records.to_bytes(8, "little")

    def restore(self, saved):
        self.records = int.from_bytes(saved, "little")

    def process(self, stream):
        with (self.folder / "attempts").open("a") as attempts:
            print(self.records, file=attempts)
        for at, batch in enumerate(stream.batches()):
            if (self.folder / "attempts").read_text().count("\n") == 1:
                self.kill(at)
            self.records += len(batch)
            yield batch

    def kill(self, at):
        """Kills the process if there is a checkpoint since the first record batch; lets time go by for one to be due."""
        checkpoints = {path.name for path in self.folder.glob("state/*/checkpoint-*")}
        if at == 0:
            self.early = checkpoints
        end = time.monotonic() + (60 if at > 3 else 0.7)
        while at > 0 and time.monotonic() < end:
            if {path.name for path in self.folder.glob("state/*/checkpoint-*")} - self.early:
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(0.05)
