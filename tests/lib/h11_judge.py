# What h11 (package python3-h11) makes of the bytes of a connection: a line of JSON out for each line of JSON in.
# In: the bytes as a string of Latin-1. Out: {"requests": [[method, target, body]...], "end": "refused" | "more" | "closed" | "done" | "unjudged"}.
import json
import sys

import h11


# One request at the beginning of `data`: (request or None, end or None, what is behind it).
def read_request(data):
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=65536)
    connection.receive_data(data)
    request, body = None, b""
    try:
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                return None, "more", b""
            if isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                break
    except h11.RemoteProtocolError:
        return None, "refused", b""
    end = None
    if connection.their_state is h11.MUST_CLOSE:
        # RFC 9112, 9.3: HTTP/1.0 may ask to go on; h11 closes whatever it asks.
        end = "unjudged" if request.http_version == b"1.0" and b"keep-alive" in dict(request.headers).get(b"connection", b"").lower() else "closed"
    text = [part.decode("latin-1") for part in (request.method, request.target, body)]
    return text, end, connection.trailing_data[0]


def read_all(data):
    requests = []
    while True:
        # RFC 9112, 2.2: empty lines before a request are to be ignored; h11 does not.
        while data.startswith(b"\r\n"):
            data = data[2:]
        if not data:
            return {"requests": requests, "end": "done"}
        request, end, data = read_request(data)
        if request is not None:
            requests.append(request)
        if end is not None:
            return {"requests": requests, "end": end}


for line in sys.stdin:
    print(json.dumps(read_all(json.loads(line).encode("latin-1"))), flush=True)
