"""Random pipelines on executors: the bits of one process, in any number of partitions, and after an executor was killed."""

import os
import signal
import threading
import time

import pytest
import tidemill.spark
from cluster import executors
from hypothesis import given
from hypothesis import strategies as st
from tidemill import Aggregate, MovingAverage, MovingStd, Normalize, Threshold
from ways import examples, inputs, one_process, pipelines, readings, rows


@pytest.mark.parametrize("partitions_of_an_executor", [1, 2, 4])
def test_random_pipelines(shipped, partitions_of_an_executor):
    @given(table=inputs(), stages=pipelines(), pieces=st.sampled_from([1, 3]))
    @examples(4)
    def test(table, stages, pieces):
        frame = shipped.createDataFrame(table).repartition(pieces)
        made = tidemill.spark.run(frame, stages, partitions=2 * partitions_of_an_executor)
        assert rows(made.toArrow()) == rows(one_process(table, stages))

    test()


def test_an_executor_is_killed_in_the_first_pass_and_in_the_second(shipped):
    table = readings(20_000)
    stages = [
        Threshold(columns=["value"], min=-150),
        Normalize(columns=["value"], method="robust", fit=True),
        MovingAverage(window=20, columns=["value"]),
        MovingStd(window=1000, columns=["value"]),
        Aggregate(every="1h"),
    ]

    def slowly(batches):
        for batch in batches:
            time.sleep(0.2)
            yield batch

    frame = shipped.createDataFrame(table).repartition(4)
    frame = frame.mapInArrow(slowly, frame.schema)
    killed = []

    def kill():
        killed.append(executors(shipped)[0])
        os.kill(killed[-1], signal.SIGKILL)

    timer = threading.Timer(1.5, kill)
    timer.start()
    made = tidemill.spark.run(frame, stages, partitions=4)
    timer.join()
    assert len(killed) == 1, "the first pass ended before the executor was killed"
    timer = threading.Timer(1.5, kill)
    timer.start()
    result = made.toArrow()
    assert len(killed) == 2, "the run ended before the executor was killed"
    assert rows(result) == rows(one_process(table, stages))
