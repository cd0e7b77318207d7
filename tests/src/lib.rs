//! Tools of the end-to-end tests: namespaces, a wire that does what a script says, and a second, plain way to know the truth.
//!
//! Nothing here shares code with the product's parser or metrics. A test that asked the product what the truth is would
//! find it truthful whatever it said.

pub mod cases;
pub mod fixed_verdict;
pub mod frame;
pub mod namespace;
pub mod network;
pub mod packet_socket;
pub mod plain;
pub mod product;
mod program;
pub mod request;
pub mod require;
pub mod script;
pub mod test_run;
pub mod truth;
pub mod wire;

pub use program::{binary, leadline};
