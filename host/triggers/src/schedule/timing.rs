//! When a trigger is due, and what becomes of instants that have come: the part of a schedule that every kind with one has.

use std::time::Duration;

use sandmill_model::{
    Digest, JsonText, Timestamp,
    trigger::{ConfigError, Cursor, NewEvent},
};
use serde::{Deserialize, Serialize};

use super::{
    calendar::Calendar,
    config::{Event, Window},
};

/// The longest jitter.
const JITTER_MAX: Duration = Duration::from_secs(24 * 3600);
/// Instants that are decided one by one after a time in which nobody did; those before them are one record.
pub(crate) const RECORDS_MAX: usize = 1_000;
/// A cursor that is further ahead was written by a clock that went wrong.
const AHEAD_MAX: Duration = Duration::from_secs(24 * 3600);

/// What configs say of it.
pub(crate) struct When<'a> {
    pub(crate) cron: &'a str,
    pub(crate) time_zone: &'a str,
    pub(crate) jitter_ms: u64,
    pub(crate) window: &'a Window,
    pub(crate) pause_until: Option<&'a str>,
}

pub(crate) struct Timing {
    calendar: Calendar,
    jitter: Duration,
    from: Option<Timestamp>,
    until: Option<Timestamp>,
    pause_until: Option<Timestamp>,
    /// Of which instants there are: with another, what was missed by this is nothing.
    name: String,
}

/// What becomes of instants that are late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lateness {
    /// An instant for which nothing was started so long after it was due is missed.
    pub(crate) missed_after: Duration,
    /// So many of those run, the last ones.
    pub(crate) made_up: usize,
}

/// What becomes of an instant that has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Decision {
    pub(crate) at: Timestamp,
    /// It stands for all from here on.
    pub(crate) since: Option<Timestamp>,
    /// Why nothing runs.
    pub(crate) skip: Option<String>,
}

/// As cursors hold it.
#[derive(Serialize, Deserialize)]
struct Place {
    /// Microseconds: all instants up to it are decided.
    through: i64,
    of: String,
}

impl Timing {
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn of(when: &When<'_>) -> Result<Self, ConfigError> {
        let calendar = Calendar::parse(when.cron, when.time_zone)?;
        let jitter = Duration::from_millis(when.jitter_ms);
        if jitter > JITTER_MAX {
            return Err(ConfigError::new("/jitter_ms", format!("it is at most {}", JITTER_MAX.as_millis())));
        }
        let from = time(when.window.from.as_deref(), "/window/from")?;
        let until = time(when.window.until.as_deref(), "/window/until")?;
        if from.zip(until).is_some_and(|(from, until)| from >= until) {
            return Err(ConfigError::new("/window", "it ends before it begins"));
        }
        let pause_until = time(when.pause_until, "/pause_until")?;
        let bounds = format!("{from:?} {until:?}");
        // A digest: what is said of it may come from a secret.
        let name = Digest::of_parts(&[when.cron.trim().as_bytes(), when.time_zone.as_bytes(), bounds.as_bytes()]).to_string();
        Ok(Self { calendar, jitter, from, until, pause_until, name })
    }

    /// The first instant after `at`.
    pub(crate) fn after(&self, at: Timestamp) -> Option<Timestamp> {
        let at = self.from.map_or(at, |from| at.max(just_before(from)));
        self.calendar.after(at).filter(|found| self.until.is_none_or(|until| *found < until))
    }

    /// The last instant before `at`.
    pub(crate) fn before(&self, at: Timestamp) -> Option<Timestamp> {
        let at = self.until.map_or(at, |until| at.min(until));
        self.calendar.before(at).filter(|found| self.from.is_none_or(|from| *found >= from))
    }

    /// The next instants after `after` for which something runs.
    pub(crate) fn preview(&self, after: Timestamp, limit: usize) -> Vec<Timestamp> {
        let after = self.pause_until.map_or(after, |until| after.max(just_before(until)));
        std::iter::successors(self.after(after), |last| self.after(*last)).take(limit.min(RECORDS_MAX)).collect()
    }

    /// When an instant of the trigger with this id is due: with jitter, which is the same on every node, and never reaches the next instant.
    pub(crate) fn due(&self, id: &str, instant: Timestamp) -> Timestamp {
        if self.jitter.is_zero() {
            return instant;
        }
        let room = self.after(instant).map_or(self.jitter, |next| self.jitter.min(next.since(instant)));
        let digest = Digest::of_parts(&[id.as_bytes(), &instant.micros().to_be_bytes()]);
        let chance = digest.as_bytes().iter().take(8).fold(0_u64, |chance, byte| (chance << 8) | u64::from(*byte));
        let room_micros = u64::try_from(room.as_micros()).unwrap_or(u64::MAX);
        instant.plus(Duration::from_micros(chance.checked_rem(room_micros).unwrap_or(0)))
    }

