//! Configuration: arguments and environment, one file per subject. Nothing else reads the environment.

pub mod google;
pub mod keys;
