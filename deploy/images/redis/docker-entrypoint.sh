#!/bin/sh
# Options or a configuration file alone mean redis-server; redis-server never runs as root.
set -e

case $1 in
-* | *.conf) set -- redis-server "$@" ;;
esac
if [ "$1" = redis-server ] && [ "$(id -u)" = 0 ]; then
    chown -R redis:redis .
    exec setpriv --reuid=redis --regid=redis --clear-groups -- "$0" "$@"
fi
if [ "$1" = redis-server ]; then
    # Debian's Redis refuses connections from elsewhere by default; a container's network is private.
    set -- "$@" --protected-mode no
fi
exec "$@"
