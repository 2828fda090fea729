//! What looks say over time; pure. Times are since the program was executed.

use std::time::Duration;

/// How one thing that is looked at stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// As it should be.
    Well,
    /// It says that it is loading, and may.
    Loading,
    /// Not as it should be, and not for long enough.
    Ailing(String),
    /// Not as it should be for so long that the service is to be started again.
    Unhealthy(String),
}

impl Verdict {
    /// The worse, the more.
    pub(super) fn rank(&self) -> u8 {
        match self {
            Self::Well => 0,
            Self::Loading => 1,
            Self::Ailing(_) => 2,
            Self::Unhealthy(_) => 3,
        }
    }
}

/// The answer to one question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    Good,
    Loading,
    Bad(String),
}

/// A check that is made again and again.
#[derive(Debug)]
pub(crate) struct Streak {
    failures: u32,
    start_period: Duration,
    load_timeout: Duration,
    bad: u32,
    was_well: bool,
}

impl Streak {
    pub(crate) fn new(failures: u32, start_period: Duration, load_timeout: Duration) -> Self {
        Self { failures, start_period, load_timeout, bad: 0, was_well: false }
    }

    pub(crate) fn answered(&mut self, age: Duration, answer: Answer) -> Verdict {
        let why = match answer {
            Answer::Good => {
                (self.bad, self.was_well) = (0, true);
                return Verdict::Well;
            }
            Answer::Loading if age <= self.load_timeout => {
                self.bad = 0;
                return Verdict::Loading;
            }
            Answer::Loading => {
                format!("it says after {} still that it is loading", humantime::format_duration(self.load_timeout))
            }
            Answer::Bad(why) => why,
        };
        if age < self.start_period && !self.was_well {
            return Verdict::Ailing(format!("{why} (it is being started)"));
        }
        self.bad = self.bad.saturating_add(1);
        match self.bad {
            1 if self.failures == 1 => Verdict::Unhealthy(why),
            n if n >= self.failures => Verdict::Unhealthy(format!("{why}, {n} times in a row")),
            n => Verdict::Ailing(format!("{why} ({n} of {} times)", self.failures)),
        }
    }
}

/// A sign of life that must come in time.
#[derive(Debug)]
pub(crate) struct Beat {
    timeout: Duration,
    /// When the next one must have come.
    due: Duration,
    /// One has come.
    began: bool,
}

impl Beat {
    /// `age`: now. The first one may take as long as a start.
    pub(crate) fn new(timeout: Duration, start_period: Duration, age: Duration) -> Self {
        Self { timeout, due: (age + timeout).max(start_period), began: false }
    }

    /// When it is to be looked whether one has come: the first one is looked for often, for before
    /// it the service is not known to be well.
    pub(crate) fn next(&self, age: Duration) -> Duration {
        if self.began { self.due } else { self.due.min(age + self.timeout / 8) }
    }

    /// One came at this age, or none has since; `None`: nothing can be said.
    pub(crate) fn looked(&mut self, age: Duration, came: Option<Duration>) -> Option<Verdict> {
        if let Some(came) = came {
            (self.due, self.began) = (self.due.max(came + self.timeout), true);
        }
        if self.due > age {
            return self.began.then_some(Verdict::Well);
        }
        // Who is not started again is looked at on.
        self.due = age + self.timeout;
        Some(Verdict::Unhealthy(format!("no heartbeat within {}", humantime::format_duration(self.timeout))))
    }
}

/// A bound on what is measured.
#[derive(Debug)]
pub(crate) struct Bound {
    span: Duration,
    /// Since when it is exceeded.
    since: Option<Duration>,
}

impl Bound {
    pub(crate) fn new(span: Duration) -> Self {
        Self { span, since: None }
    }

    /// `over`: by how much it is exceeded, in words.
    pub(crate) fn measured(&mut self, age: Duration, over: Option<String>) -> Verdict {
        let Some(over) = over else {
            self.since = None;
            return Verdict::Well;
        };
        let since = *self.since.get_or_insert(age);
        match age.saturating_sub(since) >= self.span {
            true => Verdict::Unhealthy(format!("{over} for {}", humantime::format_duration(self.span))),
            false => Verdict::Ailing(over),
        }
    }
}

/// All that is looked at of a service, together.
#[derive(Debug)]
pub(crate) struct Overall(Vec<Option<Verdict>>);

impl Overall {
    /// So many things are looked at.
    pub(crate) fn new(things: usize) -> Self {
        Self(vec![None; things])
    }

    /// What is said when one of them was looked at; `None`: nothing new.
    pub(crate) fn heard(&mut self, thing: usize, verdict: Verdict) -> Option<Verdict> {
        let before = self.worst();
        *self.0.get_mut(thing)? = Some(verdict);
        let now = self.worst();
        if now == before { None } else { now }
    }

