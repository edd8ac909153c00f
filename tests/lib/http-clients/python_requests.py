# Python's requests (package python3-requests), one session for all.
import sys

import requests

url, channel = sys.argv[1:]
print("version requests", requests.__version__)
with requests.Session() as session:
    print("published", session.post(url + "/v1/publish", params={"channel": channel}, data='{"n":1}').text)
    print("polled", session.get(url + "/v1/subscribe", params={"channel": channel, "last": 1, "wait": 0}).text)
    accept = {"Accept": "application/x-ndjson"}
    with session.get(url + "/v1/subscribe", params={"channel": channel, "last": 1}, headers=accept, stream=True) as stream:
        for line in stream.iter_lines(chunk_size=1):
            if b'"data"' in line:
                print("streamed", line.decode())
                break
