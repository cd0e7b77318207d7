//! Leadline as a library.

pub mod clock;
pub mod doctor;
pub mod lab;
pub mod net;
