"""Objects as records, and single values of records."""

from collections import namedtuple
from dataclasses import InitVar, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import ClassVar

import numpy
import pandas
import pytest
from tidemill import Pipeline


def columns(*records):
    """What a pipeline has of these objects."""
    return Pipeline([list(records)]).to_arrow().to_pydict()


class Sensor:
    __slots__ = ("sensor",)

    def __init__(self, sensor="a", value=1.0):
        self.sensor = sensor
        self.value = value


class Slotted(Sensor):
    __slots__ = ("__weakref__", "_cache", "value")


class OneSlot(Sensor):
    __slots__ = "value"


class Unslotted(Sensor):
    pass


class Generated(Sensor):
    __slots__ = {"value": "documented"}


class OfBoth(Slotted):
    def __init__(self):
        super().__init__()
        self.extra, self._own = 2.0, 3.0


@pytest.mark.parametrize("kind", [Slotted, OneSlot, Unslotted, Generated])
def test_slots_of_all_classes_are_columns(kind):
    assert columns(kind("a"), kind("b", 2.0)) == {"sensor": ["a", "b"], "value": [1.0, 2.0]}


def test_slots_and_other_attributes_are_columns():
    assert columns(OfBoth()) == {"sensor": ["a"], "value": [1.0], "extra": [2.0]}


def test_a_slot_that_is_empty_is_missing():
    empty = Slotted("b")
    del empty.value
    assert columns(Slotted("a"), empty) == {"sensor": ["a", "b"], "value": [1.0, None]}


@pytest.mark.parametrize("slots", [False, True])
def test_fields_of_dataclasses_are_columns(slots):
    @dataclass(slots=slots)
    class Base:
        unit: ClassVar[str] = "bar"
        scale: InitVar[float]
        sensor: str

    @dataclass(slots=slots)
    class Read(Base):
        value: float = 1.0
        _raw: float = field(default=5.0)

        def __post_init__(self, scale):
            self.value *= scale

    assert columns(Read(2.0, "a"), Read(3.0, "b")) == {"sensor": ["a", "b"], "value": [2.0, 3.0]}


def test_fields_of_named_tuples_are_columns():
    assert columns(namedtuple("Read", "sensor value")("a", 1.0)) == {"sensor": ["a"], "value": [1.0]}


def test_objects_without_attributes_are_told():
    with pytest.raises(TypeError, match="has no attributes"):
        columns(object())


@pytest.mark.parametrize("number", [2**53, 2**53 + 2, -(2**60), 2**64, 2**100, numpy.int64(2**62), numpy.uint64(2**63)])
def test_whole_numbers_that_are_floats_are_taken(number):
    assert columns({"sensor": "a", "value": 0.5}, {"sensor": "a", "value": abs(number)})["value"] == [0.5, float(abs(int(number)))]


@pytest.mark.parametrize("number", [2**53 + 1, 2**64 + 1, 2**64 - 1, numpy.int64(2**62 + 1), numpy.uint64(2**64 - 1)])
def test_whole_numbers_that_are_none_are_refused(number):
    with pytest.raises(ValueError, match="no float to the last digit"):
        columns({"sensor": "a", "value": 0.5}, {"sensor": "a", "value": number})


def test_a_changed_time_is_changed_in_nanoseconds():
    start = pandas.Timestamp("2026-01-01T00:00:00.000000001Z")
    told = []

    class Shifts:
        def process(self, stream):
            for record in stream:
                told.append(record.timestamp_ns)
                record.timestamp += timedelta(seconds=1)
                told.append(record.timestamp_ns)
                record["time"] = datetime(2026, 1, 1, tzinfo=UTC)
                told.append(record.timestamp_ns)
                record.timestamp = None
                told.append(record.timestamp_ns)
                record.timestamp = start + timedelta(seconds=5)
                told.append(record.timestamp_ns)
                yield record

    made = Pipeline([[{"sensor": "a", "time": start, "value": 1.0}], Shifts()]).to_arrow()
    begin = 1_767_225_600_000_000_000
    assert told == [begin + 1, begin + 10**9, begin, None, begin + 5 * 10**9 + 1]
    assert made["time"].cast("int64").to_pylist() == [begin + 5 * 10**9 + 1]
