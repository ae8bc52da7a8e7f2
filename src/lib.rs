pub mod domain;
pub mod traffic;
