//! Maps, sets and sorting made small: of the program.

use std::cmp::Ordering;

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

/// A stable sort is some 4 KiB of the program for each type that is sorted, and each way to do it. This sorts numbers,
/// the same way for all of them, and puts what they stand for in their order.
pub(crate) trait Arrange<T> {
    fn arrange_by(&mut self, order: impl Fn(&T, &T) -> Ordering);

    fn arrange_by_key<K: Ord>(&mut self, key: impl Fn(&T) -> K) {
        self.arrange_by(|a, b| key(a).cmp(&key(b)));
    }
}

impl<T> Arrange<T> for [T] {
    fn arrange_by(&mut self, order: impl Fn(&T, &T) -> Ordering) {
        let mut from = arranged(self.len(), &|a, b| order(&self[a], &self[b]));
        for start in 0..from.len() {
            // What stood at the start moves on until the place is found that is its own.
            let mut at = start;
            while from[at] != start {
                let next = std::mem::replace(&mut from[at], at);
                self.swap(at, next);
                at = next;
            }
            from[at] = at;
        }
    }
}

/// For each place, which one comes there.
fn arranged(count: usize, order: &dyn Fn(usize, usize) -> Ordering) -> Vec<usize> {
    let mut all: Vec<usize> = (0..count).collect();
    all.sort_by(|a, b| order(*a, *b));
    all
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Arrange as _;

    proptest! {
        #[test]
        fn what_is_arranged_is_sorted_as_the_standard_library_does(keys in proptest::collection::vec(0_u8..8, 0..40)) {
            let mut arranged: Vec<(u8, usize)> = keys.into_iter().zip(0..).collect();
            let mut sorted = arranged.clone();
            sorted.sort_by_key(|one| one.0);
            arranged.arrange_by_key(|one| one.0);
            prop_assert_eq!(arranged, sorted);
        }
    }
}
