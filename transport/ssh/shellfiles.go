package ssh

// fileScripts are the functions of the scripts that change files: POSIX sh with the tools of coreutils or busybox. A script goes to
// the folder that holds its file and names nothing but what stands in there, so that a path that is exchanged meanwhile leads nowhere.
//
// Variables: ME and MYG are the ids of the acting user; U, G and P the wanted owner, group, and the owner's primary group, or empty;
// M the wanted mode as an octal number, or empty; R a random name; MV is mv with the flags that this host's knows.
//
// chmod follows a symlink. Where somebody else could put one in the place of the file, mode opens the file, makes sure that what it
// opened is what stands there by that name, and names it by its descriptor.
//
// Exit codes that no tool uses say what a script found: see exitKinds.
const fileScripts = `die() { c=$1; shift; printf '%s\n' "$*" >&2; exit "$c"; }
here() { h=$(pwd -P; echo x); h=${h%??}; }
ours() { [ "$1" = 0 ] || [ "$1" = "$ME" ]; }
linktext() { t=$(readlink "./$1"; echo x); t=${t%??}; }
trusted() {
  l=$(stat -c %u "./$1") && d=$(stat -c '%u %a' .) || exit 1
  ok=; if ours "$l" && ours "${d% *}"; then ok=1; fi
  case ${d#* } in [1357]???) ;; *[2367]) ok= ;; esac
  [ "$ok" ] || { here; die 91 "${h%/}/$1 is a symlink that another user controls"; }
  linktext "$1"
}
walk() {
  if cd -P "$1" 2>/dev/null; then here; if [ "$h" = "$1" ]; then return 0; fi; fi
  cd / || exit 1
  rest=$1; links=0
  while [ "$rest" ]; do
    case $rest in */*) n=${rest%%/*}; rest=${rest#*/} ;; *) n=$rest; rest= ;; esac
    case $n in ''|.) continue ;; ..) cd -P .. || exit 1; continue ;; esac
    if [ -h "./$n" ]; then
      links=$((links+1)); [ $links -le 40 ] || die 91 "too many symlinks lead there"
      trusted "$n"
      case $t in /*) cd / || exit 1 ;; esac
      rest=$t/$rest; continue
    fi
    here; was=${h%/}
    if [ ! -d "./$n" ]; then
      if [ -e "./$n" ]; then die 91 "$was/$n is not a folder"; fi
      ls -d "./$n" >/dev/null 2>&1 || ls -d . >/dev/null || exit 1
      if [ ! "$PARENTS" ]; then [ -x . ] || die 96 "$was may not be entered"; die 92 "the folder $was/$n does not exist"; fi
      mkdir -m 700 "./$n" && chmod 00755 "./$n" || [ -d "./$n" ] || exit 1
    fi
    cd -P "./$n" 2>/dev/null || { [ -x "./$n" ] || die 96 "$was/$n may not be entered"; die 94 "$was/$n cannot be entered"; }
    here; [ "$h" = "$was/$n" ] || die 91 "$was/$n was exchanged meanwhile"
  done
  here
}
goto() {
  case $1 in /) die 91 "it is the root folder" ;; esac
  d=${1%/*}; walk "${d:-/}"; n=${1##*/}
}
follow() {
  goto "$1"; k=0
  while [ -h "./$n" ]; do
    k=$((k+1)); [ $k -le 40 ] || die 91 "too many symlinks lead there"
    trusted "$n"
    case $t in /*) p=$t ;; *) here; p=${h%/}/$t ;; esac
    while :; do case $p in ?*/) p=${p%/} ;; *) break ;; esac; done
    case $p in /|*/..|*/.) die 91 "the symlink leads to a folder" ;; esac
    d=${p%/*}; b=${p##*/}; walk "${d:-/}"; n=$b
  done
}
tmpname() { T=.$1.fabgo-$R; if [ ${#T} -gt 255 ]; then T=.fabgo-$R; fi; }
replaceable() {
  if [ -h "./$1" ]; then
    linktext "$1"
    if [ "$t" = /dev/null ]; then die 91 "it is masked (a symlink to /dev/null)"; fi
    die 91 "a symlink to $t is there"
  fi
  if [ -d "./$1" ]; then die 91 "a folder is there"; fi
  if [ -e "./$1" ] && [ ! -f "./$1" ]; then die 91 "a device, pipe or socket is there"; fi
}
guard() { trap 'trap "" HUP INT TERM PIPE; rm -f "./$T"' EXIT; trap 'trap "" HUP INT TERM PIPE; rm -f "./$T"; exit 1' HUP INT TERM PIPE; }
present() { [ -e "./$1" ] || [ -h "./$1" ]; }
own() {
  if [ "$(stat -c %u:%g "./$1")" != "$2" ]; then chown -h "$2" "./$1" || exit 1; fi
}
mode() {
  d=$(stat -c '%u %a' .) || exit 1
  ok=; if ours "${d% *}"; then ok=1; fi
  case ${d#* } in [1357]???) ;; *[2367]|*[2367]?) ok= ;; esac
  if [ "$ok" ]; then chmod "$1" "./$2" || exit 1; return; fi
  if [ -h "./$2" ] || { [ ! -f "./$2" ] && [ ! -d "./$2" ]; }; then here; die 91 "${h%/}/$2 was exchanged meanwhile, or is no file"; fi
  exec 4<"./$2"
  if [ "$(stat -L -c %d:%i "/proc/$$/fd/4")" != "$(stat -c %d:%i "./$2")" ]; then here; die 91 "${h%/}/$2 was exchanged meanwhile"; fi
  chmod "$1" "/proc/$$/fd/4" || exit 1
  exec 4<&-
}
setmode() {
  mode "0$2" "$1"
  a=$(stat -c %a "./$1") || exit 1
  if [ $((0$a)) != $((0$2)) ]; then die 96 "mode $2 was asked for, and the system made it $a"; fi
}
stage() {
  if [ "$FOLLOW" ]; then follow "$1"; else goto "$1"; fi
  replaceable "$n"
  if [ -e "./$n" ]; then
    s=$(stat -c '%u %g %a' "./$n") || exit 1
    set -- $s
    u=${U:-$1}; g=${G:-$2}; m=${M:-$3}; old=1
  else
    u=${U:-$ME}; g=${G:-${P:-$MYG}}; m=${M:-644}; old=
  fi
  for x in "./.$n.fabgo-"*; do # of a run that was killed
    if [ -f "$x" ]; then find "$x" -type f -mmin +60 -exec rm -f {} + ; fi
  done
  tmpname "$n"; guard; umask 077; set -C
  exec 3>"./$T"
  set +C; mode 0600 "$T"
  cat >&3 || exit 1
  exec 3>&-
  s=$(stat -c %s "./$T") || exit 1
  [ "$s" = "$SIZE" ] || die 94 "$s bytes arrived instead of $SIZE"
  if command -v sha256sum >/dev/null 2>&1; then
    s=$(sha256sum <"./$T") || exit 1
    [ "${s%% *}" = "$SHA" ] || die 94 "other bytes arrived than were sent"
  fi
  own "$T" "$u:$g"
  if [ "$old" ]; then
    cp --attributes-only --preserve=xattr,context "./$n" "./$T" 2>/dev/null || cp --attributes-only --preserve=xattr "./$n" "./$T" 2>/dev/null || :
  fi
  if [ $((0$m & 0400)) != 0 ] || [ "$ME" = 0 ]; then sync "./$T" || exit 1; else sync; fi
  setmode "$T" "$m"
}
commit() {
  if [ "$BACKUP" ] && [ -e "./$n" ]; then
    if present "$BACKUP"; then replaceable "$BACKUP"; fi
    K=.fabgo-b$R
    ln "./$n" "./$K" 2>/dev/null || cp -p "./$n" "./$K" || { rm -f "./$K"; exit 1; }
    $MV "./$K" "./$BACKUP"; e=$?
    rm -f "./$K"; if [ $e != 0 ]; then exit 1; fi
  fi
  $MV "./$T" "./$n" || exit 1
  trap - EXIT
  sync . 2>/dev/null || :
}
makedir() {
  goto "$1"
  if present "$n"; then die 91 "something is there already"; fi
  mkdir -m 700 "./$n" || exit 1
  trap 'trap "" HUP INT TERM PIPE; rmdir "./$n"' EXIT; trap 'trap "" HUP INT TERM PIPE; rmdir "./$n"; exit 1' HUP INT TERM PIPE
  s=$(stat -c '%u %g' "./$n") || exit 1
  own "$n" "${U:-${s% *}}:${G:-${P:-${s#* }}}"
  mode "00$M" "$n"
  a=$(stat -c %a "./$n") || exit 1
  if [ $((0$a)) != $((0$M)) ]; then die 96 "mode $M was asked for, and the system made it $a"; fi
  trap - EXIT
}
link() {
  from=
  if [ "$HARD" ]; then
    case $2 in /*) p=$2 ;; *) p=${1%/*}/$2 ;; esac
    goto "$p"; from=${h%/}/$n
    if ! present "$n"; then die 92 "$from does not exist"; fi
  fi
  goto "$1"; T=$n; g=${G:-$P}
  if present "$n"; then
    if [ ! -h "./$n" ]; then die 91 "something that is no symlink is there"; fi
    if [ ! "$HARD" ] && [ ! "$U$g" ] && [ "$ME" = 0 ]; then s=$(stat -c '%u %g' "./$n") || exit 1; U=${s% *}; g=${s#* }; fi
    tmpname "$n"
  elif [ "$U$g" ]; then
    tmpname "$n"
  fi
  if [ "$T" != "$n" ]; then guard; fi
  if [ ! "$HARD" ]; then ln -s -- "$2" "./$T" || exit 1
  elif [ -h "$from" ]; then ln -P -- "$from" "./$T" || exit 1
  else ln -- "$from" "./$T" || exit 1; fi
  if [ "$U$g" ] && [ ! "$HARD" ]; then chown -h "$U${g:+:$g}" "./$T" || exit 1; fi
  if [ "$T" != "$n" ]; then $MV "./$T" "./$n" || exit 1; fi
}
mounted() {
  while read -r _ _ _ _ m _; do
    case $m in *\\*) m=$(printf '%bx' "$m"); m=${m%x} ;; esac
    case $m/ in "$1"/*) where=$m; return 0 ;; esac
  done </proc/self/mountinfo 2>/dev/null
  return 1
}
delete() {
  goto "$1"
  if ! present "$n"; then ls -d "./$n" >/dev/null || exit 1; die 92 "it does not exist"; fi
  p=${h%/}/$n
  if mounted "$p"; then
    if [ "$where" = "$p" ]; then die 91 "it is a mount point"; fi
    die 91 "a file system is mounted on $where"
  fi
  if [ ! -d "./$n" ] || [ -h "./$n" ]; then rm -f "./$n" || exit 1; return; fi
  if [ "$(stat -c %d "./$n")" != "$(stat -c %d .)" ]; then die 91 "it is a mount point"; fi
  e=$(rmdir "./$n" 2>&1) && return
  case $e in *"not empty"*|*"File exists"*) ;; *) die 1 "$e" ;; esac
  case $h in /) die 91 "it is one of the system's top folders and is not empty" ;; esac
  case ${1%/*} in '') die 91 "it is one of the system's top folders and is not empty" ;; esac
  if [ ! "$RECURSIVE" ]; then die 91 "the folder is not empty"; fi
  rm -rf "./$n" || exit 1
}
setattr() {
  case $1 in /) cd /; n=. ;; *) goto "$1" ;; esac
  if ! present "$n"; then ls -d "./$n" >/dev/null || exit 1; die 92 "it does not exist"; fi
  if [ -h "./$n" ] && [ "$M" ]; then die 91 "it is a symlink, which has no mode"; fi
  o=$U${G:+:$G}
  if [ "$RECURSIVE" ]; then
    if [ "$o" ]; then
      if [ "$(find "./$n" -type f '(' -perm -4000 -o -perm -2000 ')' -exec echo x ';' 2>/dev/null)" ]; then
        find "./$n" ! '(' -type f '(' -perm -4000 -o -perm -2000 ')' ')' -exec chown -h "$o" {} + || exit 1
        find "./$n" -type f '(' -perm -4000 -o -perm -2000 ')' -exec sh -c 'for f; do a=$(stat -c %a "$f") && chown -h "$0" "$f" && chmod "0$a" "$f" || exit 1; done' "$o" {} + || exit 1
      else
        chown -hR "$o" "./$n" || exit 1
      fi
    fi
    if [ "$FM" ]; then find "./$n" -type f -exec chmod "0$FM" {} + || exit 1; fi
    if [ "$M" ]; then find "./$n" -depth -type d -exec chmod "00$M" {} + || exit 1; fi
    return
  fi
  s=$(stat -c '%u:%g %a' "./$n") || exit 1
  a=${s#* }
  if [ "$o" ]; then chown -h "$o" "./$n" || exit 1; fi
  if [ -h "./$n" ]; then return; fi
  w=$M
  if [ ! "$w" ] && [ "$o" ] && [ $((0$a & 06000)) != 0 ]; then w=$a; fi
  if [ ! "$w" ]; then return; fi
  mode "00$w" "$n"
  a=$(stat -c %a "./$n") || exit 1
  if [ $((0$a)) != $((0$w)) ]; then die 96 "mode $w was asked for, and the system made it $a"; fi
}
`
