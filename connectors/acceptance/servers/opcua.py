"""An OPC UA server with a small plant. The argument is JSON: {"port", "control", "folder", "user", "password", "protected", "host", "history"}.

At the port `control`, each line is a JSON array of [node, value, status, time in microseconds since 1970], which are written in order; the answer is a line.
"""

import asyncio
import json
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

from asyncua import Server, ua
from asyncua.crypto.cert_gen import setup_self_signed_certificate
from asyncua.crypto.permission_rules import User, UserRole
from cryptography.x509.oid import ExtendedKeyUsageOID

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
BEGIN = datetime(2026, 1, 1, tzinfo=timezone.utc)
URI = "urn:tidemill:tests"


class Users:
    """Knows one user; everybody if there is none."""

    def __init__(self, user, password):
        self.login = (user, password)

    def get_user(self, iserver, username=None, password=None, certificate=None):
        known = self.login[0] is None or (username, password) == self.login
        return User(role=UserRole.User) if known else None


def value(content, status, time):
    return ua.DataValue(ua.Variant(*content), StatusCode=ua.StatusCode(status), SourceTimestamp=time)


class Plant:
    """The nodes, by the last part of their ids."""

    def __init__(self, server):
        self.server, self.nodes, self.types = server, {}, {}

    async def build(self):
        index = await self.server.register_namespace("urn:plant")
        plant = await self.server.nodes.objects.add_object(index, "Plant")
        for name in ("Line1", "Line2"):
            line = await plant.add_object(index, name)
            await self.add(line, index, f"{name}.Temperature", 20.5, ua.VariantType.Double, ("°C", -40.0, 125.0))
            await self.add(line, index, f"{name}.Pressure", 3, ua.VariantType.Int32, ("bar", 0.0, 10.0))
            await self.add(line, index, f"{name}.Runs", True, ua.VariantType.Boolean)
            await self.add(line, index, f"{name}.State", "idle", ua.VariantType.String)
        await self.add(plant, index, "Spectrum", [1.0, 2.0], ua.VariantType.Double)

    async def add(self, parent, index, name, first, kind, scale=None):
        variable = await parent.add_variable(ua.NodeId(name, index), ua.QualifiedName(name.split(".")[-1], index), first, kind)
        self.nodes[name], self.types[name] = variable, kind
        if scale:
            unit, low, high = scale
            await variable.add_property(0, "EngineeringUnits", ua.EUInformation(DisplayName=ua.LocalizedText(unit)))
            await variable.add_property(0, "EURange", ua.Range(low, high))

    async def keep(self, count):
        """Gives two nodes a history: a value per second, of which every tenth shares its time with the one before."""
        storage = self.server.iserver.history_manager.storage
        for name in ("Line1.Temperature", "Line2.Temperature"):
            node = self.nodes[name].nodeid
            await storage.new_historized_node(node, None)
            for at in range(count):
                seconds = at - 1 if at % 10 == 9 else at
                status = ua.StatusCodes.BadSensorFailure if at % 50 == 7 else ua.StatusCodes.Good
                stored = value((float(at), ua.VariantType.Double), status, BEGIN + timedelta(seconds=seconds))
                await storage.save_node_value(node, stored)

    async def write(self, line):
        for name, content, status, micros in json.loads(line):
            written = value((content, self.types[name]), getattr(ua.StatusCodes, status), EPOCH + timedelta(microseconds=micros))
            await self.server.write_attribute_value(self.nodes[name].nodeid, written)


async def main(options):
    server = Server(user_manager=Users(options["user"], options["password"]))
    await server.init()
    server.set_endpoint(f"opc.tcp://127.0.0.1:{options['port']}/tide")
    await server.set_application_uri(URI)
    if options["user"] is not None:
        server.set_identity_tokens([ua.UserNameIdentityToken])
    policies = [ua.SecurityPolicyType.NoSecurity]
    if options["protected"]:
        policies = [ua.SecurityPolicyType.Basic256Sha256_Sign, ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt]
        key, certificate = (Path(options["folder"]) / name for name in ("server.key.pem", "server.der"))
        use = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
        await setup_self_signed_certificate(key, certificate, URI, options["host"], use, {"commonName": "plant"})
        await server.load_certificate(certificate)
        await server.load_private_key(key)
    server.set_security_policy(policies)
    plant = Plant(server)
    await plant.build()

    async def control(reader, writer):
        while line := await reader.readline():
            await plant.write(line)
            writer.write(b"written\n")
            await writer.drain()
        writer.close()

    async with server:
        if options["history"]:
            await plant.keep(options["history"])
        async with await asyncio.start_server(control, "127.0.0.1", options["control"]):
            print("ready", flush=True)
            await asyncio.Event().wait()


asyncio.run(main(json.loads(sys.argv[1])))
