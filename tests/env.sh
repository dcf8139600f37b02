# Build settings of the tests, for a small machine: sourced by tests/run and the other scripts here. They stand in the
# environment and not in Cargo.toml or .cargo/, so that `cargo build` for users is untouched.
export CARGO_PROFILE_DEV_DEBUG=0 CARGO_PROFILE_TEST_DEBUG=0 CARGO_INCREMENTAL=1
