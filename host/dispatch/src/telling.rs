//! Runs that answer HTTP themselves: heard as they tell it, where they execute here; else answered as a whole.

use std::{future::poll_fn, pin::pin, task::Poll, time::Duration};

use sandmill_model::{
    code::Refusal,
    telling::{ResponseHead, Told, telling},
};

use crate::{Dispatch, StartRequest, Waited};

/// What a caller who would hear an answer early gets.
pub enum Heard {
    /// It ended, or goes on, without having told anything before.
    Waited(Waited),
    /// It began; the run goes on, whether anybody hears it or not.
    Begun(ResponseHead, Told),
}

impl Dispatch {
    /// As [`Dispatch::run`]; the answer may come before the end. That of a run which is over by then is told as a whole.
    ///
    /// # Errors
    /// As [`Dispatch::run`].
    pub async fn run_told(&self, request: StartRequest, wait_limit: Duration) -> Result<Heard, Refusal> {
        let (telling, mut told) = telling();
        let mut waiting = pin!(self.run_heard(request, wait_limit, Some(telling)));
        let mut may_begin = true;
        let first = poll_fn(|context| {
            if let Poll::Ready(waited) = waiting.as_mut().poll(context) {
                return Poll::Ready(Err(waited));
            }
            if may_begin && let Poll::Ready(head) = told.poll_head(context) {
                // None: it tells nothing before its end.
                may_begin = false;
                if let Some(head) = head {
                    return Poll::Ready(Ok(head));
                }
            }
            Poll::Pending
        })
        .await;
        match first {
            Ok(head) => Ok(Heard::Begun(head, told)),
            Err(waited) => waited.map(Heard::Waited),
        }
    }
}
