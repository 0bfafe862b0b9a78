#!/bin/bash
# Installs what the live tests and the demo need, from Debian; one client comes from npm. Safe to run again: what is
# there is left alone.
#
#   install.sh [build] [client] [strace] [ejabberd-24.12] [prosody-13] [ejabberd-26.07] [profanity] [converse] [lint]
#                               (default: client ejabberd-24.12)
#   install.sh --where          prints the lab's folder
#   install.sh --have NAME      exit code 0 when NAME is installed
#
# Packages come from the mirror this machine already uses. No packaged service is started or left enabled.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
ours=/etc/apt/sources.list.d/portcullis-lab-backports.sources
apt=(apt-get -y -q -o DPkg::Lock::Timeout=600 -o Acquire::Retries=3 -o Dpkg::Use-Pty=0)

said=${PORTCULLIS_LAB_SAID:-}
say() { printf 'lab: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

# The servers run as users of their own, so every folder above the lab must be open to them (x). A checkout below
# /root or a private home is not: then the lab lives in /var/tmp.
where() {
  local lab=${PORTCULLIS_LAB:-} dir
  if [ -z "$lab" ]; then
    lab=$(cd "$here/../../.." && pwd)/.lab
    dir=$(dirname "$lab")
    while [ "$dir" != / ]; do
      case $(stat -c %A "$dir") in
        *[xt]) ;;
        *) lab=/var/tmp/portcullis-lab; break ;;
      esac
      dir=$(dirname "$dir")
    done
  fi
  echo "$lab"
}
lab=$(where)

# The hook module is compiled by the server itself; X-OAUTH2 is one of the ways in that it guards.
for_the_module=(erlang-dev erlang-p1-oauth2)

# The web client under test: one file from npm, pinned. A new version: `npm view converse.js@VERSION dist.integrity`.
converse=14.0.0
converse_integrity=sha512-LFUg030jDalV47vI/vyVPqYPZfJYXFbubq8v0cFDe2zXNeeGEk3Up0Fj/WTzT6t+6do+cAIToy73eAj7RNDj2Q==

# What the Python of the live tests is checked with, from PyPI, pinned.
ruff=0.17.6

have() {
  case $1 in
    build) command -v cc >/dev/null && command -v pkg-config >/dev/null ;;
    client) command -v openssl >/dev/null && /usr/bin/python3 -c 'import slixmpp, pytest' 2>/dev/null ;;
    strace) command -v strace >/dev/null ;;
    ejabberd-24.12)
      dpkg-query -W -f '${Status} ${Version}\n' ejabberd 2>/dev/null | grep -q '^install ok installed 24\.12' &&
        [ "$(dpkg-query -W -f '${Status}\n' "${for_the_module[@]}" 2>/dev/null | grep -c '^install ok installed')" = 2 ] ;;
    prosody-13)
      dpkg-query -W -f '${Status} ${Version}\n' prosody 2>/dev/null | grep -q '^install ok installed 13\.' &&
        dpkg-query -W -f '${Status}\n' prosody-modules 2>/dev/null | grep -q '^install ok installed' && command -v busted >/dev/null ;;
    ejabberd-26.07)
      [ -e "$lab/trixie/.complete" ] && chroot "$lab/trixie" dpkg-query -W "${for_the_module[@]}" >/dev/null 2>&1 ;;
    lint) command -v luacheck >/dev/null && [ "$("$lab/lint/bin/ruff" --version 2>/dev/null)" = "ruff $ruff" ] ;;
    profanity) command -v profanity >/dev/null && command -v tmux >/dev/null ;;
    converse)
      [ -e "$lab/converse-$converse/.complete" ] && command -v chromium >/dev/null && command -v chromedriver >/dev/null &&
        /usr/bin/python3 -c 'import selenium' 2>/dev/null ;;
    *) fail "unknown part '$1'; there are: build client strace ejabberd-24.12 prosody-13 ejabberd-26.07 profanity converse lint" ;;
  esac
}

case ${1:-} in
  --where) echo "$lab"; exit ;;
  --have) if have "${2:-}"; then exit 0; else exit 1; fi ;;
esac

