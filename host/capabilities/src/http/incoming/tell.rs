//! A handler's answer, told to whoever waits for it while it is made.

use http::{HeaderMap, StatusCode};
use sandmill_model::{
    RunId,
    telling::{ResponseHead, Telling},
};
use sandmill_sandbox::{Guest, RunLog};

use super::Asked;
use crate::Host;

/// What the guest was told and must not show is masked once all is there: from the moment at which there is such a thing nothing more is told before
/// the end, for a part of it may come in one piece, and the rest in the next.
pub(super) struct Teller {
    telling: Telling,
    run: RunId,
    log: RunLog,
    has_begun: bool,
    told_bytes: usize,
    withholds: bool,
}

impl Teller {
    /// None: nobody waits for it here.
    pub(super) fn of(guest: &Guest<Host>, asked: Asked) -> Option<Self> {
        let run = guest.host.run.attempt.run;
        let telling = (asked == Asked::Http).then(|| guest.host.ports.output.telling(run)).flatten()?;
        Some(Self { telling, run, log: guest.run_log(), has_begun: false, told_bytes: 0, withholds: false })
    }

    pub(super) fn begin(&mut self, status: StatusCode, headers: &HeaderMap) {
        self.withholds = self.log.conceals();
        if !self.withholds {
            self.has_begun = true;
            self.telling.begin(ResponseHead { run: self.run, status, headers: headers.clone() });
        }
    }

    pub(super) fn write(&mut self, data: &[u8]) {
        self.withholds = self.withholds || self.log.conceals();
        if !self.withholds {
            self.told_bytes += data.len();
            self.telling.write(data);
        }
    }

    /// All of the body is there.
    pub(super) fn end(self, body: &[u8]) {
        if self.has_begun {
            if let Some(rest) = body.get(self.told_bytes..).filter(|rest| !rest.is_empty()) {
                self.telling.write(&self.log.masked_bytes(rest));
            }
            self.telling.finish();
        }
    }
}
