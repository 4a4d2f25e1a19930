#!/bin/sh
# Keeps a mount alive while its daemon is not: it holds a copy of the /dev/fuse descriptor, waits, and starts a new daemon
# when the present one dies without a word. It does nothing else, so that nothing can go wrong with it.
#
#     keeper.sh DEVICE DEATHS MOUNTPOINT PROGRAM ARGUMENT...
#
# DEVICE    of the mount, as in /proc/self/mountinfo; DEATHS: how many daemons of it died young so far
# fd 0      what the daemon says, a word a line; its end means that the daemon is dead
#             well   it has served for long enough: earlier deaths do not count any more
#             stop   it is unmounting: should it die now, the mount is released
#             done   the mount is gone
#             pass   it is about to become another program, with the same process number, that will say what comes next
# fd 3      the /dev/fuse descriptor
# fd 4      what the next daemon cannot ask for again
# SIGURG    the daemon's main thread is dead. Its descriptors, fd 0's other end too, may stay open until a call of
#           its in the kernel returns, which may take the answer of a new daemon.
# SIGTERM   another keeper has taken over
#
# In a function, so that the file may be replaced while this runs.

MOST_FAILURES=10
MOST_STARTS=30

release() {
  exec 3>&- 4>&-
  if grep -q "^[0-9]* [0-9]* $device " /proc/self/mountinfo; then
    umount -l -c -- "$mount_point" 2>/dev/null || fusermount3 -u -z -- "$mount_point"
    echo "infinimount: $1; the mount on $mount_point was released" >&2
  fi
  exit 0
}

keep() {
  device=$1 deaths=$2 mount_point=$3
  shift 3
  stopping='' passing='' dead=''
  trap 'dead=yes' URG
  while read -r word; do
    case $word in
      well) deaths=0 ;;
      stop) stopping=yes ;;
      done) exit 0 ;;
      pass) passing=yes ;;
    esac
  done
  exec 0</dev/null
  # The other program sends SIGTERM as soon as it serves the mount.
  while [ -n "$passing" ] && [ -z "$dead" ] && kill -0 "$PPID" 2>/dev/null; do sleep 1; done
  [ -z "$stopping" ] || release "the program died while it was unmounting"
  starts=0 failures=0
  while [ "$starts" -lt "$MOST_STARTS" ] && [ "$failures" -lt "$MOST_FAILURES" ]; do
    starts=$((starts + 1)) deaths=$((deaths + 1))
    _INFINIMOUNT_INHERIT="keeper=$$ mount=3 told=4 deaths=$deaths" "$@"
    status=$?
    case $status in
      0) exit 0 ;;
      6[4-9] | 7[0-9]) release "the new program could not serve it" ;;
      137) ;; # SIGKILL: the next one may live.
      *)
        failures=$((failures + 1))
        sleep 1
        ;;
    esac
  done
  release "the program died again and again"
}

keep "$@"