wanted=("${@:-client}")
[ $# -gt 0 ] || wanted=(client ejabberd-24.12)
missing=()
for part in "${wanted[@]}"; do have "$part" || missing+=("$part"); done
[ ${#missing[@]} -gt 0 ] || exit 0

[ -e /etc/debian_version ] && [ -n "$codename" ] || fail "this needs Debian 12 (bookworm) or 13 (trixie)"
from=
[ "$codename" != bookworm ] || from=" (from bookworm-backports)"
announce() {
  say "will be installed now, from this machine's Debian mirror, npm and PyPI registries:"
  for part in "${missing[@]}"; do
    case $part in
      build) say "  build-essential pkg-config               C compiler for the Rust build" ;;
      client) say "  python3-slixmpp python3-pytest openssl   the client that drives the tests" ;;
      strace) say "  strace                                   records what reaches the disk" ;;
      ejabberd-24.12) say "  ejabberd (24.12), erlang-dev             its service stays off$from" ;;
      prosody-13) say "  prosody (13), prosody-modules, lua-busted its service stays off$from" ;;
      ejabberd-26.07) say "  debootstrap; ejabberd (26.07) in a Debian trixie below $lab/trixie (about 300 MB)" ;;
      profanity) say "  profanity, tmux                          a client for the terminal" ;;
      lint) say "  lua-check, python3-venv; ruff $ruff from PyPI below $lab" ;;
      converse) say "  chromium (450 MB), python3-selenium, npm if missing; Converse.js $converse from npm below $lab" ;;
    esac
  done
}
[ -n "$said" ] || announce

if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null || fail "run this as root, or install sudo"
  say "not root: going on with sudo"
  exec sudo PORTCULLIS_LAB="$lab" PORTCULLIS_LAB_SAID=1 bash "$here/install.sh" "${missing[@]}"
fi

# one installation at a time on this machine
exec 9>/run/lock/portcullis-lab.lock
flock 9

umask 022
mkdir -p "$lab"
[ "$lab" != /var/tmp/portcullis-lab ] || [ "$(stat -c %u "$lab")" = 0 ] || fail "$lab belongs to somebody else; set PORTCULLIS_LAB"
log=$lab/install.log # all that apt and debootstrap say; shown when something fails
: > "$log"

apt_update() { # another apt may hold the lists, which DPkg::Lock::Timeout does not wait for
  local try
  for try in 1 2 3 4 5 6 7 8 9 10 11 12; do
    "${apt[@]}" -o APT::Update::Error-Mode=any update >> "$log" 2>&1 && return
    # a broken source that is not ours must not stop us, as long as Debian's own lists arrived
    [ "$try" -lt 4 ] || { "${apt[@]}" update >> "$log" 2>&1 && return; }
    sleep 5
  done
  fail "apt-get update failed"
}
updated=
update_once() { [ -n "$updated" ] || apt_update; updated=1; }

mirror() { # the URI that this machine's sources name for Debian itself
  local uri
  uri=$(apt-get indextargets --format '$(REPO_URI) $(ORIGIN) $(CODENAME)' 'Created-By: Packages' 2>/dev/null |
    awk -v c="$codename" '$2 == "Debian" && $3 == c { print $1; exit }')
  [ -n "$uri" ] || uri=$(awk '/^URIs:/ { print $2; exit }' /etc/apt/sources.list.d/debian.sources 2>/dev/null)
  [ -n "$uri" ] || uri=$(awk '$1 == "deb" { for (i = 2; i <= NF; i++) if ($i ~ /:\/\//) { print $i; exit } }' /etc/apt/sources.list)
  [ -n "$uri" ] || fail "found no Debian mirror in this machine's apt sources"
  echo "${uri%/}"
}

backports() { # only bookworm needs them; they stay at low priority, nothing else on the machine changes
  release=()
  [ "$codename" = bookworm ] || return 0
  release=(-t bookworm-backports)
  if ! apt-get indextargets --format '$(CODENAME)' 'Created-By: Packages' | grep -qx bookworm-backports; then
    printf 'Types: deb\nURIs: %s\nSuites: bookworm-backports\nComponents: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n' \
      "$(mirror)" > "$ours"
    updated=
  fi
}

# policy-rc.d with exit code 101 = "start no service"
policy=/usr/sbin/policy-rc.d
made=
cleanup() { [ -z "$made" ] || rm -f "$policy"; }
at_exit() {
  local code=$?
  cleanup
  [ "$code" = 0 ] || { say "failed; the end of $log:"; tail -n 30 "$log" >&2; }
}
trap at_exit EXIT
quiet_install() { # packages that carry a service, which was not here before
  local name=$1; shift
  if [ ! -e "$policy" ]; then printf '#!/bin/sh\nexit 101\n' > "$policy"; chmod 755 "$policy"; made=1; fi
  "${apt[@]}" install --no-install-recommends "${release[@]}" "$@" >> "$log" 2>&1
  ! command -v systemctl >/dev/null || systemctl disable "$name" >/dev/null 2>&1 || true
  cleanup; made=
}
refuse_other() {
  local there
  there=$(dpkg-query -W -f '${Status} ${Version}\n' "$1" 2>/dev/null | sed -n 's/^install ok installed //p' || true)
  case $there in ""|"$2"*) ;; *) fail "$1 $there is already installed here. The tests need $2 and do not touch a server that is in use." ;; esac
}

