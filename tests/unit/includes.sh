#!/bin/bash
# Holds the #include lines to the arrows between the folders: who may know of whom. See docs/ARCHITECTURE.md.
#
#   includes.sh SOURCE_DIR
set -euo pipefail

cd "$1"
faults=0

# Files, the pattern that an include must match to be looked at, the pattern of those that are allowed, and why.
check() {
    local files=$1 looked_at=$2 allowed=$3 why=$4 found pattern patterns
    read -ra patterns <<<"$files"
    for pattern in "${patterns[@]}"; do
        compgen -G "$pattern" >/dev/null || { echo "there are no files $pattern"; faults=$((faults + 1)); }
    done
    # shellcheck disable=SC2086 # The files are patterns.
    found=$(grep -nE '^[[:space:]]*#[[:space:]]*include[[:space:]]*[<"]' $files |
        grep -E "include[[:space:]]*[<\"]($looked_at)" | grep -vE "include[[:space:]]*[<\"]($allowed)[>\"]" || true)
    if [ -n "$found" ]; then
        printf '%s:\n%s\n' "$why" "$found"
        faults=$((faults + 1))
    fi
}

none='$^'
contracts='gateway/(config/config|broker/broker|protocol/protocol|transport/transport)\.h'
libraries='libwebsockets|lws|hiredis|uv\.h|openssl|jansson|libconfig|sys/socket|netinet|arpa/'

check 'common/*.[ch]' 'gateway/|loadtest/|tests/' "$none" 'common knows nothing of channels or clients'
check 'gateway/core/*.[ch]' "$libraries" "$none" 'the core does no I/O and knows no library of it'
check 'gateway/core/*.[ch]' 'gateway/' "gateway/core/[a-z_]+\.(h|def)|$contracts" \
    'the core knows the others by their contracts'
check 'gateway/config/*.[ch]' 'gateway/' 'gateway/(config/[a-z_]+|core/(channel|origin))\.h' \
    'the configuration asks for names and origins only'
check 'gateway/protocol/*.[ch]' 'libwebsockets|hiredis|uv\.h|sys/socket|netinet' "$none" 'codecs do no I/O'
check 'gateway/protocol/*.[ch]' 'gateway/' 'gateway/(protocol/[a-z_]+|core/(command|event|message|position))\.h' \
    'codecs know what is asked and told'
check 'gateway/broker/*.[ch]' 'gateway/' \
    'gateway/(broker/[a-z_]+|core/(command|event|message|position|metrics)|config/(config|redis_url)|loop)\.h' \
    'a broker knows messages, not clients'
check 'gateway/transport/*.[ch] gateway/transport/http/*.[ch]' 'gateway/' \
    'gateway/(transport/[a-z_]+|transport/http/[a-z_]+|core/[a-z_]+|config/config|loop|forms)\.h' \
    'a transport knows the core, and not which protocol or broker'
bytes_only='gateway/transport/http/head.[ch] gateway/transport/http/path.[ch] gateway/transport/http/response.[ch]'
bytes_only+=' gateway/transport/frame.[ch] gateway/transport/frame_reader.[ch] gateway/transport/extensions.[ch]'
bytes_only+=' gateway/transport/forwarded.[ch] gateway/transport/proxy_header.[ch]'
check "$bytes_only" "$libraries" "$none" 'what reads bytes does no I/O'
check 'gateway/master/*.[ch]' 'gateway/' \
    'gateway/(master/[a-z]+|admin/[a-z]+|core/metrics|transport/(acceptor|server)|config/config|loop|worker)\.h' \
    'the master touches no client'
check 'gateway/master/calls.[ch] gateway/master/lines.[ch]' "$libraries|gateway/(loop|master/(control|master|workers))" "$none" \
    'what waits for workers does no I/O'
check 'gateway/master/workers.[ch]' 'gateway/(admin|transport|master/(calls|master))' "$none" \
    'workers are run by who knows nothing of what they are asked'
check 'gateway/admin/*.[ch]' 'gateway/broker' "$none" 'admin asks the core'
check 'common/*.[ch] gateway/*.[ch] gateway/config/*.[ch] gateway/core/*.[ch] gateway/protocol/*.[ch] gateway/broker/*.[ch] gateway/admin/*.[ch] gateway/master/*.[ch]' \
    'libwebsockets' "$none" 'only transports know libwebsockets'
check 'common/*.[ch] gateway/*.[ch] gateway/config/*.[ch] gateway/core/*.[ch] gateway/protocol/*.[ch] gateway/transport/*.[ch] gateway/transport/http/*.[ch] gateway/admin/*.[ch] gateway/master/*.[ch]' \
    'hiredis' "$none" 'only brokers know hiredis'
check 'common/*.[ch] gateway/*.[ch] gateway/*/*.[ch] loadtest/*.[ch]' 'tests/' "$none" 'nothing knows the tests'

exit $((faults > 0))
