//! A change goes on to its end although whoever asked for it has gone: else nobody could tell how far it came.
//!
//! A request is answered by the task of its connection. If that drops it while a change is under way, a task of its own takes the change
//! over. So many are taken over at once for one workspace, and for all, and for nobody more than are left free; what is more breaks off,
//! and its entry says that its end is unknown.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use axum::{
    BoxError,
    body::{Body, HttpBody},
    extract::Request,
    response::Response,
};
use bytes::Bytes;
use futures_util::{Stream, stream};
use sandmill_model::{TokenId, WorkspaceId, auth::Principal};
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

/// Changes of one workspace, or of one caller outside of any, that go on at once without whoever asked for them.
const EACH_MAX: usize = 64;
/// The same of all together.
const ALL_MAX: usize = 1_024;

/// Whose changes are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Whose {
    Workspace(WorkspaceId),
    /// A token or a session, in what belongs to no workspace.
    Caller(TokenId),
    /// Of those who are not known yet.
    Nobody,
}

impl Whose {
    pub(super) fn of(workspace: Option<WorkspaceId>, principal: Option<&Principal>) -> Self {
        match (workspace, principal) {
            (Some(workspace), _) => Self::Workspace(workspace),
            (None, Some(principal)) => Self::Caller(principal.token),
            (None, None) => Self::Nobody,
        }
    }
}

/// Changes that go on although whoever asked for them has gone.
#[derive(Default)]
pub struct Endings {
    tasks: TaskTracker,
    under_way: Mutex<HashMap<Whose, usize>>,
}

impl Endings {
    /// Waits until all of them have come to their ends. The store must be there until then.
    pub async fn finish(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Answers a request by `work`, which goes on if nobody waits for it any more once it has [begun](Tie::begin).
    pub(crate) fn answer<F>(self: Arc<Self>, mut request: Request, work: impl FnOnce(Request) -> F) -> Answering
    where
        F: Future<Output = Response> + Send + 'static,
    {
        let tie = Tie::default();
        request.extensions_mut().insert(tie.clone());
        let of_body = tie.clone();
        let request = request.map(|body| Body::from_stream(tied(body, of_body)));
        Answering { endings: self, tie, work: Some(Box::pin(work(request))) }
    }

    /// None: too many go on already.
    fn place(self: &Arc<Self>, whose: Whose) -> Option<Place> {
        let mut under_way = self.lock();
        let free = ALL_MAX.saturating_sub(under_way.values().sum());
        let each = under_way.get(&whose).copied().unwrap_or_default();
        // So that a few do not take all places.
        if each >= EACH_MAX.min(free) {
            return None;
        }
        under_way.insert(whose, each + 1);
        Some(Place { endings: Arc::clone(self), whose })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Whose, usize>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Of a change that goes on.
struct Place {
    endings: Arc<Endings>,
    whose: Whose,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut under_way = self.endings.lock();
        if let Some(count) = under_way.get_mut(&self.whose) {
            *count -= 1;
            if *count == 0 {
                under_way.remove(&self.whose);
            }
        }
    }
}

/// Between a request and whoever waits for its answer: an extension of the request.
#[derive(Clone, Default)]
pub(super) struct Tie(Arc<Ends>);

#[derive(Default)]
struct Ends {
    /// None: nothing has begun that would have to come to an end.
    whose: OnceLock<Whose>,
    is_gone: AtomicBool,
}

impl Tie {
    /// A change begins.
    pub(super) fn begin(&self, whose: Whose) {
        // Set once: a request is one change.
        let _ = self.0.whose.set(whose);
    }
}

/// A body that was not whole when its sender went is never taken for one that is.
fn tied(body: Body, tie: Tie) -> impl Stream<Item = Result<Bytes, BoxError>> + Send + 'static {
    let mut data = body.into_data_stream();
    stream::poll_fn(move |context: &mut Context<'_>| -> Poll<Option<Result<Bytes, BoxError>>> {
        if tie.0.is_gone.load(Ordering::Acquire) && !HttpBody::is_end_stream(&data) {
            return Poll::Ready(Some(Err("whoever sent it has gone".into())));
        }
        Pin::new(&mut data).poll_next(context).map_err(Into::into)
    })
}

