//! The instants of a cron expression in a time zone.
//!
//! The expression is looked for on a clock on the wall. One that fires in every hour follows real time: an hour that the clock leaves out has no instants, one
//! that it shows twice has them twice. Any other fires once for each time that the clock shows, at the first moment at which it shows this time
//! or a later one: a time in an hour that is left out fires at the end of the gap, one in an hour that is shown twice in the first of both.

use chrono::{DateTime, MappedLocalTime, NaiveDateTime, TimeZone as _, Utc};
use chrono_tz::{GapInfo, Tz};
use croner::{Cron, CronComponent, parser::CronParser};
use sandmill_model::{Timestamp, trigger::ConfigError};

/// Bytes of an expression.
const EXPRESSION_BYTES_MAX: usize = 256;
/// Nothing after the year 4500 is looked for: the search ends at 5000.
const LATEST: Timestamp = Timestamp::from_micros(79_839_129_600_000_000);
const MICROS_PER_SECOND: i64 = 1_000_000;

pub(crate) struct Calendar {
    cron: Cron,
    zone: Tz,
    /// It fires in each hour of a day on which it fires.
    is_of_every_hour: bool,
}

impl Calendar {
    /// # Errors
    /// What is wrong with `/cron` or `/time_zone`.
    pub(crate) fn parse(expression: &str, zone: &str) -> Result<Self, ConfigError> {
        let unknown = |_| ConfigError::new("/time_zone", "no time zone of the IANA database, as `Europe/Zurich` is one");
        let zone: Tz = zone.parse().map_err(unknown)?;
        let cron = parse(expression).map_err(|fault| ConfigError::new("/cron", fault))?;
        let is_of_every_hour = cron.pattern.hours.values().len() == 24;
        Ok(Self { cron, zone, is_of_every_hour })
    }

    /// The first instant after `at`. None: there is none any more.
    pub(crate) fn after(&self, at: Timestamp) -> Option<Timestamp> {
        // Instants are whole seconds: what is after a moment within a second is after that second.
        let at = self.zoned(at.max(Timestamp::default()).micros().div_euclid(MICROS_PER_SECOND))?;
        if self.is_of_every_hour {
            return self.cron.find_next_occurrence(&at, false).ok().map(|found| stamp(&found));
        }
        let mut wall = at.naive_local();
        loop {
            wall = self.cron.find_next_occurrence(&wall, false).ok()?;
            // What a clock shows for the second time was there before.
            let found = self.first_at(wall)?;
            if found > at {
                return Some(stamp(&found));
            }
        }
    }

    /// The last instant before `at`, not before 1970.
    pub(crate) fn before(&self, at: Timestamp) -> Option<Timestamp> {
        let seconds = at.micros().checked_add(MICROS_PER_SECOND - 1)?.div_euclid(MICROS_PER_SECOND);
        let at = self.zoned(seconds)?;
        let found = if self.is_of_every_hour {
            self.cron.find_previous_occurrence(&at, false).ok()?
        } else {
            let mut wall = self.furthest_before(&at)?;
            loop {
                wall = self.cron.find_previous_occurrence(&wall, false).ok()?;
                let found = self.first_at(wall)?;
                if found < at {
                    break found;
                }
            }
        };
        Some(stamp(&found)).filter(|found| *found >= Timestamp::default())
    }

    /// As the clock on the wall shows it, with its offset.
    pub(crate) fn local(&self, at: Timestamp) -> Option<DateTime<Tz>> {
        self.zoned(at.micros().div_euclid(MICROS_PER_SECOND))
    }

    pub(crate) fn zone_name(&self) -> &'static str {
        self.zone.name()
    }

    /// The first moment at which the clock shows `wall` or later.
    fn first_at(&self, wall: NaiveDateTime) -> Option<DateTime<Tz>> {
        match self.zone.from_local_datetime(&wall) {
            MappedLocalTime::Single(at) => Some(at),
            MappedLocalTime::Ambiguous(one, other) => Some(one.min(other)),
            MappedLocalTime::None => GapInfo::new(&wall, &self.zone)?.end,
        }
    }

    /// The furthest that the clock has been before `at`: in the second half of an hour that it shows twice that is further than what it shows.
    fn furthest_before(&self, at: &DateTime<Tz>) -> Option<NaiveDateTime> {
        let wall = at.naive_local();
        match self.zone.from_local_datetime(&wall) {
            MappedLocalTime::Ambiguous(one, other) if *at >= one.max(other) => {
                wall.checked_add_signed(one.max(other).signed_duration_since(one.min(other)))
            }
            _ => Some(wall),
        }
    }

    fn zoned(&self, seconds: i64) -> Option<DateTime<Tz>> {
        let is_searched = (0..=LATEST.micros() / MICROS_PER_SECOND).contains(&seconds);
        DateTime::from_timestamp(seconds, 0).filter(|_| is_searched).map(|at| at.with_timezone(&self.zone))
    }
}

fn stamp(at: &DateTime<Tz>) -> Timestamp {
    Timestamp::from_micros(at.timestamp_micros())
}

/// What the parser says quotes the expression, which may come from a secret; so does nothing here.
fn parse(expression: &str) -> Result<Cron, String> {
    if expression.len() > EXPRESSION_BYTES_MAX {
        return Err(format!("a cron expression has at most {EXPRESSION_BYTES_MAX} bytes"));
    }
    let cron = CronParser::new().parse(expression).map_err(|_| what_is_wrong(expression))?;
    // A field like `,` is read as one without values, and is looked for second by second until the year 5000.
    let pattern = &cron.pattern;
    let fields =
        [&pattern.seconds, &pattern.minutes, &pattern.hours, &pattern.days, &pattern.months, &pattern.days_of_week, &pattern.years];
    let is_empty = |field: &CronComponent| field.values().is_empty() && !field.has_modifiers();
    if fields.into_iter().any(is_empty) {
        return Err("a field of the cron expression has no value".to_owned());
    }
    if cron.find_next_occurrence(&DateTime::<Utc>::UNIX_EPOCH.naive_utc(), true).is_err() {
        return Err("there is no such day: it would never fire".to_owned());
    }
    Ok(cron)
}

/// Which field it is, without saying what is there.
fn what_is_wrong(expression: &str) -> String {
    const NAMES: [&str; 7] = ["seconds", "minutes", "hours", "days of the month", "months", "weekdays", "years"];
    let fields: Vec<&str> = expression.split_whitespace().collect();
    let names = match fields.len() {
        5 => &NAMES[1..6],
        6 => &NAMES[..6],
        7 => &NAMES[..],
        _ => {
            return format!(
                "a cron expression has five fields (minutes, hours, days of the month, months, weekdays), six with seconds before them, seven \
                 with years after them, or is one of @hourly, @daily, @weekly, @monthly and @yearly; this one has {} fields",
                fields.len()
            );
        }
    };
    let parses_alone = |index: usize| {
        let alone: Vec<&str> = (0..fields.len()).map(|other| if other == index { fields[index] } else { "*" }).collect();
        CronParser::new().parse(&alone.join(" ")).is_ok()
    };
    match (0..fields.len()).find(|index| !parses_alone(*index)) {
        Some(index) => format!("the field of {} of the cron expression is none", names[index]),
        None => "it is no cron expression".to_owned(),
    }
}

#[cfg(test)]
mod tests;
