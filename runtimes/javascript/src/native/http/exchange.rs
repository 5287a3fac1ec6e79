//! One request and its answer. Each part of it lasts as long as there is something to come of it.

use super::super::answer::Refusal;
use super::codes;
use rquickjs::Ctx;
use std::{
    cell::{OnceCell, Ref, RefCell},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};
use wasip2::{
    http::{
        outgoing_handler,
        types::{ErrorCode, FutureIncomingResponse, IncomingBody, IncomingResponse, OutgoingBody, OutgoingRequest},
    },
    io::{
        poll::Pollable,
        streams::{InputStream, OutputStream, StreamError},
    },
};

/// A run's handles are limited, and one more than that ends it. A part takes up to three.
const PARTS_MAX: usize = 1_000;
/// So many parts, and twice as many after each time, before those are looked for that no script can reach any more.
const PARTS_BEFORE_COLLECTION: usize = 64;
const READ_BYTES_MAX: u64 = 64 * 1024;

static PARTS: AtomicUsize = AtomicUsize::new(0);
static COLLECTION_AT: AtomicUsize = AtomicUsize::new(PARTS_BEFORE_COLLECTION);

/// Streams that were left half-read are mostly in circles, which reference counting does not free, and each is a request under way.
pub fn collect_forgotten(ctx: &Ctx<'_>) {
    if PARTS.load(Relaxed) >= COLLECTION_AT.load(Relaxed) {
        ctx.run_gc();
        COLLECTION_AT.store(PARTS_BEFORE_COLLECTION.max(2 * PARTS.load(Relaxed)), Relaxed);
    }
}

/// Room for a part.
struct Place;

impl Place {
    fn take() -> Result<Self, Refusal> {
        if PARTS.load(Relaxed) >= PARTS_MAX {
            return Err(codes::refusal(ErrorCode::ConnectionLimitReached));
        }
        PARTS.fetch_add(1, Relaxed);
        Ok(Self)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        PARTS.fetch_sub(1, Relaxed);
    }
}

#[derive(Clone, Copy)]
pub enum Part {
    Head,
    Up,
    Down,
}

pub struct Exchange {
    head: RefCell<Option<Awaited>>,
    up: RefCell<Option<Up>>,
    down: RefCell<Option<Down>>,
}

// Fields are in the order in which they must end: a pollable before what it watches, a stream before its body.

struct Awaited {
    ready: OnceCell<Pollable>,
    future: FutureIncomingResponse,
    place: Place,
}

struct Up {
    ready: OnceCell<Pollable>,
    stream: OutputStream,
    body: OutgoingBody,
    _place: Place,
}

struct Down {
    ready: OnceCell<Pollable>,
    stream: InputStream,
    _body: IncomingBody,
    _place: Place,
}

pub struct Head {
    pub status: u16,
    pub headers: Vec<(String, Vec<u8>)>,
}

pub enum Next {
    Bytes(Vec<u8>),
    NotYet,
    End,
}

impl Exchange {
    pub fn start(request: OutgoingRequest, has_body: bool) -> Result<Self, Refusal> {
        let place = Place::take()?;
        let up = if has_body { Some(Up::of(&request)?) } else { None };
        let future = outgoing_handler::handle(request, None).map_err(codes::refusal)?;
        let head = Awaited { ready: OnceCell::new(), future, place };
        Ok(Self { head: RefCell::new(Some(head)), up: RefCell::new(up), down: RefCell::default() })
    }

    /// None if the answer has not begun.
    pub fn head(&self) -> Option<Result<Head, Refusal>> {
        let answered = self.head.borrow().as_ref()?.future.get()?;
        // Only the first call gets an answer, so the outer error cannot be.
        let answered = answered.unwrap_or(Err(ErrorCode::InternalError(None)));
        let place = self.head.take()?.place;
        Some(answered.map_err(codes::refusal).and_then(|response| {
            let head = Head { status: response.status(), headers: response.headers().entries() };
            self.down.replace(Some(Down::of(&response, place)?));
            Ok(head)
        }))
    }

