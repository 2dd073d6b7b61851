"""Creates a container in Azurite: `azure_container.py PORT KEY NAME`. Standard library only."""

import base64
import hashlib
import hmac
import http.client
import sys
from email.utils import formatdate

ACCOUNT = "devstoreaccount1"


def main(port: str, key: str, name: str) -> None:
    date = formatdate(usegmt=True)
    headers = f"x-ms-date:{date}\nx-ms-version:2021-08-06\n"
    # The path has the account twice: in the address of the emulator, and as the account.
    resource = f"/{ACCOUNT}/{ACCOUNT}/{name}\nrestype:container"
    text = "PUT" + "\n" * 12 + headers + resource
    digest = hmac.new(base64.b64decode(key), text.encode(), hashlib.sha256).digest()
    signature = base64.b64encode(digest).decode()
    connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=60)
    connection.request(
        "PUT",
        f"/{ACCOUNT}/{name}?restype=container",
        headers={
            "x-ms-date": date,
            "x-ms-version": "2021-08-06",
            "Authorization": f"SharedKey {ACCOUNT}:{signature}",
            "Content-Length": "0",
        },
    )
    answer = connection.getresponse()
    if answer.status != 201:
        sys.exit(f"{answer.status}: {answer.read().decode()}")


main(*sys.argv[1:])
