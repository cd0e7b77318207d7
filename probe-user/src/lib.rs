//! Leadline.
pub mod attach;