    /// What becomes of all that came after `through` and is due by `now`, in their order. None is left out.
    pub(crate) fn decide(&self, (through, now): (Timestamp, Timestamp), id: &str, lateness: Lateness) -> Vec<Decision> {
        let (mut latest, mut older) = (Vec::new(), None);
        let mut at = now.plus(Duration::from_micros(1));
        while let Some(instant) = self.before(at).filter(|instant| *instant > through) {
            at = instant;
            if latest.len() == RECORDS_MAX {
                older = Some(instant);
                break;
            }
            let due = self.due(id, instant);
            if due <= now {
                latest.push((instant, due));
            }
        }
        latest.reverse();
        let is_paused = |instant: Timestamp| self.pause_until.is_some_and(|until| instant < until);
        let is_missed = |(instant, due): (Timestamp, Timestamp)| !is_paused(instant) && now.since(due) > lateness.missed_after;
        let mut given_up = latest.iter().filter(|one| is_missed(**one)).count().saturating_sub(lateness.made_up);
        let mut decisions = Vec::with_capacity(latest.len() + 1);
        if let Some(last) = older {
            let first = self.after(through).unwrap_or(last);
            let skip = format!("missed: all from {first} to {last}, more than are recorded one by one");
            decisions.push(Decision { at: last, since: Some(first), skip: Some(skip) });
        }
        for (instant, due) in latest {
            let skip = if is_paused(instant) {
                self.pause_until.map(|until| format!("the trigger is paused until {until}"))
            } else if given_up > 0 && is_missed((instant, due)) {
                given_up -= 1;
                Some("missed: nothing could be started when it was due".to_owned())
            } else {
                None
            };
            decisions.push(Decision { at: instant, since: None, skip });
        }
        decisions
    }

    /// From where on instants are to be decided. What was missed by another expression is nothing: a new one holds from now on.
    pub(crate) fn begins(&self, cursor: Option<&Cursor>, now: Timestamp) -> Timestamp {
        let place = cursor.and_then(|cursor| cursor.0.read::<Place>().ok());
        let place = place.map(|place| (Timestamp::from_micros(place.through), place.of));
        match place.filter(|(through, _)| through.since(now) <= AHEAD_MAX) {
            Some((through, of)) if of == self.name => through,
            Some((through, _)) => through.max(now),
            None => now,
        }
    }

    pub(crate) fn cursor(&self, through: Timestamp) -> Cursor {
        // A struct of a number and a text has a JSON form.
        let place = JsonText::of(&Place { through: through.micros(), of: self.name.clone() });
        Cursor(place.unwrap_or_else(|_| JsonText::null()))
    }

    /// What is told of an instant.
    pub(crate) fn facts(&self, decision: &Decision) -> Event {
        let local = self.calendar.local(decision.at);
        Event {
            scheduled_for: decision.at.to_string(),
            local_time: local.map(|local| local.to_rfc3339()).unwrap_or_default(),
            time_zone: self.calendar.zone_name(),
            previous: self.before(decision.since.unwrap_or(decision.at)).map(|at| at.to_string()),
            next: self.after(decision.at).map(|at| at.to_string()),
            skipped_since: decision.since.map(|since| since.to_string()),
        }
    }
}

impl Decision {
    pub(crate) const fn run(at: Timestamp) -> Self {
        Self { at, since: None, skip: None }
    }

    /// An event of it, by which it is known: no other run is of this instant.
    pub(crate) fn event(&self, metadata: JsonText, payload: impl Into<bytes::Bytes>) -> NewEvent {
        let key = match self.since {
            None => self.at.micros().to_string(),
            Some(since) => format!("{}-{}", since.micros(), self.at.micros()),
        };
        let event = NewEvent::new(metadata, payload.into());
        NewEvent { dedup_key: Some(key), occurred_at: Some(self.at), skip: self.skip.clone(), ..event }
    }
}

fn just_before(at: Timestamp) -> Timestamp {
    Timestamp::from_micros(at.micros().saturating_sub(1))
}

fn time(text: Option<&str>, pointer: &str) -> Result<Option<Timestamp>, ConfigError> {
    let parsed = text.map(str::parse::<Timestamp>).transpose();
    parsed.map_err(|fault| ConfigError::new(pointer, fault.to_string()))
}
