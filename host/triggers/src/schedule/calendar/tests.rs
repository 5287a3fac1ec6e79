use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn calendar(expression: &str, zone: &str) -> Calendar {
    Calendar::parse(expression, zone).unwrap_or_else(|fault| panic!("{expression} in {zone}: {fault}"))
}

/// All from `from` on, before `until`.
fn all(calendar: &Calendar, from: Timestamp, until: Timestamp) -> Vec<Timestamp> {
    let before = Timestamp::from_micros(from.micros() - 1);
    std::iter::successors(calendar.after(before), |last| calendar.after(*last)).take_while(|instant| *instant < until).collect()
}

#[test]
fn what_expressions_mean() {
    for (expression, zone, after, expected) in [
        ("0 0 L * *", "UTC", "2026-02-01T00:00:00Z", &["2026-02-28T00:00:00Z", "2026-03-31T00:00:00Z"][..]),
        ("0 9 15W * *", "UTC", "2026-08-01T00:00:00Z", &["2026-08-14T09:00:00Z"]),
        ("0 9 LW * *", "UTC", "2026-05-02T00:00:00Z", &["2026-05-29T09:00:00Z"]),
        ("0 9 * * MON#2", "UTC", "2026-01-01T00:00:00Z", &["2026-01-12T09:00:00Z"]),
        ("0 9 * * 5L", "UTC", "2026-01-01T00:00:00Z", &["2026-01-30T09:00:00Z"]),
        ("*/20 * * * * *", "UTC", "2026-01-01T00:00:00.000001Z", &["2026-01-01T00:00:20Z", "2026-01-01T00:00:40Z"]),
        ("0 0 0 29 2 * 2028", "UTC", "2026-01-01T00:00:00Z", &["2028-02-29T00:00:00Z"]),
        ("@daily", "America/New_York", "2026-01-01T00:00:00Z", &["2026-01-01T05:00:00Z"]),
        ("0 0 1 JAN SUN", "UTC", "2026-01-02T00:00:00Z", &["2026-01-04T00:00:00Z"]),
    ] {
        let calendar = calendar(expression, zone);
        let mut last = at(after);
        for expected in expected {
            last = calendar.after(last).unwrap();
            assert_eq!(last, at(expected), "{expression}");
        }
    }
    assert_eq!(calendar("0 0 0 29 2 * 2028", "UTC").after(at("2028-02-29T00:00:00Z")), None, "that was all");
}

