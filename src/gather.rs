//! Maps and sets made small: of the program.

/// `collect` sorts what becomes a map or a set before it is one: some 4 KiB of the program for each type of those that
/// there is. This puts in one after the other, as whoever changes them does anyway.
pub(crate) trait Gather: Iterator + Sized {
    fn gather<C: Default + Extend<Self::Item>>(self) -> C {
        let mut all = C::default();
        all.extend(self);
        all
    }
}

impl<I: Iterator> Gather for I {}
