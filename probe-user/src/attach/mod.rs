//! Loading and attaching of the XDP programs.

pub mod objects;
