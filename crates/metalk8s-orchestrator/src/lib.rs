//! procedures over machines: the bootstrap.
