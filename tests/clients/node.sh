# What the scripts here share: a node with the policies that `portcullis init` writes, one who may log in, and clients. Sourced, not run.
source "$(dirname "${BASH_SOURCE[0]}")/../../examples/lib.sh"

password="correct horse battery"
issuer=

# node_with_ann: the node answers at $issuer, and knows ann.
node_with_ann() {
  local port admin
  port=$(free_port) admin=$(free_port) issuer=http://127.0.0.1:$port
  portcullis init "$work/node" >/dev/null
  # As it ships, public clients are let in nowhere.
  sed -i 's/^methods = \["client_secret_basic", "client_secret_post"\]/methods = ["client_secret_basic", "client_secret_post", "none"]/' \
    "$work"/node/policies/oauth/{token,device,revoke}.toml
  start_node node "$work/node" "$port" "$admin"
  user ann --name "Ann Example" --email ann@example.com
}

# user NAME ARGUMENTS...: adds one who may log in, with $password.
user() { portcullis -c "$work/node" user add "$@" --password-stdin <<<"$password" >/dev/null; }

# client ID ARGUMENTS...: registers it, and prints its secret where it has one.
client() { portcullis -c "$work/node" client add -q --id "$@"; }
