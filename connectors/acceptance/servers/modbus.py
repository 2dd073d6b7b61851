"""Modbus TCP devices of pymodbus. The argument is a configuration in JSON:

{"ports": [20000], "units": [{"unit": 1, "exception": 6, "values": [{"kind": "holding", "address": 0, "type": "f32", "word_order": "big", "byte_order": "big", "value": 20.5}]}],
 "together": true}

All ports have the same units; a `silent` one never answers. With `together`, the first answers are held back until every port has been asked.
"""

import asyncio
import functools
import json
import sys

from pymodbus.client import ModbusTcpClient
from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

Encoded = ModbusTcpClient.DATATYPE
TYPES = {
    "u16": Encoded.UINT16, "i16": Encoded.INT16, "u32": Encoded.UINT32, "i32": Encoded.INT32,
    "u64": Encoded.UINT64, "i64": Encoded.INT64, "f32": Encoded.FLOAT32, "f64": Encoded.FLOAT64,
}
TABLES = ("coil", "discrete", "holding", "input")
# Tables may not be empty. Addresses outside of what is configured are refused.
UNUSED = 60_000


def swapped(word):
    return int.from_bytes(word.to_bytes(2, "big"), "little")


def data(value):
    """A value as pymodbus encodes it; it knows no order of bytes."""
    if value["kind"] in ("coil", "discrete"):
        return SimData(value["address"], values=[value["value"]], datatype=DataType.BITS)
    number = float(value["value"]) if value["type"].startswith("f") else value["value"]
    words = ModbusTcpClient.convert_to_registers(number, TYPES[value["type"]], value.get("word_order", "big"))
    if value.get("byte_order") == "little":
        words = [swapped(word) for word in words]
    return SimData(value["address"], values=words, datatype=DataType.REGISTERS)


def device(unit, action):
    tables = {table: [data(value) for value in unit["values"] if value["kind"] == table] for table in TABLES}
    for table, found in tables.items():
        bits = table in ("coil", "discrete")
        if not found:
            found.append(SimData(UNUSED, values=[False] if bits else [0], datatype=DataType.BITS if bits else DataType.REGISTERS))
    return SimDevice(unit["unit"], simdata=tuple(tables[table] for table in TABLES), action=action)


class Devices:
    def __init__(self, configuration):
        self.ports, self.units = configuration["ports"], configuration["units"]
        self.asked, self.all_asked = set(), asyncio.Event()
        if not configuration.get("together"):
            self.all_asked.set()

    async def act(self, port, exception, silent, *_request):
        if silent:
            await asyncio.Event().wait()
        self.asked.add(port)
        if len(self.asked) == len(self.ports):
            self.all_asked.set()
        await self.all_asked.wait()
        return ExcCodes(exception) if exception else None

    async def serve(self):
        servers = []
        for port in self.ports:
            act = lambda unit: functools.partial(self.act, port, unit.get("exception"), unit.get("silent"))
            devices = [device(unit, act(unit)) for unit in self.units]
            servers.append(ModbusTcpServer(devices, address=("127.0.0.1", port)))
            await servers[-1].serve_forever(background=True)
        print("ready", flush=True)
        await asyncio.Event().wait()


async def main():
    await Devices(json.loads(sys.argv[1])).serve()


asyncio.run(main())
