"""Limits of what a client may send."""

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class BodyLimit:
    """Refuses requests whose body has more than `limit` bytes, and reads no further."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self.app = app
        self.limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        read = 0

        async def limited() -> Message:
            nonlocal read
            message = await receive()
            # Counted, since a body in chunks does not say its length.
            read += len(message.get("body", b""))
            if read > self.limit:
                raise HTTPException(413, f"the body has more than {self.limit} bytes")
            return message

        await self.app(scope, limited if scope["type"] == "http" else receive, send)
