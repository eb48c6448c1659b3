//! The program `metalk8s-lab`.

fn main() {}
