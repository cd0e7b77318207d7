//! Leadline measures IP performance with its data path in eBPF and AF_XDP; this library is all of the product but its
//! `main`.

pub mod cli;
pub mod configuration;
pub mod report;