    /// The worst of them; it is well only when all have been looked at.
    fn worst(&self) -> Option<Verdict> {
        let worst = self.0.iter().flatten().max_by_key(|verdict| verdict.rank())?;
        let whole = self.0.iter().all(Option::is_some);
        (whole || *worst != Verdict::Well).then(|| worst.clone())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    fn bad() -> Answer {
        Answer::Bad("503".to_owned())
    }

    #[test]
    fn failures_count_in_a_row_and_not_while_it_starts() {
        let mut streak = Streak::new(3, S(30), S(600));
        for age in [0, 10, 20, 29] {
            assert_eq!(streak.answered(S(age), bad()), Verdict::Ailing("503 (it is being started)".to_owned()));
        }
        assert_eq!(streak.answered(S(30), bad()), Verdict::Ailing("503 (1 of 3 times)".to_owned()));
        assert_eq!(streak.answered(S(40), bad()), Verdict::Ailing("503 (2 of 3 times)".to_owned()));
        assert_eq!(streak.answered(S(50), Answer::Good), Verdict::Well);
        for age in [60, 70] {
            assert!(matches!(streak.answered(S(age), bad()), Verdict::Ailing(_)));
        }
        assert_eq!(streak.answered(S(80), bad()), Verdict::Unhealthy("503, 3 times in a row".to_owned()));
        // Once it was well, the time of its start is over.
        let mut streak = Streak::new(1, S(30), S(600));
        assert_eq!(streak.answered(S(1), Answer::Good), Verdict::Well);
        assert_eq!(streak.answered(S(2), bad()), Verdict::Unhealthy("503".to_owned()));
    }

    #[test]
    fn loading_is_well_for_a_time() {
        let mut streak = Streak::new(2, S(0), S(60));
        assert!(matches!(streak.answered(S(1), bad()), Verdict::Ailing(_)));
        assert_eq!(streak.answered(S(60), Answer::Loading), Verdict::Loading);
        assert!(matches!(streak.answered(S(61), Answer::Loading), Verdict::Ailing(_)), "that begins anew");
        assert!(matches!(streak.answered(S(62), Answer::Loading), Verdict::Unhealthy(why) if why.contains("1m still")));
    }

    #[test]
    fn a_heartbeat_must_come_in_time() {
        let mut beat = Beat::new(S(5), S(30), S(0));
        assert_eq!((beat.next(S(0)), beat.next(S(30))), (Duration::from_millis(625), S(30)));
        assert_eq!(beat.looked(S(9), None), None, "the first one has not come yet");
        assert_eq!(beat.looked(S(10), Some(S(9))), Some(Verdict::Well));
        assert_eq!(beat.next(S(10)), S(30), "a heartbeat makes nothing shorter");
        assert_eq!(beat.looked(S(30), Some(S(29))), Some(Verdict::Well));
        assert_eq!(beat.next(S(30)), S(34));
        assert_eq!(beat.looked(S(34), None), Some(Verdict::Unhealthy("no heartbeat within 5s".to_owned())));
        // One that was taken over late.
        let mut late = Beat::new(S(5), S(30), S(100));
        assert_eq!((late.looked(S(104), None), late.looked(S(105), None).is_some()), (None, true));
    }

    #[test]
    fn a_bound_must_be_exceeded_for_its_whole_time() {
        let mut bound = Bound::new(S(30));
        let over = || Some("3G of memory, more than 2G".to_owned());
        for age in [0, 10, 29] {
            assert!(matches!(bound.measured(S(age), over()), Verdict::Ailing(_)));
        }
        assert_eq!(bound.measured(S(29), None), Verdict::Well);
        for age in [30, 59] {
            assert!(matches!(bound.measured(S(age), over()), Verdict::Ailing(_)), "it begins anew");
        }
        let why = "3G of memory, more than 2G for 30s".to_owned();
        assert_eq!(bound.measured(S(60), over()), Verdict::Unhealthy(why));
    }

    #[test]
    fn all_must_be_well() {
        let mut overall = Overall::new(2);
        assert_eq!(overall.heard(0, Verdict::Well), None, "of the other nothing is known");
        assert_eq!(overall.heard(1, Verdict::Loading), Some(Verdict::Loading));
        assert_eq!(overall.heard(1, Verdict::Well), Some(Verdict::Well));
        assert_eq!(overall.heard(0, Verdict::Well), None);
        let ailing = Verdict::Ailing("x".to_owned());
        assert_eq!(overall.heard(0, ailing.clone()), Some(ailing));
        assert_eq!(overall.heard(1, Verdict::Well), None);
        assert_eq!(overall.heard(0, Verdict::Well), Some(Verdict::Well));
    }

    proptest! {
        #[test]
        fn only_an_unbroken_row_of_failures_is_unhealthy(
            answers in proptest::collection::vec(0..3_u8, 1..200), failures in 1..6_u32, start in 0..50_u64,
        ) {
            let mut streak = Streak::new(failures, S(start), S(1000));
            for at in 0..answers.len() {
                let answer = match answers[at] { 0 => Answer::Good, 1 => Answer::Loading, _ => bad() };
                let verdict = streak.answered(S(at as u64), answer);
                let row = answers[..=at].iter().rev().take_while(|answer| **answer == 2).count();
                if let Verdict::Unhealthy(_) = verdict {
                    prop_assert!(row >= failures as usize);
                } else if answers[at] == 2 && row >= failures as usize {
                    let counted = (0..=at).rev().take(row)
                        .filter(|i| *i as u64 >= start || answers[..*i].contains(&0)).count();
                    prop_assert!(counted < failures as usize, "{counted} of {row}");
                }
            }
        }
    }
}
