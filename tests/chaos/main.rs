//! Sessions, calls that ask, cursors and tasks, while what they stand on is killed: replicas, and servers of the shared state.

#[path = "../support/mod.rs"]
mod support;

mod abandoned;
mod agent;
mod attacks;
mod call_rates;
mod failover;
mod faults;
mod fleet;
mod killed_replicas;
mod node_clients;
mod rolling_update;
mod workload;
mod world;
