//! The binary `syncfleet`.

mod up;

fn main() {}
