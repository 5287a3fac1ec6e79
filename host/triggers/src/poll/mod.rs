//! Polls: a script looks for what is new, and each item that it found starts a run of the target.
//!
//! The script keeps what it has seen in its state. That is kept apart until the runs of its items are durable, and moves in their transaction:
//! whatever dies in between, no item is lost. An item that is found again because of it is known by its id.

mod config;
mod items;

use std::time::Duration;

use bytes::Bytes;
use sandmill_model::{
    BoxFuture, JsonText, ScriptPath, Timestamp,
    predicate::check_pointer,
    trigger::{Answered, Ask, ConfigError, Inbox, ListenError, Listener, NewEvent, Shutdown},
};

use crate::schedule::{
    clockwork::{self, Made, Returned, Work},
    json,
    timing::{Decision, Lateness, Timing, When},
};
use config::{Config, Event};

/// How long the script may take, with what it waits for.
const ASK_MAX: Duration = Duration::from_secs(30 * 60);

pub(crate) struct Poll;

impl Listener for Poll {
    const KIND: &'static str = "poll";
    const SUMMARY: &'static str = "Starts a run for each new item that a script finds when it looks.";
    type Config = Config;
    type Event = Event;

    fn validate(config: &Config) -> Result<(), ConfigError> {
        timing(config).map(drop)
    }

    fn probe(config: Config) -> BoxFuture<'static, Result<(), ListenError>> {
        // Only a run of its script could tell more, and that changes something.
        Box::pin(async move { timing(&config).map(drop).map_err(ListenError::from) })
    }

    fn listen(config: Config, inbox: Inbox, stop: Shutdown) -> BoxFuture<'static, Result<(), ListenError>> {
        Box::pin(async move {
            let polled = Polled { timing: timing(&config)?, config };
            clockwork::run(&polled.timing, &polled, &inbox, &stop).await
        })
    }

    fn preview(config: &Config, after: Timestamp, limit: usize) -> Result<Vec<Timestamp>, ConfigError> {
        Ok(timing(config)?.preview(after, limit))
    }

    fn asks(config: &Config) -> Vec<ScriptPath> {
        vec![config.script.clone()]
    }
}

fn timing(config: &Config) -> Result<Timing, ConfigError> {
    for (name, pointer) in [("/items", Some(&config.items)), ("/id", config.id.as_ref())] {
        // What is wrong with it would be told with what it is, which may come from a secret.
        if pointer.is_some_and(|pointer| check_pointer(pointer).is_err()) {
            return Err(ConfigError::new(name, "no JSON pointer: it starts with `/`, e.g. `/customer/id`, and has at most 256 characters"));
        }
    }
    Timing::of(&When {
        cron: &config.cron,
        time_zone: &config.time_zone,
        jitter_ms: config.jitter_ms,
        window: &config.window,
        pause_until: config.pause_until.as_deref(),
    })
}

struct Polled {
    timing: Timing,
    config: Config,
}

impl Work for Polled {
    fn lateness(&self) -> Lateness {
        // Who looks once finds all that came meanwhile: of several that are late, also because the script takes long, the last one does.
        Lateness { missed_after: Duration::ZERO, made_up: 1 }
    }

    fn at_once(&self, _inbox: &Inbox) -> usize {
        1
    }

    fn make<'a>(&'a self, decisions: &'a [Decision], inbox: &'a Inbox) -> BoxFuture<'a, Result<Made, ListenError>> {
        Box::pin(async move {
            let mut made = Made::default();
            for decision in decisions {
                if decision.skip.is_some() {
                    made.events.push(self.bare(decision)?);
                } else {
                    let answered = self.ask(decision, inbox).await?;
                    made.events.extend(self.events(decision, &answered, inbox.events_max)?);
                    made.adopts_state_of = Some(answered.run);
                }
            }
            Ok(made)
        })
    }
}

impl Polled {
    /// An event of the instant, without an item.
    fn bare(&self, decision: &Decision) -> Result<NewEvent, ListenError> {
        let event = Event { instant: self.timing.facts(decision), polled_by: None, index: None, item_id: None };
        Ok(decision.event(json(&event)?, Bytes::new()))
    }

    async fn ask(&self, decision: &Decision, inbox: &Inbox) -> Result<Answered, ListenError> {
        let Config { script, arguments, .. } = &self.config;
        let payload = if arguments.is_empty() { String::new() } else { json(arguments)?.as_str().to_owned() };
        let event = NewEvent { payload: payload.into(), dedup_key: None, ..self.bare(decision)? };
        inbox.host().ask(Ask { path: script.clone(), event, stages_state: true, wait_max: ASK_MAX }).await
    }

    /// One for each item; if there is none, the record that nothing is new. More than `events_max` are several deliveries, and the state moves with the
    /// last: what comes again because that failed must be known.
    fn events(&self, decision: &Decision, answered: &Answered, events_max: usize) -> Result<Vec<NewEvent>, ListenError> {
        let Config { script, items: pointer, .. } = &self.config;
        let fault = |fault: String| ListenError::Transient(format!("{script}: {fault} (run {})", answered.run));
        let items = match Returned::of(script, answered) {
            Returned::Json(text) => items::found(&text, pointer).map_err(fault)?,
            Returned::Nothing => Vec::new(),
            // It is asked again after a while, as long as it fails: what it looks for is not lost.
            Returned::Fault(fault) | Returned::Again(fault) => return Err(ListenError::Transient(fault)),
        };
        if items.is_empty() {
            return Ok(vec![NewEvent { skip: Some("nothing is new".to_owned()), ..self.bare(decision)? }]);
        }
        let instant = self.timing.facts(decision);
        let mut event = Event { instant, polled_by: Some(answered.run.to_string()), index: None, item_id: None };
        let of_item = |(index, item): (usize, JsonText)| -> Result<NewEvent, ListenError> {
            event.index = Some(index);
            event.item_id = self.config.id.as_deref().and_then(|pointer| items::id(&item, pointer));
            let dedup_key = event.item_id.as_ref().map(|id| format!("item {id}"));
            Ok(NewEvent { dedup_key, ..decision.event(json(&event)?, item.as_str().to_owned()) })
        };
        let events = items.into_iter().enumerate().map(of_item).collect::<Result<Vec<_>, _>>()?;
        if events.len() > events_max && events.iter().any(|event| event.dedup_key.is_none()) {
            let found = events.len();
            let what = format!(
                "it found {found} items: more than {events_max} at once need ids (`id` of the config), or let it return the first of them"
            );
            return Err(fault(what));
        }
        Ok(events)
    }
}

#[cfg(test)]
mod tests;
