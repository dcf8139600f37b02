//! One statement from its sending to its answer: what is sent again, and when.

use std::sync::Arc;

use mysql_async::Value;
use tokio::time::{Instant, timeout_at};

use super::error::{is_lost, is_stale, is_undone};
use super::pool::{Pool, Problem};
use super::session::{LOCK_WAIT, Reply};
use super::statement::Statement;

/// How often a statement may be sent that was undone each time.
const TRIES: usize = 4;

/// Carries a statement out. A statement that only reads is sent a second time, over a new connection, where the one it was sent over was
/// lost; any statement where the server says that nothing of it happened, for somebody else's lock or a deadlock.
pub(super) async fn carry_out(
    pool: Pool,
    statement: Statement,
    values: Vec<Value>,
    deadline: Instant,
) -> Result<Reply, Problem> {
    let mut reads_again = statement.only_reads();
    let mut sent = 0;
    loop {
        sent += 1;
        let mut session = pool.session().await?;
        if Instant::now() >= deadline {
            pool.give_back(session);
            return Err(Problem::Ours("no connection yet".to_owned()));
        }
        let Ok(answer) = timeout_at(deadline, session.send(&statement, &values)).await else {
            pool.abandon(session);
            return Err(Problem::Ours("no answer within 3 s".to_owned()));
        };
        let error = match answer {
            Ok(reply) => {
                pool.give_back(session);
                return Ok(reply);
            }
            Err(error) => error,
        };
        let again = if is_lost(&error) {
            pool.abandon(session);
            std::mem::take(&mut reads_again)
        } else {
            if is_stale(&error) {
                pool.abandon(session)
            } else {
                pool.give_back(session)
            }
            is_undone(&error) && sent < TRIES && Instant::now() + LOCK_WAIT < deadline
        };
        if !again {
            return Err(Problem::Refused(Arc::new(error)));
        }
    }
}
