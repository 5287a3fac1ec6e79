//! Bodies on their way: counted, limited, never silent for too long.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use sandmill_model::{ScriptPath, WorkspaceId};
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Sleep, sleep},
};
use wasmtime_wasi_http::{Error, WasiBody};

use super::{
    fault::{Fault, Teller},
    limits::REPLACED_BODY_BYTES,
    traffic::{TrafficPort, USED_UP},
};
use crate::{
    host::RunFacts,
    placeholders::{Replaced, Replacing},
};

/// What HTTP/1 has around name and value of a field.
const FIELD_OVERHEAD_BYTES: usize = 4;

/// Bytes that may still go one way.
pub(super) struct Meter {
    left: AtomicU64,
    way: Way,
    workspace: WorkspaceId,
    traffic: Arc<dyn TrafficPort>,
}

#[derive(Clone, Copy)]
pub(super) enum Way {
    Up,
    Down,
}

impl Meter {
    pub(super) fn of(bytes: u64, way: Way, workspace: WorkspaceId, traffic: &Arc<dyn TrafficPort>) -> Self {
        Self { left: AtomicU64::new(bytes), way, workspace, traffic: Arc::clone(traffic) }
    }

    /// Bytes of a body. If they are too many nothing more goes.
    fn take(&self, bytes: usize) -> Result<(), Fault> {
        self.count(bytes)?;
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let taken = self.left.try_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes));
        if taken.is_err() {
            self.left.store(0, Ordering::Relaxed);
        }
        taken.map(drop).map_err(|_| match self.way {
            Way::Up => Fault::TooMuchUp,
            Way::Down => Fault::TooMuchDown,
        })
    }

    /// Bytes of a head or of trailers with so many beside its fields: of these a run has no limit of its own, and its workspace has.
    pub(super) fn head(&self, beside: usize, fields: &HeaderMap) -> Result<(), Fault> {
        self.count(fields.iter().map(|(name, value)| name.as_str().len() + value.len() + FIELD_OVERHEAD_BYTES).sum::<usize>() + beside)
    }

    fn count(&self, bytes: usize) -> Result<(), Fault> {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let may_go_on = match self.way {
            Way::Up => self.traffic.count(self.workspace, bytes, 0),
            Way::Down => self.traffic.count(self.workspace, 0, bytes),
        };
        if may_go_on { Ok(()) } else { Err(Fault::Quota(USED_UP.to_owned())) }
    }
}

/// When something was sent last.
pub(super) struct Activity {
    began: Instant,
    last_ms: AtomicU64,
}

impl Activity {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { began: Instant::now(), last_ms: AtomicU64::new(0) })
    }

    pub(super) fn note(&self) {
        self.last_ms.store(u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(super) fn last(&self) -> Instant {
        self.began + Duration::from_millis(self.last_ms.load(Ordering::Relaxed))
    }
}

/// What a guest sends.
pub(super) struct UpBody {
    pub(super) body: WasiBody,
    pub(super) meter: Arc<Meter>,
    pub(super) activity: Arc<Activity>,
    /// What the guest said its length would be.
    pub(super) length: Option<u64>,
    pub(super) sent: u64,
    pub(super) placeholders: Option<BodyPlaceholders>,
    /// Trailers, or the end, for which the rest of a placeholder that was none came first.
    pub(super) next: Option<Option<Frame<Bytes>>>,
}

/// Placeholders that are replaced in a body.
pub(super) struct BodyPlaceholders {
    pub(super) run: Arc<RunFacts>,
    pub(super) paths: Arc<[ScriptPath]>,
    pub(super) kept: BytesMut,
}

impl BodyPlaceholders {
    fn replace(&mut self, bytes: &[u8]) -> Bytes {
        Replacing::new(self.run.placeholders(), &self.paths, Replaced::AsPlaceholder).part(&mut self.kept, bytes)
    }
}

impl UpBody {
    /// One frame of the guest's, as it is sent.
    fn frame(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, Fault> {
        let data = match frame.into_data() {
            Ok(data) => data,
            Err(trailers) => {
                trailers.trailers_ref().map_or(Ok(()), |fields| self.meter.head(0, fields))?;
                return Ok(self.end(Some(trailers))?.unwrap_or_else(|| Frame::data(Bytes::new())));
            }
        };
        self.sent += u64::try_from(data.len()).unwrap_or(u64::MAX);
        if self.length.is_some_and(|length| self.sent > length) {
            return Err(Fault::BodyLength(self.sent));
        }
        let data = match &mut self.placeholders {
            Some(placeholders) => {
                let replaced = placeholders.replace(&data);
                if replaced.len() > data.len().saturating_add(REPLACED_BODY_BYTES) {
                    return Err(Fault::Secrets(format!("secrets add more than {REPLACED_BODY_BYTES} bytes to a part of a body")));
                }
                replaced
            }
            None => data,
        };
        self.count(data)
    }

    fn count(&self, data: Bytes) -> Result<Frame<Bytes>, Fault> {
        self.activity.note();
        self.meter.take(data.len())?;
        Ok(Frame::data(data))
    }

    /// The end, or trailers; what was kept goes before.
    fn end(&mut self, last: Option<Frame<Bytes>>) -> Result<Option<Frame<Bytes>>, Fault> {
        if self.length.is_some_and(|length| self.sent != length) {
            return Err(Fault::BodyLength(self.sent));
        }
        let kept = self.placeholders.as_mut().map(|placeholders| std::mem::take(&mut placeholders.kept)).filter(|kept| !kept.is_empty());
        match kept {
            None => Ok(last),
            Some(kept) => {
                self.next = Some(last);
                self.count(kept.freeze()).map(Some)
            }
        }
    }
}

impl Body for UpBody {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        if let Some(next) = self.next.take() {
            self.next = Some(None);
            return Poll::Ready(next.map(Ok));
        }
        let polled = match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(polled) => polled,
        };
        Poll::Ready(match polled {
            Some(Ok(frame)) => Some(self.frame(frame)),
            // The guest gave it up, or its length was not what it said.
            Some(Err(_)) => Some(Err(Fault::BodyLength(self.sent))),
            None => self.end(None).transpose(),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.placeholders.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.placeholders.is_some() { SizeHint::default() } else { self.body.size_hint() }
    }
}

/// What a peer answers.
pub(super) struct DownBody {
    pub(super) body: Incoming,
    pub(super) meter: Arc<Meter>,
    pub(super) between: Duration,
    pub(super) timer: Option<Pin<Box<Sleep>>>,
    /// Of a request under way; none once it is over.
    pub(super) permits: Option<[OwnedSemaphorePermit; 2]>,
    pub(super) teller: Teller,
}

impl DownBody {
    fn over(&mut self, fault: &Fault) -> Error {
        self.permits = None;
        self.teller.tell(fault)
    }
}

impl Body for DownBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                self.timer = None;
                let taken = match (frame.data_ref(), frame.trailers_ref()) {
                    (Some(data), _) => self.meter.take(data.len()),
                    (None, Some(fields)) => self.meter.head(0, fields),
                    (None, None) => Ok(()),
                };
                Poll::Ready(Some(match taken {
                    Ok(()) => Ok(frame),
                    Err(fault) => Err(self.over(&fault)),
                }))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(self.over(&Fault::of(&error))))),
            Poll::Ready(None) => {
                self.permits = None;
                Poll::Ready(None)
            }
            Poll::Pending => {
                let between = self.between;
                let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(between)));
                match timer.as_mut().poll(cx) {
                    Poll::Pending => Poll::Pending,
                    Poll::Ready(()) => Poll::Ready(Some(Err(self.over(&Fault::Silent(between))))),
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