install_build() { update_once; "${apt[@]}" install --no-install-recommends build-essential pkg-config >> "$log" 2>&1; }
install_client() { update_once; "${apt[@]}" install --no-install-recommends python3-slixmpp python3-pytest openssl >> "$log" 2>&1; }
install_strace() { update_once; "${apt[@]}" install --no-install-recommends strace >> "$log" 2>&1; }
install_ejabberd_24() {
  refuse_other ejabberd 24.12
  update_once; backports; update_once
  quiet_install ejabberd ejabberd "${for_the_module[@]}"
}
install_prosody() {
  refuse_other prosody 13
  update_once; backports; update_once
  quiet_install prosody prosody prosody-modules lua-unbound lua-event lua-busted
}
install_ejabberd_26() {
  local root=$lab/trixie uri conf
  update_once
  command -v debootstrap >/dev/null || "${apt[@]}" install --no-install-recommends debootstrap >> "$log" 2>&1
  uri=$(mirror)
  if [ ! -e "$root/.base" ]; then
    rm -rf --one-file-system "$root"
    debootstrap --variant=minbase --include=ca-certificates trixie "$root" "$uri" >> "$log" 2>&1 ||
      fail "debootstrap failed, see $root/debootstrap/debootstrap.log"
    touch "$root/.base"
  fi
  printf 'deb %s trixie main\ndeb %s trixie-backports main\n' "$uri" "$uri" > "$root/etc/apt/sources.list"
  for conf in $(grep -ls '^ *Acquire::' /etc/apt/apt.conf.d/* /etc/apt/apt.conf || true); do cp -n "$conf" "$root/etc/apt/apt.conf.d/" || true; done
  printf '#!/bin/sh\nexit 101\n' > "$root$policy"; chmod 755 "$root$policy"
  echo force-unsafe-io > "$root/etc/dpkg/dpkg.cfg.d/lab"
  cp /etc/resolv.conf /etc/hosts "$root/etc/"
  chroot "$root" "${apt[@]}" update >> "$log" 2>&1
  chroot "$root" "${apt[@]}" install -t trixie-backports --no-install-recommends ejabberd "${for_the_module[@]}" >> "$log" 2>&1
  chroot "$root" apt-get clean
  touch "$root/.complete"
}
install_profanity() { update_once; "${apt[@]}" install --no-install-recommends profanity tmux >> "$log" 2>&1; }
install_converse() { # only the files a browser loads are kept
  local to=$lab/converse-$converse got
  update_once
  "${apt[@]}" install --no-install-recommends chromium chromium-driver python3-selenium fonts-dejavu-core openssl >> "$log" 2>&1
  command -v npm >/dev/null || "${apt[@]}" install --no-install-recommends npm >> "$log" 2>&1
  rm -rf --one-file-system "$to"
  mkdir -p "$to"
  (cd "$to" && npm pack --silent "converse.js@$converse" >> "$log" 2>&1) || fail "npm pack converse.js@$converse failed"
  got=sha512-$(openssl dgst -sha512 -binary "$to/converse.js-$converse.tgz" | base64 -w0)
  [ "$got" = "$converse_integrity" ] || fail "converse.js-$converse.tgz is not the file that was pinned: $got"
  tar -xzf "$to/converse.js-$converse.tgz" -C "$to" --strip-components=1 --no-same-owner package/dist package/LICENSE
  rm "$to/converse.js-$converse.tgz"
  touch "$to/.complete"
}

install_lint() {
  update_once
  "${apt[@]}" install --no-install-recommends lua-check python3-venv >> "$log" 2>&1
  rm -rf --one-file-system "$lab/lint"
  /usr/bin/python3 -m venv "$lab/lint" >> "$log" 2>&1
  "$lab/lint/bin/pip" install --quiet --disable-pip-version-check "ruff==$ruff" >> "$log" 2>&1
}

for part in "${missing[@]}"; do
  have "$part" && continue
  began=$SECONDS
  say "installing $part …"
  case $part in
    build) install_build ;;
    client) install_client ;;
    strace) install_strace ;;
    ejabberd-24.12) install_ejabberd_24 ;;
    prosody-13) install_prosody ;;
    ejabberd-26.07) install_ejabberd_26 ;;
    profanity) install_profanity ;;
    converse) install_converse ;;
    lint) install_lint ;;
  esac
  have "$part" || fail "$part was installed but is not usable; candidate versions: $(apt-cache policy ejabberd prosody | grep -E '^[a-z]|Candidate' | tr '\n' ' ')"
  say "$part installed in $((SECONDS - began)) s"
done
