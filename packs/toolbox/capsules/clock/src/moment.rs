//! Moments: read, moved between zones, compared and written.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SpanRound, Timestamp, ToSpan as _, Unit, Zoned};
use refusal::Refusal;
use serde::Serialize;

/// A moment, in every form that is likely to be wanted.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Moment {
    /// RFC 3339 with the zone's offset.
    pub time: String,
    /// The same moment in UTC.
    pub utc: String,
    /// The zone's IANA name, or its offset.
    pub zone: String,
    /// `Monday` to `Sunday`.
    pub weekday: String,
    /// Day of the year, from 1.
    pub day_of_year: i16,
    /// ISO 8601 week, such as `2026-W14`.
    pub iso_week: String,
    /// Seconds since 1970-01-01 UTC.
    pub unix: i64,
}

/// How far two moments are apart.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// In calendar units, for people: `1 year, 2 months, 3 days`.
    pub text: String,
    /// Whole days on the calendar, negative when `to` is before `from`.
    pub days: i64,
    /// Monday to Friday in between: `from` counts, `to` does not.
    pub weekdays: i64,
    /// Exact seconds.
    pub seconds: i64,
}

/// A span to add, in calendar units. Negative numbers go back.
#[derive(Debug, Clone, Copy, Default)]
pub struct Step {
    /// Years.
    pub years: i64,
    /// Months.
    pub months: i64,
    /// Weeks.
    pub weeks: i64,
    /// Days.
    pub days: i64,
    /// Hours.
    pub hours: i64,
    /// Minutes.
    pub minutes: i64,
    /// Seconds.
    pub seconds: i64,
}

/// More weekdays than this are not counted one by one.
const MAX_DAYS: i64 = 4_000_000;

/// Finds a zone by its IANA name; `UTC` and offsets such as `+02:00` are zones too.
pub fn zone(name: &str) -> Result<TimeZone, Refusal> {
    let name = name.trim();
    if let Ok(zone) = jiff::fmt::temporal::DateTimeParser::new().parse_time_zone(name) {
        return Ok(zone);
    }
    let near = find_zones(name, 3);
    let hint = if near.is_empty() {
        "`find_time_zone` finds a city's zone".to_owned()
    } else {
        format!("did you mean {}?", near.join(", "))
    };
    Err(refuse(format!("`{name}` is not a time zone; {hint}")))
}

/// Names of zones that contain every word of `query`, at most `most`.
pub fn find_zones(query: &str, most: usize) -> Vec<String> {
    let plain = |text: &str| text.to_lowercase().replace(['_', '/', '-'], " ");
    let words: Vec<String> = plain(query).split_whitespace().map(str::to_owned).collect();
    jiff::tz::db()
        .available()
        .map(|name| name.to_string())
        .filter(|name| {
            let name = plain(name);
            words.iter().all(|word| name.contains(word.as_str()))
        })
        .take(most)
        .collect()
}

/// Reads a time: RFC 3339, a date and time without a zone (then `default` is its zone), a date (its
/// first moment), or seconds since 1970.
pub fn read(text: &str, default: &TimeZone) -> Result<Zoned, Refusal> {
    let text = text.trim();
    if let Ok(zoned) = text.parse::<Zoned>() {
        return Ok(zoned);
    }
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Ok(moment.to_zoned(default.clone()));
    }
    if let Ok(seconds) = text.parse::<i64>()
        && text.trim_start_matches('-').len() > 8
    {
        return Timestamp::from_second(seconds)
            .map(|moment| moment.to_zoned(default.clone()))
            .map_err(|error| refuse(format!("`{text}` is out of range: {error}")));
    }
    let civil = text
        .parse::<DateTime>()
        .or_else(|_| text.parse::<Date>().map(|date| date.at(0, 0, 0, 0)))
        .map_err(|_| {
            refuse(format!(
                "`{text}` is not a time; write 2026-03-31, 2026-03-31T14:30, 2026-03-31T14:30:00Z or \
                 seconds since 1970"
            ))
        })?;
    civil.to_zoned(default.clone()).map_err(|error| refuse(format!("`{text}` is out of range: {error}")))
}

