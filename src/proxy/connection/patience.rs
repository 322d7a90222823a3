//! How long a guard waits: for the rest of a head, for the next request, for a client to read.
//!
//! Apart, because a timer for each request would cost more than all of a request's checks: one that is due is
//! made only when something has to be waited for, and an idle connection is timed by ticks that go on from
//! one request to the next.

use std::io;
use std::pin::Pin;
use std::task::{Context, Waker};

use tokio::task::coop;
use tokio::time::{Duration, Instant, Sleep, sleep};

/// The timers of one connection.
#[derive(Debug, Default)]
pub(super) struct Patience {
    /// What has begun is due by then.
    due: Timer,
    /// What was written must have been taken by then.
    taken: Timer,
    tick: Timer,
    /// Ticks heard since the connection became idle.
    ticks: u32,
    silence: Timer,
    answer: Ticks,
    /// When something came or went last, where anybody asks.
    moved: Option<Instant>,
}

/// How long an answer is waited for: ticks heard since something of it came, and how far apart they are.
#[derive(Debug, Default)]
struct Ticks {
    limit: Duration,
    tick: Timer,
    count: u32,
    moved: bool,
}

/// A timer that may not be needed.
#[derive(Debug, Default)]
pub(super) struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
    /// Whom its end wakes. That is the same task nearly always, and need not be told for each request.
    listener: Option<Waker>,
}

/// How long a connection may idle between requests, a tick more or less; Pingora sets no limit after the
/// first.
const KEEP_ALIVE: Duration = Duration::from_mins(1);
const TICKS: u32 = 4;

impl Patience {
    /// Something is due within `limit` from now, unless it was due before.
    pub(super) fn arm(&mut self, limit: Duration) {
        self.due.arm(limit);
    }

    /// What was due has come.
    pub(super) fn disarm(&mut self) {
        self.due.disarm();
    }

    /// Fails when what is due has not come.
    pub(super) fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        self.due.check(cx)
    }

    /// A request was answered, and the next one has not begun.
    pub(super) fn rest(&mut self) {
        self.ticks = 0;
    }

    /// Fails when the connection has idled for too long.
    pub(super) fn check_rest(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        const TICK: Duration = Duration::from_secs(KEEP_ALIVE.as_secs() / TICKS as u64);
        self.tick.arm(TICK);
        while self.tick.is_over(cx) {
            // The first may have begun before the connection was idle.
            self.ticks += 1;
            if self.ticks > TICKS {
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.tick.reset(Instant::now() + TICK);
        }
        Ok(())
    }

    /// Something came or went.
    pub(super) fn moved(&mut self) {
        self.moved = Some(Instant::now());
    }

    /// Another limit holds from now on.
    pub(super) fn listen_anew(&mut self) {
        self.silence = Timer::default();
        self.moved();
    }

    /// Fails when nothing has come or gone for `limit`. The timer is not moved with every byte: when it is due, it is
    /// set again for as long as is left.
    pub(super) fn check_silence(
        &mut self,
        cx: &mut Context<'_>,
        limit: Duration,
    ) -> io::Result<()> {
        let since = *self.moved.get_or_insert_with(Instant::now);
        self.silence.arm(limit);
        while self.silence.is_over(cx) {
            let due = since + limit;
            if due <= Instant::now() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.silence.reset(due);
        }
        Ok(())
    }

    /// A request was passed on, or something of its answer was.
    pub(super) fn answered(&mut self) {
        self.answer.moved = true;
    }

    /// Fails when nothing of an answer has come for `limit`, or a tick more. No clock is read for a request.
    pub(super) fn check_answer(&mut self, cx: &mut Context<'_>, limit: Duration) -> io::Result<()> {
        let Ticks {
            limit: known,
            tick,
            count,
            moved,
        } = &mut self.answer;
        if std::mem::replace(known, limit) != limit {
            tick.disarm();
        }
        let step = limit / TICKS;
        tick.arm(step);
        while tick.is_over(cx) {
            *count = if std::mem::take(moved) { 0 } else { *count + 1 };
            // The first tick after a movement may come at once, the others are a quarter of the limit apart.
            if *count >= TICKS {
                (*count, *moved) = (0, true);
                return Err(io::ErrorKind::TimedOut.into());
            }
            tick.reset(Instant::now() + step);
        }
        Ok(())
    }

    /// The client has taken what was written.
    pub(super) fn written(&mut self) {
        self.taken.disarm();
    }

    /// Fails when the client has not taken what was written within `limit`; Pingora would wait for ever, and its
    /// upstream with it.
    pub(super) fn check_written(
        &mut self,
        cx: &mut Context<'_>,
        limit: Duration,
    ) -> io::Result<()> {
        self.taken.arm(limit);
        self.taken.check(cx)
    }
}

impl Timer {
    /// Begins, unless it has begun before.
    pub(super) fn arm(&mut self, limit: Duration) {
        if self.sleep.is_none() {
            self.sleep = Some(Box::pin(sleep(limit)));
        }
    }

