#!/bin/sh
# Process 1 of the managed plugin. Docker ends it with SIGTERM: `docker plugin disable`, or its own end.

# Docker mounts /proc/sys read-only for plugins; weftd sets what a router sets, in /proc/sys/net.
mount -o remount,bind,rw /proc/sys

weftd &
daemon=$!
trap 'kill "$daemon"' TERM
# A signal ends a wait, not the daemon.
while wait "$daemon"; code=$?; kill -0 "$daemon" 2>/dev/null; do :; done

# Containers that Docker keeps running get their links again at the next start; without a plugin nobody would take away what is left.
weftd --clean
exit "$code"
