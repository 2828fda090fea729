//! Asking again until the answer is yes: for what has no events, which is the network.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use crate::model::{Availability, AvailabilityState};

/// The first pause between two questions; each is half as long again as the one before.
const FIRST: Duration = Duration::from_millis(50);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(1);

/// Asks with growing pauses (50 ms to 1 s) until `check` says available, or `within` is over; the
/// last answer is returned. A question that is under way at the end is not waited for.
///
/// Cancel it by dropping the future, as in a `select!` with the process's end.
pub async fn until_available(mut check: impl AsyncFnMut() -> Availability, within: Option<Duration>) -> Availability {
    let deadline = within.and_then(|within| Instant::now().checked_add(within));
    let mut last = Availability::unknown("no answer in the time that was given");
    let asking = async {
        let mut pause = FIRST;
        loop {
            last = check().await;
            if last.state == AvailabilityState::Available {
                return;
            }
            sleep(pause).await;
            pause = (pause + pause / 2).min(LONGEST);
        }
    };
    match deadline {
        Some(deadline) => {
            let _over = timeout_at(deadline, asking).await;
        }
        None => asking.await,
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    fn answer(state: AvailabilityState) -> Availability {
        Availability { state, ..Availability::unknown("said so") }
    }

    #[test]
    fn it_asks_until_the_answer_is_yes() {
        let mut asked = 0;
        let last = run(until_available(
            async || {
                asked += 1;
                answer(if asked < 3 { AvailabilityState::Starting } else { AvailabilityState::Available })
            },
            None,
        ));
        assert_eq!((last.state, asked), (AvailabilityState::Available, 3));
    }

    #[test]
    fn the_last_answer_is_kept_when_the_time_is_over() {
        let mut asked = 0;
        let last = run(until_available(
            async || {
                asked += 1;
                if asked > 1 {
                    std::future::pending::<()>().await;
                }
                answer(AvailabilityState::Starting)
            },
            Some(Duration::from_millis(80)),
        ));
        assert_eq!((last.state, last.detail.as_str()), (AvailabilityState::Starting, "said so"));
    }

    #[test]
    fn no_answer_at_all_is_unknown() {
        let last = run(until_available(async || std::future::pending().await, Some(Duration::from_millis(20))));
        assert_eq!(last.state, AvailabilityState::Unknown);
    }
}
