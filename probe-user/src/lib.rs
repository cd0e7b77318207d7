pub mod lab;
pub mod net;
