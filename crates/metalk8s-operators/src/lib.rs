//! the controllers of the product.