/// The moment of a Unix time in milliseconds.
pub fn at(unix_ms: i64, zone: &TimeZone) -> Result<Zoned, Refusal> {
    Timestamp::from_millisecond(unix_ms)
        .map(|moment| moment.to_zoned(zone.clone()))
        .map_err(|error| refuse(format!("the host's clock is out of range: {error}")))
}

/// Every form of a moment.
pub fn describe(moment: &Zoned) -> Moment {
    let week = moment.date().iso_week_date();
    Moment {
        time: rfc3339(moment),
        utc: moment.timestamp().to_string(),
        zone: moment.time_zone().iana_name().map_or_else(|| moment.offset().to_string(), str::to_owned),
        weekday: format!("{:?}", moment.weekday()),
        day_of_year: moment.date().day_of_year(),
        iso_week: format!("{}-W{:02}", week.year(), week.week()),
        unix: moment.timestamp().as_second(),
    }
}

/// Writes a moment by a pattern of `strftime`.
pub fn format(moment: &Zoned, pattern: &str) -> Result<String, Refusal> {
    jiff::fmt::strtime::format(pattern, moment).map_err(|error| {
        refuse(format!("the pattern `{pattern}` can't be used: {error}; an example is `%A, %d %B %Y %H:%M`"))
    })
}

/// Moves a moment by calendar units, in its own zone: a day later is the same time on the clock.
pub fn add(moment: &Zoned, step: Step) -> Result<Zoned, Refusal> {
    let too_far = |error: jiff::Error| refuse(format!("the result is out of range: {error}"));
    let span = jiff::Span::new()
        .try_years(step.years)
        .and_then(|span| span.try_months(step.months))
        .and_then(|span| span.try_weeks(step.weeks))
        .and_then(|span| span.try_days(step.days))
        .and_then(|span| span.try_hours(step.hours))
        .and_then(|span| span.try_minutes(step.minutes))
        .and_then(|span| span.try_seconds(step.seconds));
    match span {
        Ok(span) => moment.checked_add(span).map_err(too_far),
        // Years forward and days back, for example: one unit after the other.
        Err(error) => Err(too_far(error)),
    }
}

/// How far `to` is from `from`.
pub fn difference(from: &Zoned, to: &Zoned) -> Result<Difference, Refusal> {
    let too_far = |error: jiff::Error| refuse(format!("the times are too far apart: {error}"));
    // The same zone on both sides, or a calendar difference means nothing.
    let to = to.with_time_zone(from.time_zone().clone());
    let span = from.until((Unit::Year, &to)).map_err(too_far)?;
    let span = span
        .round(SpanRound::new().smallest(Unit::Second).largest(Unit::Year).relative(from))
        .map_err(too_far)?;
    let days = i64::from(from.date().until((Unit::Day, to.date())).map_err(too_far)?.get_days());
    Ok(Difference {
        text: in_words(span),
        days,
        weekdays: weekdays(from.date(), days)?,
        seconds: to.timestamp().as_second() - from.timestamp().as_second(),
    })
}

fn weekdays(from: Date, days: i64) -> Result<i64, Refusal> {
    if days.abs() > MAX_DAYS {
        return Err(refuse("the times are too far apart".to_owned()));
    }
    let (sign, count) = (days.signum(), days.abs());
    // Whole weeks have five; what is left is counted day by day.
    let mut found = count / 7 * 5;
    for index in 0..count % 7 {
        let offset = if sign < 0 { -index - 1 } else { index };
        let day = from
            .checked_add(offset.days())
            .map_err(|error| refuse(format!("the days are out of range: {error}")))?;
        if day.weekday().to_monday_one_offset() <= 5 {
            found += 1;
        }
    }
    Ok(found * sign)
}

fn in_words(span: jiff::Span) -> String {
    let units = [
        (i64::from(span.get_years()), "year"),
        (i64::from(span.get_months()), "month"),
        (i64::from(span.get_weeks()), "week"),
        (i64::from(span.get_days()), "day"),
        (i64::from(span.get_hours()), "hour"),
        (span.get_minutes(), "minute"),
        (span.get_seconds(), "second"),
    ];
    let parts: Vec<String> = units
        .iter()
        .filter(|(count, _)| *count != 0)
        .map(|(count, unit)| {
            let plural = if count.abs() == 1 { "" } else { "s" };
            format!("{} {unit}{plural}", count.abs())
        })
        .collect();
    match (parts.is_empty(), span.is_negative()) {
        (true, _) => "no time".to_owned(),
        (false, true) => format!("{} before", parts.join(", ")),
        (false, false) => parts.join(", "),
    }
}

