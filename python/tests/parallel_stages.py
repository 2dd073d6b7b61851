"""Stages for tests of processes, which import this file."""

import os
import signal
import time

import pyarrow as pa


class Squared:
    fields = {"process": int}

    def __init__(self, offset=0.0):
        self.offset = offset

    def process(self, stream):
        for record in stream:
            yield record.replace(value=record.value**2 + self.offset, process=os.getpid())


class Even:
    def process(self, stream):
        return (record for record in stream if record["value"] % 2 == 0)


class ByBatch:
    fields = {"double": float}

    def process(self, stream):
        for batch in stream.batches():
            batch = pa.record_batch(batch)
            values = batch["value"].to_pylist()
            yield batch.append_column("double", pa.array([2 * value for value in values]))


class Entered:
    """Writes a file when it is entered, and one when it is left."""

    def __init__(self, folder):
        self.folder = folder

    def __enter__(self):
        open(f"{self.folder}/entered-{os.getpid()}", "x").close()
        return self

    def __exit__(self, *error):
        open(f"{self.folder}/left-{os.getpid()}", "x").close()

    def process(self, stream):
        yield from stream


class EnteredAsynchronously:
    """The same."""

    def __init__(self, folder):
        self.stage = Entered(folder)

    async def __aenter__(self):
        self.stage.__enter__()

    async def __aexit__(self, *error):
        self.stage.__exit__(*error)

    def process(self, stream):
        yield from stream


class Refused(Exception):
    """Cannot be unpickled: it has two arguments."""

    def __init__(self, sensor, value):
        super().__init__(f"{sensor} has {value}")


class Fails:
    def __init__(self, how):
        self.how = how

    def process(self, stream):
        for record in stream:
            if record["value"] == 5000:
                self.fail(record)
            yield record

    def fail(self, record):
        match self.how:
            case "raises":
                raise ZeroDivisionError("as it is")
            case "refuses":
                raise Refused(record["sensor"], record["value"])
            case "is killed":
                os.kill(os.getpid(), signal.SIGKILL)
            case "exits":
                os._exit(7)
            case "sleeps":
                print("asleep", flush=True)
                time.sleep(3600)


class Not:
    """Turns the first measurement around."""

    def process(self, stream):
        for record in stream:
            record.value = not record.value
            yield record