    /// How many of the bytes were taken, perhaps none; nothing if the other side wants no more of them.
    pub fn write(&self, bytes: &[u8]) -> Result<Option<usize>, Refusal> {
        let written = match self.up.borrow().as_ref() {
            Some(up) => up.write(bytes),
            None => return Ok(None),
        };
        match written {
            Ok(written) => Ok(Some(written)),
            Err(error) => {
                self.up.take();
                match error {
                    StreamError::Closed => Ok(None),
                    StreamError::LastOperationFailed(error) => Err(codes::of_stream(&error)),
                }
            }
        }
    }

    /// All of the body was written.
    pub fn finish(&self) -> Result<(), Refusal> {
        let Some(Up { ready, stream, body, .. }) = self.up.take() else {
            return Ok(());
        };
        drop(ready);
        drop(stream);
        OutgoingBody::finish(body, None).map_err(codes::refusal)
    }

    pub fn read(&self) -> Result<Next, Refusal> {
        let read = match self.down.borrow().as_ref() {
            Some(down) => down.stream.read(READ_BYTES_MAX),
            None => return Ok(Next::End),
        };
        match read {
            Ok(bytes) if bytes.is_empty() => Ok(Next::NotYet),
            Ok(bytes) => Ok(Next::Bytes(bytes)),
            Err(error) => {
                self.down.take();
                match error {
                    StreamError::Closed => Ok(Next::End),
                    StreamError::LastOperationFailed(error) => Err(codes::of_stream(&error)),
                }
            }
        }
    }

    /// What to watch for the part; none if it has ended.
    pub fn watch(&self, part: Part) -> Option<Ref<'_, Pollable>> {
        match part {
            Part::Head => watched(&self.head, |head| head.ready.get_or_init(|| head.future.subscribe())),
            Part::Up => watched(&self.up, |up| up.ready.get_or_init(|| up.stream.subscribe())),
            Part::Down => watched(&self.down, |down| down.ready.get_or_init(|| down.stream.subscribe())),
        }
    }

    /// Breaks off what has not ended by itself.
    pub fn end(&self) {
        self.head.take();
        self.down.take();
        self.up.take();
    }
}

fn watched<T>(part: &RefCell<Option<T>>, pollable: impl FnOnce(&T) -> &Pollable) -> Option<Ref<'_, Pollable>> {
    Ref::filter_map(part.borrow(), |part| part.as_ref().map(pollable)).ok()
}

impl Up {
    fn of(request: &OutgoingRequest) -> Result<Self, Refusal> {
        let place = Place::take()?;
        // The host refuses both only if the Content-Length is no number.
        let invalid = |()| codes::refusal(ErrorCode::HttpRequestBodySize(None));
        let body = request.body().map_err(invalid)?;
        let stream = body.write().map_err(invalid)?;
        Ok(Self { ready: OnceCell::new(), stream, body, _place: place })
    }

    fn write(&self, bytes: &[u8]) -> Result<usize, StreamError> {
        let mut written = 0;
        while written < bytes.len() {
            let room = usize::try_from(self.stream.check_write()?).unwrap_or(usize::MAX);
            if room == 0 {
                break;
            }
            let end = bytes.len().min(written.saturating_add(room));
            self.stream.write(&bytes[written..end])?;
            written = end;
        }
        Ok(written)
    }
}

impl Down {
    fn of(response: &IncomingResponse, place: Place) -> Result<Self, Refusal> {
        // Nobody else has taken either.
        let taken = |()| codes::refusal(ErrorCode::InternalError(None));
        let body = response.consume().map_err(taken)?;
        let stream = body.stream().map_err(taken)?;
        Ok(Self { ready: OnceCell::new(), stream, _body: body, _place: place })
    }
}
