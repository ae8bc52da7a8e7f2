//! What the world sees: the pages.

pub mod address;
pub mod assets;
pub mod error;
pub mod format;
pub mod pages;
