"""An OPC UA server with a small plant. The argument is JSON: {"port", "control", "folder", "user", "password", "user_certificate", "protected", "host", "history", "room", "hidden"}.

At the port `control`, each line is a JSON array, which is done before the next one; the answer is a line of JSON.

| array | done | answer |
|---|---|---|
| "write", [[node, value, status, time in microseconds since 1970]] | the values are written in order | null |
| "retype", node, type | the values of the node have this type from then on | null |
| "password", text | the user has this password from then on | null |
| "refuse", whether | nodes cannot be subscribed to | null |
| "sessions" | | how many sessions there are, how many there were, and for how long the client wants keys of connections to be valid, in milliseconds |
"""

import asyncio
import itertools
import json
import sys
from bisect import bisect_left, bisect_right
from datetime import datetime, timedelta, timezone
from pathlib import Path

from asyncua import Server, ua
from asyncua.common.connection import SecureConnection
from asyncua.crypto.cert_gen import setup_self_signed_certificate
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.history import HistoryDict
from asyncua.server.uaprocessor import UaProcessor
from asyncua.ua.ua_binary import struct_from_binary
from cryptography.x509.oid import ExtendedKeyUsageOID

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
BEGIN = datetime(2026, 1, 1, tzinfo=timezone.utc)
URI = "urn:tidemill:tests"


class Users:
    """Knows one user, by a password or a certificate; everybody if there is none."""

    def __init__(self, user, password):
        self.login, self.certificate = (user, password), None

    def get_user(self, iserver, username=None, password=None, certificate=None):
        if self.certificate is not None:
            known = certificate == self.certificate
        else:
            known = self.login[0] is None or (username, password) == self.login
        return User(role=UserRole.User) if known else None


class Kept(HistoryDict):
    """Values that were not kept but are made when they are read: one per second, of which every tenth shares its time with the one before."""

    def __init__(self, nodes, count):
        super().__init__()
        self.nodes, self.count = nodes, count

    @staticmethod
    def moment(at):
        return BEGIN + timedelta(seconds=at - 1 if at % 10 == 9 else at)

    def value(self, at):
        status = ua.StatusCodes.BadSensorFailure if at % 50 == 7 else ua.StatusCodes.Good
        return value((float(at), ua.VariantType.Double), status, self.moment(at))

    async def read_node_history(self, node_id, start, end, nb_values):
        most = self.max_history_data_response_size
        all = range(self.count if node_id in self.nodes else 0)
        found = all[bisect_left(all, start, key=self.moment) : bisect_right(all, end, key=self.moment)]
        found = found[:nb_values] if nb_values else found
        point = self.moment(found[most]) if len(found) > most else None
        return [self.value(at) for at in found[:most]], point


class Shown:
    """How nodes are shown to whoever browses: two references at a time, of which the server can continue only so many answers (asyncua always shows all), and nothing of some nodes."""

    def __init__(self, iserver, room, hidden):
        self.room, self.hidden = room, hidden
        self.browse, self.left, self.numbers = iserver.view_service.browse, {}, itertools.count()
        iserver.view_service.browse = self.first
        process, next_ = UaProcessor._process_message, ua.NodeId(ua.ObjectIds.BrowseNextRequest_Encoding_DefaultBinary)

        async def with_next(processor, kind, header, sequence, body):
            if kind != next_:
                return await process(processor, kind, header, sequence, body)
            response, asked = ua.BrowseNextResponse(), struct_from_binary(ua.BrowseNextParameters, body)
            response.Parameters.Results = [self.part(self.left.pop(point)) for point in asked.ContinuationPoints]
            processor.send_response(header.RequestHandle, sequence, response)
            return True

        UaProcessor._process_message = with_next

    def first(self, params):
        results = zip(params.NodesToBrowse, self.browse(params))
        return [self.refused("BadUserAccessDenied") if asked.NodeId.Identifier in self.hidden else self.part(result.References) for asked, result in results]

    def part(self, references):
        if not self.room or len(references) <= 2:
            return ua.BrowseResult(References=references)
        if len(self.left) == self.room:
            return self.refused("BadNoContinuationPoints")
        point = str(next(self.numbers)).encode()
        self.left[point] = references[2:]
        return ua.BrowseResult(ContinuationPoint=point, References=references[:2])

    def refused(self, status):
        return ua.BrowseResult(StatusCode=ua.StatusCode(getattr(ua.StatusCodes, status)))


