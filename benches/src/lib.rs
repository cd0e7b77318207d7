//! Benches: what a packet costs, and what the kernel's own work beside it costs.