/// In Zurich the clock leaves out 02:00 to 03:00 on 2026-03-29, and shows it twice on 2026-10-25.
#[test]
fn hours_that_are_left_out_and_hours_that_come_twice() {
    let zurich = "Europe/Zurich";
    for (expression, zone, after, expected) in [
        // Once a day: at the end of the gap, in the first of both hours.
        ("30 2 * * *", zurich, "2026-03-28T12:00:00Z", &["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"][..]),
        ("30 2 * * *", zurich, "2026-10-24T12:00:00Z", &["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]),
        ("30 2 * * *", zurich, "2026-10-25T01:10:00Z", &["2026-10-26T01:30:00Z"]),
        // So does what names several hours, or steps over some.
        ("30 2,14 * * *", zurich, "2026-03-28T20:00:00Z", &["2026-03-29T01:00:00Z", "2026-03-29T12:30:00Z"]),
        ("0 */2 * * *", zurich, "2026-03-28T23:30:00Z", &["2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z"]),
        // What falls into the gap together, fires together; also with what is due at its end anyway.
        ("*/15 2,3 * * *", zurich, "2026-03-28T12:00:00Z", &["2026-03-29T01:00:00Z", "2026-03-29T01:15:00Z"]),
        // Each hour: real time.
        ("30 * * * *", zurich, "2026-03-29T00:00:00Z", &["2026-03-29T00:30:00Z", "2026-03-29T01:30:00Z"]),
        ("30 * * * *", zurich, "2026-10-24T23:45:00Z", &["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:30:00Z"]),
        // A gap that ends on another day, at midnight, and one of a whole day.
        ("30 23 * * SAT", "America/Nuuk", "2026-03-28T12:00:00Z", &["2026-03-29T01:00:00Z"]),
        ("0 0 * * *", "Africa/Cairo", "2026-04-23T12:00:00Z", &["2026-04-23T22:00:00Z", "2026-04-24T21:00:00Z"]),
        ("0 12 30 12 *", "Pacific/Apia", "2011-12-01T00:00:00Z", &["2011-12-30T10:00:00Z", "2012-12-29T22:00:00Z"]),
        // Half an hour.
        ("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00:00Z", &["2026-10-03T15:30:00Z"]),
    ] {
        let calendar = calendar(expression, zone);
        let mut last = at(after);
        for expected in expected {
            last = calendar.after(last).unwrap();
            assert_eq!(last, at(expected), "{expression} in {zone} after {after}");
        }
    }
}

#[test]
fn over_years_each_instant_is_found_from_both_sides() {
    let (from, until) = (at("2026-01-01T00:00:00Z"), at("2029-01-01T00:00:00Z"));
    for zone in ["UTC", "Europe/Zurich", "America/New_York", "Australia/Lord_Howe", "America/Nuuk", "Africa/Cairo", "Africa/Casablanca"] {
        for expression in ["30 2 * * *", "15 0,1,2,3,23 * * *", "30 * * * *", "0 */6 * * MON", "0 0 L * *", "5 4 29 2 *"] {
            let calendar = calendar(expression, zone);
            let forward = all(&calendar, from, until);
            assert!(forward.is_sorted_by(|one, next| one < next), "{expression} in {zone}");
            let mut backward: Vec<Timestamp> = std::iter::successors(calendar.before(until), |last| calendar.before(*last))
                .take_while(|instant| *instant >= from)
                .collect();
            backward.reverse();
            assert_eq!(forward, backward, "{expression} in {zone}");
        }
    }
    // Days of three years: none is left out, none comes twice.
    let nightly = all(&calendar("30 2 * * *", "Europe/Zurich"), at("2025-12-31T23:00:00Z"), at("2028-12-31T23:00:00Z"));
    assert_eq!(nightly.len(), 365 + 365 + 366);
    let hourly = all(&calendar("30 * * * *", "Europe/Zurich"), from, until);
    assert_eq!(hourly.len(), (365 + 365 + 366) * 24);
}

#[test]
fn before_a_moment_in_an_hour_that_comes_twice() {
    let calendar = calendar("*/30 2 * * *", "Europe/Zurich");
    let first = ["2026-10-25T00:00:00Z", "2026-10-25T00:30:00Z"].map(at);
    for moment in ["2026-10-25T01:00:00Z", "2026-10-25T01:10:00Z", "2026-10-25T01:59:59.5Z", "2026-10-25T02:00:00Z"] {
        assert_eq!(calendar.before(at(moment)), Some(first[1]), "{moment}");
        assert!(calendar.after(at(moment)).unwrap() > at("2026-10-25T12:00:00Z"), "{moment}");
    }
    assert_eq!(calendar.before(first[1]), Some(first[0]));
}

#[test]
fn wrong_expressions_are_told_without_being_quoted() {
    let long = format!("0 0 * * {}", "1,".repeat(200));
    for (expression, expected) in [
        ("", "this one has 0 fields"),
        ("hunter2", "this one has 1 fields"),
        ("0 0 * *", "this one has 4 fields"),
        ("60 0 * * *", "the field of minutes"),
        ("0 hunter2 * * *", "the field of hours"),
        ("0 0 0 32 * *", "the field of days of the month"),
        ("0 0 * hunter2 *", "the field of months"),
        ("0 0 * * 1#6", "the field of weekdays"),
        ("0 0 0 1 1 * 99999", "the field of years"),
        ("0/5 * * * *", "the field of minutes"),
        (", * * * *", "has no value"),
        (", * * * * *", "has no value"),
        ("0 0 30 2 *", "it would never fire"),
        ("0 0 1 1 * * 1969", "it would never fire"),
        (long.as_str(), "at most 256 bytes"),
    ] {
        let fault = Calendar::parse(expression, "UTC").map(drop).unwrap_err();
        assert_eq!(fault.pointer, "/cron", "{expression}");
        assert!(fault.message.contains(expected) && !fault.message.contains("hunter2"), "{expression}: {fault}");
    }
    for zone in ["", "Europe/Nowhere", "europe/zurich", "+02:00"] {
        assert_eq!(Calendar::parse("* * * * *", zone).map(drop).unwrap_err().pointer, "/time_zone", "{zone}");
    }
}

#[test]
fn times_out_of_reach_have_no_instants() {
    let calendar = calendar("* * * * *", "Asia/Tokyo");
    for micros in [i64::MAX, LATEST.micros() + 1_000_000] {
        assert_eq!(calendar.after(Timestamp::from_micros(micros)), None);
        assert_eq!(calendar.before(Timestamp::from_micros(micros)), None);
    }
    assert_eq!(calendar.after(Timestamp::from_micros(i64::MIN)), Some(at("1970-01-01T00:01:00Z")));
    assert_eq!(calendar.before(Timestamp::from_micros(i64::MIN)), None);
}
