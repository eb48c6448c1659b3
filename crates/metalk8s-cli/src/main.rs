//! The program `metalk8s`.

fn main() {}