fn rfc3339(moment: &Zoned) -> String {
    let text = moment.to_string();
    // The bracketed zone name is not part of RFC 3339.
    text.split('[').next().unwrap_or(&text).to_owned()
}

fn refuse(message: String) -> Refusal {
    Refusal::new(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_in(text: &str, name: &str) -> Zoned {
        read(text, &zone(name).unwrap()).unwrap()
    }

    #[test]
    fn every_form_of_a_time_is_read() {
        let wanted = "2026-03-31T12:30:00Z";
        for text in [
            "2026-03-31T12:30:00Z",
            "2026-03-31T14:30:00+02:00",
            "2026-03-31T14:30",
            "2026-03-31 14:30:00",
            "2026-03-31T14:30[Europe/Berlin]",
            "1774960200",
        ] {
            assert_eq!(read_in(text, "Europe/Berlin").timestamp().to_string(), wanted, "{text}");
        }
        assert_eq!(read_in("2026-03-31", "UTC").timestamp().to_string(), "2026-03-31T00:00:00Z");
        assert!(read("next Tuesday", &TimeZone::UTC).is_err());
    }

    #[test]
    fn zones_are_found_and_misspellings_helped() {
        assert!(zone("europe/berlin").is_ok() && zone("+05:30").is_ok() && zone("UTC").is_ok());
        let error = zone("Berlin").unwrap_err().to_string();
        assert!(error.contains("Europe/Berlin"), "{error}");
        assert!(find_zones("new york", 5).contains(&"America/New_York".to_owned()));
    }

    #[test]
    fn a_moment_moves_between_zones() {
        let berlin = read_in("2026-07-01T12:00", "Europe/Berlin");
        let tokyo = describe(&berlin.with_time_zone(zone("Asia/Tokyo").unwrap()));
        assert_eq!(tokyo.time, "2026-07-01T19:00:00+09:00");
        assert_eq!((tokyo.weekday.as_str(), tokyo.iso_week.as_str()), ("Wednesday", "2026-W27"));
    }

    #[test]
    fn a_day_later_is_the_same_time_on_the_clock() {
        let before_the_change = read_in("2026-03-28T12:00", "Europe/Berlin");
        let after = add(&before_the_change, Step { days: 1, ..Step::default() }).unwrap();
        assert_eq!(describe(&after).time, "2026-03-29T12:00:00+02:00");
        let hours = add(&before_the_change, Step { hours: 24, ..Step::default() }).unwrap();
        assert_eq!(describe(&hours).time, "2026-03-29T13:00:00+02:00");
    }

    #[test]
    fn differences_count_calendar_days_weekdays_and_seconds() {
        let found = difference(&read_in("2026-01-01", "UTC"), &read_in("2026-03-04", "UTC")).unwrap();
        assert_eq!((found.text.as_str(), found.days, found.weekdays), ("2 months, 3 days", 62, 44));
        let back = difference(&read_in("2026-03-04", "UTC"), &read_in("2026-01-01", "UTC")).unwrap();
        assert_eq!((back.days, back.weekdays, back.seconds), (-62, -44, -62 * 86_400));
        let same = difference(&read_in("2026-01-01", "UTC"), &read_in("2026-01-01", "UTC")).unwrap();
        assert_eq!((same.text.as_str(), same.days), ("no time", 0));
    }

    #[test]
    fn patterns_write_and_wrong_ones_are_refused() {
        let moment = read_in("2026-03-31T14:30", "UTC");
        assert_eq!(format(&moment, "%A, %d %B %Y %H:%M").unwrap(), "Tuesday, 31 March 2026 14:30");
        assert!(format(&moment, "%").is_err());
    }

    #[test]
    fn out_of_range_denied() {
        let moment = read_in("2026-03-31", "UTC");
        assert!(add(&moment, Step { years: 100_000, ..Step::default() }).is_err());
        assert!(read("99999999999999", &TimeZone::UTC).is_err());
    }
}