/// A request that is being answered.
pub(crate) struct Answering {
    endings: Arc<Endings>,
    tie: Tie,
    /// None: it is answered.
    work: Option<Pin<Box<dyn Future<Output = Response> + Send>>>,
}

impl Future for Answering {
    type Output = Response;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Response> {
        // Taken out: what panics is not polled again.
        let Some(mut work) = self.work.take() else { return Poll::Pending };
        let answered = work.as_mut().poll(context);
        if answered.is_pending() {
            self.work = Some(work);
        }
        answered
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        let Some(work) = self.work.take() else { return };
        let Some(whose) = self.tie.0.whose.get().copied() else { return };
        // At the end of the runtime nothing goes on.
        let Ok(runtime) = Handle::try_current() else { return };
        let Some(place) = self.endings.place(whose) else {
            tracing::warn!(?whose, "a change breaks off: too many go on already although whoever asked for them has gone");
            return;
        };
        self.tie.0.is_gone.store(true, Ordering::Release);
        let going_on = async move {
            // Nobody takes the answer. It is in the audit log what came of it.
            drop(work.await);
            drop(place);
        };
        self.endings.tasks.spawn_on(going_on, &runtime);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt, poll};
    use sandmill_model::Timestamp;
    use tokio::sync::Notify;

    use super::*;

    fn workspace() -> Whose {
        Whose::Workspace(WorkspaceId::new(Timestamp::from_micros(0)))
    }

    #[test]
    fn so_many_go_on_for_one_and_for_all() {
        let endings = Arc::new(Endings::default());
        let (one, other) = (workspace(), workspace());
        let places: Vec<Place> = (0..1_000).map_while(|_| endings.place(one)).collect();
        assert_eq!(places.len(), EACH_MAX);
        assert!(endings.place(other).is_some(), "others have places of their own");
        drop(places);
        assert!(endings.lock().is_empty());
        let many: Vec<Place> = (0..20)
            .flat_map(|_| {
                let each = workspace();
                (0..1_000).map_while(|_| endings.place(each)).collect::<Vec<Place>>()
            })
            .collect();
        assert!(endings.place(workspace()).is_some(), "{} places of a few do not keep others out", many.len());
        drop(many);
        let all: Vec<Place> = (0..10 * ALL_MAX).map_while(|_| endings.place(workspace())).collect();
        assert_eq!(all.len(), ALL_MAX);
    }

    #[tokio::test]
    async fn only_what_has_begun_goes_on() {
        let endings = Arc::new(Endings::default());
        let (go_on, is_done) = (Arc::new(Notify::new()), Arc::new(AtomicBool::new(false)));
        for has_begun in [false, true] {
            let (waits_for, done) = (Arc::clone(&go_on), Arc::clone(&is_done));
            let mut answering = Arc::clone(&endings).answer(Request::new(Body::empty()), move |request| async move {
                if has_begun {
                    request.extensions().get::<Tie>().unwrap().begin(workspace());
                }
                waits_for.notified().await;
                done.store(true, Ordering::Release);
                Response::new(Body::empty())
            });
            assert!(poll!(&mut answering).is_pending());
            drop(answering);
            assert_eq!((endings.tasks.len(), endings.lock().len()), (usize::from(has_begun), usize::from(has_begun)));
        }
        go_on.notify_one();
        endings.finish().await;
        assert!(is_done.load(Ordering::Acquire) && endings.lock().is_empty());
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_not_whole() {
        let tie = Tie::default();
        let text = stream::iter([Ok::<_, BoxError>(Bytes::from_static(b"{}"))]);
        let mut body = tied(Body::from_stream(text), tie.clone());
        assert_eq!(body.next().await.unwrap().unwrap(), "{}");
        tie.0.is_gone.store(true, Ordering::Release);
        assert!(body.next().await.unwrap().is_err());
    }
}
