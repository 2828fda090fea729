//! How long a service waits for its next start, and when it is given up; pure.

use std::time::Duration;

use crate::model::service::Restart;

/// The delay before the next start after this many failures in a row: base·2^(n−1), at most max,
/// and then longer by the share `jitter` times `random` (0 to 1).
pub(crate) fn delay(restart: &Restart, failures: u32, random: f64) -> Duration {
    let doublings = failures.saturating_sub(1).min(31);
    let plain = restart.base.0.saturating_mul(1 << doublings).min(restart.max.0);
    let share = restart.jitter.clamp(0.0, 1.0) * random.clamp(0.0, 1.0);
    plain.saturating_add(Duration::try_from_secs_f64(plain.as_secs_f64() * share).unwrap_or(Duration::ZERO))
}

/// Whether this many failures in a row are too many.
pub(crate) fn exhausted(restart: &Restart, failures: u32) -> bool {
    u32::try_from(restart.tries).is_ok_and(|tries| failures >= tries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::service::Span;
    use proptest::prelude::*;

    #[test]
    fn delays_are_as_documented() {
        let restart = Restart::default();
        let seconds: Vec<u64> = (1..=8).map(|n| delay(&restart, n, 1.0).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 30, 30, 30]);
        assert_eq!(delay(&restart, 0, 0.0), Duration::from_secs(1));
        let none = Restart { base: Span::secs(0), ..Restart::default() };
        assert_eq!(delay(&none, 7, 1.0), Duration::ZERO);
        let jittered = Restart { jitter: 0.5, ..Restart::default() };
        assert_eq!(delay(&jittered, 2, 0.5), Duration::from_millis(2500));
    }

    #[test]
    fn tries_are_counted() {
        let tries = |tries| Restart { tries, ..Restart::default() };
        assert!(!exhausted(&tries(3), 2) && exhausted(&tries(3), 3));
        assert!(exhausted(&tries(1), 1) && !exhausted(&tries(-1), u32::MAX));
    }

    proptest! {
        #[test]
        fn a_delay_never_shrinks_and_never_exceeds(
            base in 0..u64::MAX, max in 0..u64::MAX, n in 0..u32::MAX, jitter in any::<f64>(), random in any::<f64>(),
        ) {
            let restart = Restart { base: Span::millis(base), max: Span::millis(max), jitter, ..Restart::default() };
            let plain = delay(&restart, n, 0.0);
            prop_assert!(plain <= restart.max.0 && plain >= restart.base.0.min(restart.max.0));
            prop_assert!(delay(&restart, n.saturating_add(1), 0.0) >= plain);
            let longer = delay(&restart, n, random);
            prop_assert!(longer >= plain && longer.as_secs_f64() <= plain.as_secs_f64() * 2.000_001);
        }
    }
}