class Sessions:
    """What clients want of the server."""

    def __init__(self, iserver):
        self.iserver, self.made, self.lifetimes, self.refuses = iserver, 0, set(), False
        create, subscribe, open_ = iserver.create_session, iserver.subscription_service.create_monitored_items, SecureConnection.open

        def counted(*arguments, external=False, **named):
            self.made += external
            return create(*arguments, external=external, **named)

        async def subscribed(params):
            wrong = ua.MonitoredItemCreateResult(StatusCode=ua.StatusCode(ua.StatusCodes.BadOutOfMemory))
            return [wrong for _ in params.ItemsToCreate] if self.refuses else await subscribe(params)

        def opened(connection, params, server):
            self.lifetimes.add(params.RequestedLifetime)
            return open_(connection, params, server)

        iserver.create_session, iserver.subscription_service.create_monitored_items = counted, subscribed
        SecureConnection.open = opened


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
            line = await plant.add_object(ua.NodeId(name, index), ua.QualifiedName(name, index))
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

    def keep(self, count):
        """Gives two nodes a history."""
        nodes = {self.nodes[name].nodeid for name in ("Line1.Temperature", "Line2.Temperature")}
        self.server.iserver.history_manager.set_storage(Kept(nodes, count))

    async def write(self, all):
        for name, content, status, micros in all:
            written = value((content, self.types[name]), getattr(ua.StatusCodes, status), EPOCH + timedelta(microseconds=micros))
            await self.server.write_attribute_value(self.nodes[name].nodeid, written)


async def certificate(folder, name, uri, host):
    """Makes a certificate and its key."""
    key, made = (Path(folder) / file for file in (f"{name}.key.pem", f"{name}.der"))
    use = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
    await setup_self_signed_certificate(key, made, uri, host, use, {"commonName": name})
    return key, made


async def main(options):
    users = Users(options["user"], options["password"])
    server = Server(user_manager=users)
    await server.init()
    server.set_endpoint(f"opc.tcp://127.0.0.1:{options['port']}/tide")
    await server.set_application_uri(URI)
    if options["user"] is not None:
        server.set_identity_tokens([ua.UserNameIdentityToken])
    if options["user_certificate"]:
        for name in ("user", "stranger"):
            await certificate(options["folder"], name, "urn:tidemill:user", "localhost")
        users.certificate = (Path(options["folder"]) / "user.der").read_bytes()
        server.set_identity_tokens([ua.X509IdentityToken])
    policies = [ua.SecurityPolicyType.NoSecurity]
    if options["protected"]:
        policies = [ua.SecurityPolicyType.Basic256Sha256_Sign, ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt]
        key, made = await certificate(options["folder"], "server", URI, options["host"])
        await server.load_certificate(made)
        await server.load_private_key(key)
    server.set_security_policy(policies)
    plant = Plant(server)
    await plant.build()
    sessions = Sessions(server.iserver)

    async def do(what, *arguments):
        if what == "write":
            await plant.write(*arguments)
        elif what == "retype":
            name, kind = arguments
            plant.types[name] = ua.VariantType[kind]
            data_type = ua.DataValue(ua.Variant(ua.NodeId(plant.types[name].value)))
            await plant.nodes[name].write_attribute(ua.AttributeIds.DataType, data_type)
            # Otherwise, values must have the type of the one before.
            attributes = server.iserver.aspace[plant.nodes[name].nodeid].attributes
            attributes[ua.AttributeIds.Value].value = ua.DataValue(ua.Variant(None, ua.VariantType.Null))
        elif what == "password":
            users.login = (options["user"], *arguments)
        elif what == "refuse":
            (sessions.refuses,) = arguments
        elif what == "sessions":
            return {"now": len(server.iserver._external_sessions), "made": sessions.made, "lifetimes": sorted(sessions.lifetimes)}

    async def control(reader, writer):
        while line := await reader.readline():
            answer = await do(*json.loads(line))
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        writer.close()

    async with server:
        if options["history"]:
            plant.keep(options["history"])
        if options["room"] or options["hidden"]:
            Shown(server.iserver, options["room"], options["hidden"])
        # Lines may have many values.
        async with await asyncio.start_server(control, "127.0.0.1", options["control"], limit=1 << 24):
            print("ready", flush=True)
            await asyncio.Event().wait()


asyncio.run(main(json.loads(sys.argv[1])))
