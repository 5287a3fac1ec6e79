//! Schedules: a run at each instant of a cron expression, exactly one over all nodes.
//!
//! An instant is decided once: a run, or a record of a run that was skipped. What is decided and the cursor move in one transaction, which only
//! the holder of the trigger's seat can make.

mod arguments;
mod calendar;
pub(crate) mod clockwork;
pub(crate) mod config;
#[cfg(test)]
pub(crate) mod testing;
pub(crate) mod timing;

use std::time::Duration;

use bytes::Bytes;
use sandmill_model::{
    BoxFuture, JsonText, ScriptPath, Timestamp,
    trigger::{Ask, ConfigError, Inbox, ListenError, Listener, NewEvent, Overlap as Overlaps, Shutdown},
};

use clockwork::{Made, Returned, Work};
use config::{Config, Event, Misfire, Overlap};
use timing::{Decision, Lateness, RECORDS_MAX, Timing, When};

/// A run that starts later than this after it was due is a misfire. A node that takes over is there much sooner.
const MISSED_AFTER: Duration = Duration::from_secs(60);
/// Bytes of arguments that one delivery has.
const DELIVERY_BYTES: usize = 4 * 1024 * 1024;
/// How long a script that is asked for arguments may take, with what it waits for.
const ASK_MAX: Duration = Duration::from_secs(10 * 60);

pub(crate) struct Schedule;

impl Listener for Schedule {
    const KIND: &'static str = "schedule";
    const SUMMARY: &'static str = "Starts runs at the times of a cron expression.";
    type Config = Config;
    type Event = Event;

    fn validate(config: &Config) -> Result<(), ConfigError> {
        timing(config).map(drop)
    }

    fn probe(config: Config) -> BoxFuture<'static, Result<(), ListenError>> {
        // There is nothing to connect to.
        Box::pin(async move { timing(&config).map(drop).map_err(ListenError::from) })
    }

    fn listen(config: Config, inbox: Inbox, stop: Shutdown) -> BoxFuture<'static, Result<(), ListenError>> {
        Box::pin(async move {
            let arguments_bytes = json(&config.arguments)?.as_str().len();
            let scheduled = Scheduled { timing: timing(&config)?, config, arguments_bytes };
            clockwork::run(&scheduled.timing, &scheduled, &inbox, &stop).await
        })
    }

    fn preview(config: &Config, after: Timestamp, limit: usize) -> Result<Vec<Timestamp>, ConfigError> {
        Ok(timing(config)?.preview(after, limit))
    }

    fn asks(config: &Config) -> Vec<ScriptPath> {
        config.arguments_from.iter().cloned().collect()
    }
}

fn timing(config: &Config) -> Result<Timing, ConfigError> {
    if !(1..=RECORDS_MAX).contains(&config.catch_up_max) {
        return Err(ConfigError::new("/catch_up_max", format!("it is from 1 to {RECORDS_MAX}")));
    }
    if config.misfire == Misfire::All && matches!(config.overlap, Overlap::Skip | Overlap::CancelPrevious) {
        return Err(ConfigError::new(
            "/overlap",
            "with the misfire policy `all` it is `queue` or `allow`: else only one of those would run",
        ));
    }
    Timing::of(&When {
        cron: &config.cron,
        time_zone: &config.time_zone,
        jitter_ms: config.jitter_ms,
        window: &config.window,
        pause_until: config.pause_until.as_deref(),
    })
}

struct Scheduled {
    timing: Timing,
    config: Config,
    /// As JSON.
    arguments_bytes: usize,
}

impl Work for Scheduled {
    fn lateness(&self) -> Lateness {
        let made_up = match self.config.misfire {
            Misfire::Skip => 0,
            Misfire::Once => 1,
            Misfire::All => self.config.catch_up_max,
        };
        Lateness { missed_after: MISSED_AFTER, made_up }
    }

    fn at_once(&self, inbox: &Inbox) -> usize {
        // What a script answered is kept before it is asked again.
        if self.config.arguments_from.is_some() { 1 } else { inbox.events_max.min(DELIVERY_BYTES / self.arguments_bytes.max(1)) }
    }

    fn make<'a>(&'a self, decisions: &'a [Decision], inbox: &'a Inbox) -> BoxFuture<'a, Result<Made, ListenError>> {
        Box::pin(async move {
            let mut events = Vec::with_capacity(decisions.len());
            for decision in decisions {
                events.push(self.event(decision, inbox).await?);
            }
            Ok(Made { events, adopts_state_of: None })
        })
    }
}

impl Scheduled {
    async fn event(&self, decision: &Decision, inbox: &Inbox) -> Result<NewEvent, ListenError> {
        let facts = self.timing.facts(decision);
        let metadata = json(&facts)?;
        let arguments = arguments::filled(&self.config.arguments, &facts);
        // Without any, the event has no payload.
        let payload = if arguments.is_empty() { Bytes::new() } else { json(&arguments)?.as_str().to_owned().into() };
        let event = decision.event(metadata, payload);
        if decision.skip.is_some() {
            return Ok(event);
        }
        let event = NewEvent { overlap: self.config.overlap.into(), ..event };
        match &self.config.arguments_from {
            Some(path) => asked(path, event, inbox).await,
            None => Ok(event),
        }
    }
}

/// The event with the arguments that a script made for it, or skipped because it made none.
async fn asked(path: &ScriptPath, event: NewEvent, inbox: &Inbox) -> Result<NewEvent, ListenError> {
    // Its own run is another one than that of the instant.
    let question = NewEvent { dedup_key: None, overlap: Overlaps::Allow, ..event.clone() };
    let answered = inbox.host().ask(Ask { path: path.clone(), event: question, stages_state: false, wait_max: ASK_MAX }).await?;
    let skipped = |reason: String| Ok(NewEvent { skip: Some(reason), overlap: Overlaps::Allow, ..event.clone() });
    match Returned::of(path, &answered) {
        Returned::Json(text) if text.is_object() => Ok(NewEvent { payload: text.as_str().to_owned().into(), ..event }),
        Returned::Json(text) if text.as_str().trim() == "null" => skipped(format!("{path} returned null: nothing is to be done")),
        Returned::Json(_) => skipped(format!("{path} returned no object of arguments (run {})", answered.run)),
        Returned::Nothing => skipped(format!("{path} was skipped: nothing is to be done")),
        Returned::Fault(fault) => skipped(fault),
        Returned::Again(fault) => Err(ListenError::Transient(fault)),
    }
}

/// JSON of what has a JSON form.
pub(crate) fn json<T: serde::Serialize + ?Sized>(value: &T) -> Result<JsonText, ListenError> {
    JsonText::of(value).map_err(|error| ListenError::Transient(error.to_string()))
}

#[cfg(test)]
mod tests;
