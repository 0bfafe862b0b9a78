#!/bin/bash
# Compiler warnings, xref and dialyzer over mod_portcullis: against the ejabberd of this machine and, where the lab has it
# (tests/live/lab/install.sh ejabberd-26.07), against the one in its Debian trixie, which needs root.
# Exit code 0: nothing found in either.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
project=$(cd "$here/../.." && pwd)
lab=$(bash "$project/tests/live/lab/install.sh" --where)

echo "ejabberd of this machine:"
escript "$here/check.escript" "$lab/erlang-check"

if [ -e "$lab/trixie/.complete" ]; then
  echo "ejabberd in $lab/trixie:"
  inside=/var/cache/portcullis-check
  mkdir -p "$lab/trixie$inside"
  rm -rf "$lab/trixie$inside/ejabberd"
  cp -r "$here" "$lab/trixie$inside/ejabberd"
  chroot "$lab/trixie" env LC_ALL=C.UTF-8 escript "$inside/ejabberd/check.escript" "$inside"
fi
