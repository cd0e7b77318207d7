//! Leadline measures IP performance with its data path in eBPF and AF_XDP; this library is all of the product but its
//! `main`.

pub mod attach;
pub mod cli;
pub mod clock;
pub mod configuration;
pub mod doctor;
pub mod engine;
pub mod lab;
pub mod net;
pub mod port;
pub mod report;
pub mod session;
