//! The program `metalk8s-build`.

fn main() {}
