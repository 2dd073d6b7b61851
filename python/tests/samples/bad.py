"""What type checkers reject, and nothing else: the lines that end with `# wrong`. See `test_typing.py`."""
# ruff: noqa: F841

from collections.abc import Iterator

from tidemill import Pipeline, Record, Stream, Threshold
from tidemill.protocols import ResumableStage, Sink, Source, Stage
from tidemill.schemas import RecordDict, Report


class NoMethod:
    def run(self) -> None: ...


class ReturnsNothing:
    def process(self, stream: Stream) -> None:
        for record in stream:
            record.value += 1


class YieldsNumbers:
    def process(self, stream: Stream) -> Iterator[float]:
        for record in stream:
            yield record.value


class TakesNoStream:
    def consume(self) -> None: ...


class TakesRecords:
    def process(self, record: Record) -> Iterator[Record]:
        yield record


class GivesText:
    def stream(self) -> str:
        return "sensor,value"


def checked() -> None:
    """Not called: read by type checkers only."""
    readings = [{"sensor": "a", "value": 1.0}]
    Pipeline([readings, NoMethod()])  # wrong
    Pipeline([readings, ReturnsNothing()])  # wrong
    Pipeline([readings, YieldsNumbers()])  # wrong
    Pipeline([readings, TakesRecords()])  # wrong
    Pipeline([readings, TakesNoStream()])  # wrong
    Pipeline([GivesText()])  # wrong
    Pipeline([5])  # wrong
    Pipeline(["in.csv"])  # wrong
    Pipeline([readings[0]])  # wrong
    Pipeline([readings, Threshold])  # wrong
    source: Source = GivesText()  # wrong
    stage: Stage = ReturnsNothing()  # wrong
    sink: Sink = TakesNoStream()  # wrong
    resumable: ResumableStage = TakesRecords()  # wrong
    record: RecordDict = {"sensor": 5}  # wrong
    report: Report = Pipeline([readings]).run()
    print(report["sink"])  # wrong
