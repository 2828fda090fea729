//! A few lines into the library.

fn main() {}
