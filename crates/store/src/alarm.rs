//! A deadline that is moved with every request and reached with hardly any.
//!
//! To start and to stop one of the runtime's timers takes a lock twice and an allocation. So the timer of an alarm stays where it
//! is when its deadline is moved, and is looked at when it rings: where that was too early, it is set to the deadline of now.
//! What it costs is that whoever waited for it may be woken once for nothing.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use tokio::task::unconstrained;
use tokio::time::{Instant, Sleep, sleep_until};

/// The alarm. It belongs to one task: what polls it is woken.
#[derive(Debug)]
pub struct Alarm {
    deadline: Instant,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Alarm {
    /// An alarm that rings at this time.
    pub fn at(deadline: Instant) -> Self {
        Alarm { deadline, timer: None }
    }

    /// Moves it, to a later time or an earlier one.
    pub fn set(&mut self, deadline: Instant) {
        self.deadline = deadline;
        if let Some(timer) = &mut self.timer
            && timer.deadline() > deadline
        {
            timer.as_mut().reset(deadline);
        }
    }

    /// Ready from its deadline on, until it is moved.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(self.deadline)));
        loop {
            // Unconstrained: a task that never runs out of things to read has used up its turn when it asks, and would never hear it.
            if pin!(unconstrained(timer.as_mut())).poll(cx).is_pending() {
                return Poll::Pending;
            }
            if timer.deadline() >= self.deadline {
                return Poll::Ready(());
            }
            timer.as_mut().reset(self.deadline);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    async fn rings_after(alarm: &mut Alarm) -> Duration {
        let started = Instant::now();
        poll_fn(|cx| alarm.poll(cx)).await;
        started.elapsed()
    }

    async fn is_silent_for(alarm: &mut Alarm, time: Duration) -> bool {
        tokio::time::timeout(time, poll_fn(|cx| alarm.poll(cx))).await.is_err()
    }

    // Time stands still but for what is waited for, in whole milliseconds.
    const MOST: Duration = Duration::from_millis(10);

    #[tokio::test(start_paused = true)]
    async fn it_rings_at_its_deadline_wherever_that_was_moved() {
        let mut alarm = Alarm::at(Instant::now() + SECOND);
        assert!(is_silent_for(&mut alarm, SECOND / 2).await);
        alarm.set(Instant::now() + 3 * SECOND);
        let later = rings_after(&mut alarm).await;
        assert!(later >= 3 * SECOND && later < 3 * SECOND + MOST, "{later:?}");
        alarm.set(Instant::now() + 9 * SECOND);
        assert!(is_silent_for(&mut alarm, SECOND).await, "it rang once and was moved");
        alarm.set(Instant::now() + SECOND);
        let earlier = rings_after(&mut alarm).await;
        assert!(earlier >= SECOND && earlier < SECOND + MOST, "{earlier:?}");
        assert_eq!(rings_after(&mut alarm).await, Duration::ZERO, "until it is moved");
    }

    /// Whoever reads on and on has none of its turn left when it looks at the time.
    #[tokio::test]
    async fn it_is_heard_by_a_task_that_has_used_up_its_turn() {
        let mut alarm = Alarm::at(Instant::now() + MOST);
        let rung = poll_fn(|cx| {
            while let Poll::Ready(read) = tokio::task::coop::poll_proceed(cx) {
                read.made_progress();
            }
            alarm.poll(cx)
        });
        assert!(tokio::time::timeout(30 * SECOND, rung).await.is_ok());
    }
}
