#!/bin/bash
# curl.
set -euo pipefail
echo "version $(curl --version | head -n 1 | cut -d ' ' -f 1-2)"
echo "published $(curl -sS -d '{"n":1}' "$1/v1/publish?channel=$2")"
echo "polled $(curl -sS "$1/v1/subscribe?channel=$2&last=1&wait=0")"
while read -r line; do
    [[ $line != *'"data"'* ]] || break
done < <(exec curl -sSN -H 'Accept: application/x-ndjson' "$1/v1/subscribe?channel=$2&last=1" 2>/dev/null)
kill $! # It would stay until the next message.
echo "streamed $line"
