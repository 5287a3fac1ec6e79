//! A response that is told while its run goes on. What is written waits for whoever reads: nobody who writes waits for a slow reader, and who writes says how
//! much that may be.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, task::AtomicWaker};
use http::{HeaderMap, StatusCode};

use crate::ids::RunId;

/// What comes before a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseHead {
    pub run: RunId,
    pub status: StatusCode,
    pub headers: HeaderMap,
}

/// The run ended before its response did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the response broke off")]
pub struct BrokenOff;

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    reader: AtomicWaker,
}

#[derive(Default)]
struct State {
    head: Option<ResponseHead>,
    waiting: BytesMut,
    end: Option<Result<(), BrokenOff>>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whoever writes. Dropped before it has finished, it leaves a response that broke off.
pub struct Telling(Arc<Shared>);

/// Whoever reads: first the head, then, as a stream, the body.
pub struct Told(Arc<Shared>);

/// A response that nobody has begun.
#[must_use]
pub fn telling() -> (Telling, Told) {
    let shared = Arc::<Shared>::default();
    (Telling(Arc::clone(&shared)), Told(shared))
}

impl Telling {
    pub fn begin(&self, head: ResponseHead) {
        self.0.state().head = Some(head);
        self.0.reader.wake();
    }

    /// Adds to the body; nothing, if nobody reads any more.
    pub fn write(&self, bytes: &[u8]) {
        if Arc::strong_count(&self.0) > 1 {
            self.0.state().waiting.extend_from_slice(bytes);
            self.0.reader.wake();
        }
    }

    pub fn finish(self) {
        self.0.state().end = Some(Ok(()));
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        let mut state = self.0.state();
        if state.end.is_none() {
            state.end = Some(Err(BrokenOff));
        }
        drop(state);
        self.0.reader.wake();
    }
}

impl Told {
    /// None: there will be none.
    pub fn poll_head(&mut self, context: &Context<'_>) -> Poll<Option<ResponseHead>> {
        self.0.reader.register(context.waker());
        let mut state = self.0.state();
        match state.head.take() {
            None if state.end.is_none() => Poll::Pending,
            head => Poll::Ready(head),
        }
    }
}

impl Stream for Told {
    type Item = Result<Bytes, BrokenOff>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.reader.register(context.waker());
        let mut state = self.0.state();
        if !state.waiting.is_empty() {
            return Poll::Ready(Some(Ok(state.waiting.split().freeze())));
        }
        match &mut state.end {
            None => Poll::Pending,
            Some(Ok(())) => Poll::Ready(None),
            Some(end @ Err(BrokenOff)) => {
                // Once.
                *end = Ok(());
                Poll::Ready(Some(Err(BrokenOff)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use futures_util::{FutureExt, StreamExt};

    use super::*;
    use crate::clock::Timestamp;

    fn head() -> ResponseHead {
        ResponseHead { run: RunId::new(Timestamp::from_micros(0)), status: StatusCode::OK, headers: HeaderMap::new() }
    }

    fn read_head(told: &mut Told) -> Option<Option<ResponseHead>> {
        poll_fn(|context| told.poll_head(context)).now_or_never()
    }

    #[test]
    fn what_is_written_is_read_in_order() {
        let ((telling, mut told), head) = (telling(), head());
        assert_eq!(read_head(&mut told), None);
        telling.begin(head.clone());
        assert_eq!(read_head(&mut told), Some(Some(head)));
        assert_eq!(told.next().now_or_never(), None);
        telling.write(b"a");
        telling.write(b"b");
        assert_eq!(told.next().now_or_never(), Some(Some(Ok(Bytes::from_static(b"ab")))));
        telling.write(b"c");
        telling.finish();
        assert_eq!(told.next().now_or_never(), Some(Some(Ok(Bytes::from_static(b"c")))));
        assert_eq!(told.next().now_or_never(), Some(None));
    }

    #[test]
    fn what_does_not_finish_breaks_off() {
        let (telling, mut told) = telling();
        telling.begin(head());
        telling.write(b"a");
        drop(telling);
        assert_eq!(told.next().now_or_never(), Some(Some(Ok(Bytes::from_static(b"a")))));
        assert_eq!(told.next().now_or_never(), Some(Some(Err(BrokenOff))));
        assert_eq!(told.next().now_or_never(), Some(None));
        let (telling, mut told) = super::telling();
        drop(telling);
        assert_eq!(read_head(&mut told), Some(None));
    }

    #[test]
    fn nothing_is_kept_for_nobody() {
        let (telling, told) = telling();
        drop(told);
        telling.write(b"a");
        assert!(telling.0.state().waiting.is_empty());
    }
}
