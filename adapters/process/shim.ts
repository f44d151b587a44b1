/**
 * The shell script every process pod runs under, so that the end of arhat takes neither process nor log nor exit code with it.
 * It is data-driven: what comes from users is read from files and stays in quoted parameters, nothing is ever evaluated.
 */

/** Output per stream is kept in `KEPT_SEGMENTS` files of about this many bytes, so at most 50 MiB for a container. */
export const SEGMENT_BYTES = 5 * 1024 * 1024
export const KEPT_SEGMENTS = 5
/** A segment also ends here, which bounds its index of times for who writes single bytes. */
const SEGMENT_CHUNKS = 20_000

/** One line of text for any value without NUL: `printf %b` brings it back. */
export const encodeLine = (value: string): string => value.replaceAll("\\", "\\\\").replaceAll("\n", "\\n")

export const encodeLines = (values: ReadonlyArray<string>): string =>
  values.map((value) => `${encodeLine(value)}\n`).join("")

export const shim = String.raw`#!/bin/sh
set -u
umask 077

# Sets pid and start (field 22 of stat, clock ticks after boot) of this very shell, and the boot they belong to.
identity() {
  read -r stat < /proc/self/stat
  pid=$${"{"}stat%% *}
  set -- $${"{"}stat##*) }
  shift 19
  start=$1
  read -r boot < /proc/sys/kernel/random/boot_id
}

# Sets value to what a line stands for. The dot keeps newlines at the end.
decode() {
  case $1 in
    *\\*) value=$(printf '%b.' "$1"); value=$${"{"}value%.} ;;
    *) value=$1 ;;
  esac
}

join_cgroups() {
  while IFS= read -r group; do
    echo 0 > "$group/cgroup.procs" || return 1
  done < "$1/cgroups"
}

# How readily the kernel may kill it. Lower than it is takes CAP_SYS_RESOURCE, which not every arhat has: then it stays.
take_oom_score() {
  read -r score < "$1/oom" && echo "$score" > /proc/self/oom_score_adj
} 2>/dev/null

kill_cgroups() {
  while IFS= read -r group; do
    [ -w "$group/cgroup.kill" ] && echo 1 > "$group/cgroup.kill"
    tries=0
    while [ "$tries" -lt 50 ]; do
      members=
      while IFS= read -r member; do
        members=yes
        kill -9 "$member" 2>/dev/null
      done < "$group/cgroup.procs"
      [ -n "$members" ] || break
      tries=$((tries + 1))
      sleep 0.02
    done
  done < "$1/cgroups"
}

# Copies standard input to numbered files. After each piece the size and the time of writing go to an index beside it.
pump() {
  number=1
  used=0
  chunks=0
  while :; do
    file=$1/$2.$number
    if dd bs=65536 count=1 2>/dev/null >> "$file"; then
      written=$(stat -c '%s %y' "$file") || break
      size=$${"{"}written%% *}
      [ "$size" = "$used" ] && break
      # What the full disk took of a line must not become one with the next: nothing is added to this segment any more.
      echo "$written" >> "$file.index" || chunks=${SEGMENT_CHUNKS}
      piece=$((size - used))
      used=$size
      chunks=$((chunks + 1))
      if [ "$size" -ge ${SEGMENT_BYTES} ] || [ "$chunks" -ge ${SEGMENT_CHUNKS} ]; then
        number=$((number + 1))
        used=0
        chunks=0
        old=$1/$2.$((number - ${KEPT_SEGMENTS}))
        rm -f "$old" "$old.index"
      elif [ "$piece" -lt 4096 ]; then
        sleep 0.05 # gathers what comes line by line
      fi
    else
      [ -e "$1" ] || break # the container was removed
      sleep 1 # the disk is full: the output is lost, the process goes on
      used=$(stat -c %s "$file" 2>/dev/null || echo 0)
    fi
  done
  echo > "$1/$2.end" # nothing more will be written
}

run() {
  dir=$1
  identity
  ( set -C; : > "$dir/claim" ) 2>/dev/null || exit 0
  echo "$pid $start $boot" > "$dir/claim" || { rm -f "$dir/claim"; exit 1; } # the disk is full: another may try later
  while IFS= read -r group; do # out of arhat's own group, which a service manager may kill as a whole
    echo 0 > "$group/cgroup.procs"
  done < "$dir/home" 2>/dev/null
  trap 'interrupted=yes' HUP INT QUIT TERM
  mkfifo -m 0622 "$dir/out" "$dir/err" || exit 1 # whoever it runs as may open /dev/stdout; nobody else gets into the folder
  pump "$dir" stdout < "$dir/out" &
  out=$!
  pump "$dir" stderr < "$dir/err" &
  err=$!
  input=/dev/null
  if [ -e "$dir/stdin" ]; then
    input=$dir/stdin
    exec 8<> "$input"
    trap 'interrupted=yes; exec 8>&-' USR1 # the end of input
  fi
  (
    trap - HUP INT QUIT TERM USR1
    exec < "$input" > "$dir/out" 2> "$dir/err" 8>&-
    if [ -e "$dir/tty" ]; then # holds the terminal for as long as the container lives; its text is fixed
      SHELL=$(command -v sh) ARHAT_SHIM=$0 ARHAT_FOLDER=$dir
      export SHELL ARHAT_SHIM ARHAT_FOLDER
      exec script -qefc 'exec sh "$ARHAT_SHIM" seat "$ARHAT_FOLDER"' /dev/null
    fi
    join_cgroups "$dir" || { echo "cannot join the control group" > "$dir/failed"; exit 128; }
    if [ -s "$dir/mounts" ]; then
      exec setsid unshare -m --propagation private -- sh "$0" inner "$dir"
    fi
    exec setsid sh "$0" inner "$dir"
  ) &
  child=$!
  while :; do
    interrupted=
    wait "$child"
    code=$?
    [ -n "$interrupted" ] && [ "$code" -gt 128 ] || break
    kill -0 "$child" 2>/dev/null && continue
    # It ended at that moment: its code is remembered, unless it is this one.
    wait "$child"
    last=$?
    [ "$last" -eq 127 ] || code=$last
    break
  done
  exec 8>&-
  if [ -s "$dir/cgroups" ]; then
    kill_cgroups "$dir"
  else
    [ ! -e "$dir/tty" ] || read -r child boot < "$dir/process"
    kill -9 "-$child" 2>/dev/null # what is left of its process group
  fi
  ln -s "$code" "$dir/exit.new" # a link, because its text has room where a full disk takes no file's
  # The last output belongs before the end; but what escaped may hold the pipes for ever.
  tries=0
  while kill -0 "$out" 2>/dev/null || kill -0 "$err" 2>/dev/null; do
    [ "$tries" -lt 100 ] || break
    tries=$((tries + 1))
    sleep 0.02
  done
  rm -f "$dir/out" "$dir/err"
  if [ -e "$dir/process" ]; then mv "$dir/exit.new" "$dir/exit"; fi
  sync "$dir" 2>/dev/null
}

# Takes its place at the terminal that it was started on, which belongs to the user in the file.
seat() {
  dir=$1
  join_cgroups "$dir" || { echo "cannot join the control group" > "$dir/failed"; exit 128; }
  stty echo rows 24 cols 80 || { echo "the terminal cannot be set up" > "$dir/failed"; exit 128; }
  terminal=$(tty)
  chown "$(cat "$dir/tty")" "$terminal" 2>/dev/null
  echo "$terminal" > "$dir/terminal"
  if [ -s "$dir/mounts" ]; then
    exec unshare -m --propagation private -- sh "$0" inner "$dir"
  fi
  exec sh "$0" inner "$dir"
}

refuse() {
  printf '%s\n' "$1" > "$dir/failed.new" && mv "$dir/failed.new" "$dir/failed"
  exit 128
}

try() {
  words=$("$@" 2>&1) || refuse "$words"
}

inner() {
  dir=$1
  umask 022
  while IFS= read -r kind && IFS= read -r source && IFS= read -r target; do
    decode "$source"; source=$value
    decode "$target"; target=$value
    case $kind in
      overlay) try mount -t overlay -o "lowerdir=$source,upperdir=$dir/upper,workdir=$dir/work" overlay "$target" ;;
      proc) try mkdir -p -- "$target"; try mount -t proc proc "$target" ;;
      freeze) try mount -o remount,ro "$target" ;;
      bind|bind-ro|rbind-ro)
        if [ -d "$source" ]; then
          try mkdir -p -- "$target"
        elif [ ! -e "$target" ]; then
          try mkdir -p -- "$${"{"}target%/*}/"
          try touch -- "$target"
        fi
        case $kind in
          bind-ro) try mount --bind -- "$source" "$target" ;;
          *) try mount --rbind -- "$source" "$target" ;;
        esac
        [ "$kind" = bind ] || try mount -o remount,bind,ro -- "$target" ;;
    esac
  done < "$dir/mounts"
  set --
  while IFS= read -r line; do
    decode "$line"
    set -- "$@" "$value"
  done < "$dir/argv"
  arguments=$#
  [ "$arguments" -gt 0 ] || refuse "there is nothing to run"
  take_oom_score "$dir"
  record "$dir"
  exec "$@"
}

record() {
  identity
  echo "$pid $start $boot" > "$1/process.new" && mv "$1/process.new" "$1/process" ||
    refuse "the disk takes no note of the process"
}

mode=$1
shift
case $mode in
  run) run "$1" ;;
  seat) seat "$1" ;;
  inner) inner "$1" ;;
  exec)
    join_cgroups "$1" || exit 128
    take_oom_score "$1"
    umask 022
    shift
    exec "$@" ;;
esac
`