    pub(super) fn disarm(&mut self) {
        self.sleep = None;
        self.listener = None;
    }

    /// Begins anew.
    fn reset(&mut self, due: Instant) {
        self.listener = None;
        if let Some(sleep) = &mut self.sleep {
            sleep.as_mut().reset(due);
        }
    }

    /// Whether it has begun and is over; else the task is woken when it is.
    fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(sleep) = &mut self.sleep else {
            return false;
        };
        let listens = |known: &Waker| known.will_wake(cx.waker());
        if self.listener.as_ref().is_some_and(listens) && !sleep.is_elapsed() {
            return false;
        }
        // A task whose turn is over is sent away before anything is noted, and must ask again.
        let noted = coop::has_budget_remaining();
        let over = sleep.as_mut().poll(cx).is_ready();
        self.listener = (noted && !over).then(|| cx.waker().clone());
        over
    }

    /// Fails once it is over; until then the task is woken when it is.
    pub(super) fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.is_over(cx) {
            Err(io::ErrorKind::TimedOut.into())
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::task::Poll;

    async fn idle_until_closed(patience: &mut Patience) -> Duration {
        let begun = Instant::now();
        patience.rest();
        poll_fn(|cx| match patience.check_rest(cx) {
            Ok(()) => Poll::Pending,
            Err(_) => Poll::Ready(()),
        })
        .await;
        begun.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn b_04_an_idle_connection_is_closed_after_a_minute_or_a_tick_more() {
        let mut patience = Patience::default();
        for busy in [0, 7, 100] {
            tokio::time::sleep(Duration::from_secs(busy)).await;
            let idle = idle_until_closed(&mut patience).await.as_secs();
            assert!((60..=76).contains(&idle), "{idle} s after {busy} s");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn w_06_a_tunnel_is_given_up_when_nothing_moves_and_not_before() {
        const LIMIT: Duration = Duration::from_secs(30);
        let mut patience = Patience::default();
        patience.listen_anew();
        let silent = async |patience: &mut Patience, seconds| {
            let heard = poll_fn(|cx| match patience.check_silence(cx, LIMIT) {
                Ok(()) => Poll::<()>::Pending,
                Err(_) => Poll::Ready(()),
            });
            tokio::time::timeout(Duration::from_secs(seconds), heard)
                .await
                .is_ok()
        };
        for _ in 0..5 {
            assert!(!silent(&mut patience, 29).await);
            patience.moved();
        }
        assert!(!silent(&mut patience, 20).await);
        assert!(silent(&mut patience, 11).await);
    }

    #[tokio::test(start_paused = true)]
    async fn f_05_an_answer_is_given_up_after_its_limit_or_a_tick_more() {
        const LIMIT: Duration = Duration::from_secs(20);
        let mut patience = Patience::default();
        let silent = async |patience: &mut Patience, seconds| {
            let heard = poll_fn(|cx| match patience.check_answer(cx, LIMIT) {
                Ok(()) => Poll::<()>::Pending,
                Err(_) => Poll::Ready(()),
            });
            let begun = Instant::now();
            tokio::time::timeout(Duration::from_secs(seconds), heard)
                .await
                .is_ok()
                .then(|| begun.elapsed().as_secs())
        };
        patience.answered();
        // The clock goes on from one request to the next, and each begins anew.
        for _ in 0..5 {
            assert_eq!(silent(&mut patience, 19).await, None);
            patience.answered();
        }
        let given_up = silent(&mut patience, 100).await.unwrap();
        assert!((20..=25).contains(&given_up), "after {given_up} s");
        let again = silent(&mut patience, 100).await.unwrap();
        assert!((20..=25).contains(&again), "after {again} s");
    }

    #[tokio::test(start_paused = true)]
    async fn b_04_a_limit_holds_also_when_the_turn_of_a_task_was_over_as_it_began() {
        let (mut patience, mut begun) = (Patience::default(), false);
        let due = poll_fn(|cx| {
            if !std::mem::replace(&mut begun, true) {
                while let Poll::Ready(turn) = coop::poll_proceed(cx) {
                    turn.made_progress();
                }
                patience.arm(Duration::from_secs(10));
            }
            match patience.check(cx) {
                Ok(()) => Poll::Pending,
                Err(_) => Poll::Ready(()),
            }
        });
        let waited = tokio::time::timeout(Duration::from_secs(11), due).await;
        assert!(waited.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn b_04_a_client_that_does_not_read_is_not_waited_for() {
        let mut patience = Patience::default();
        let mut stall = async |limit| {
            let waited = poll_fn(
                |cx| match patience.check_written(cx, Duration::from_mins(1)) {
                    Ok(()) => Poll::<()>::Pending,
                    Err(_) => Poll::Ready(()),
                },
            );
            let over = tokio::time::timeout(Duration::from_secs(limit), waited).await;
            patience.written();
            over.is_ok()
        };
        assert!(!stall(59).await && !stall(59).await && stall(61).await);
    }
}
