//! Dates and times for an agent, computed with the real rules of every time zone.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod moment;

use std::time::UNIX_EPOCH;

use astrid_sdk::prelude::*;
use jiff::tz::TimeZone;
use moment::{Difference, Moment, Step};
use refusal::Refusal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const MAX_ZONES: usize = 50;

/// Arguments of `now`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Now {
    /// An IANA time zone such as `Asia/Tokyo`, or an offset such as `+02:00`. Default: the configured one.
    pub zone: Option<String>,
}

/// Arguments of `convert_time`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Convert {
    /// The time: `2026-03-31T14:30`, `2026-03-31T14:30:00Z`, `2026-03-31`, or seconds since 1970.
    pub time: String,
    /// The zone to convert to.
    pub to: String,
    /// The zone of `time` when it names none. Default: the configured one.
    pub from: Option<String>,
}

/// Arguments of `date_difference`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Between {
    /// The first date or time.
    pub from: String,
    /// The second date or time. Default: now.
    pub to: Option<String>,
    /// The zone of times that name none. Default: the configured one.
    pub zone: Option<String>,
}

/// Arguments of `add_to_date`. Negative numbers go back.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AddTo {
    /// The date or time to start from. Default: now.
    pub time: Option<String>,
    /// Years to add.
    pub years: i64,
    /// Months to add. The last day of a month stays within its month.
    pub months: i64,
    /// Weeks to add.
    pub weeks: i64,
    /// Days to add: the same time on the clock, also when the clocks change.
    pub days: i64,
    /// Hours to add.
    pub hours: i64,
    /// Minutes to add.
    pub minutes: i64,
    /// Seconds to add.
    pub seconds: i64,
    /// The zone of `time` when it names none. Default: the configured one.
    pub zone: Option<String>,
}

/// Arguments of `format_time`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Format {
    /// A pattern of strftime, for example `%A, %d %B %Y %H:%M`.
    pub pattern: String,
    /// The date or time. Default: now.
    pub time: Option<String>,
    /// The zone to write it in. Default: the configured one.
    pub zone: Option<String>,
}

/// Arguments of `find_time_zone`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FindZone {
    /// A city or a region, for example `sao paulo`.
    pub query: String,
}

/// Answer of `format_time`.
#[derive(Debug, Serialize)]
pub struct Formatted {
    text: String,
}

/// Answer of `find_time_zone`.
#[derive(Debug, Serialize)]
pub struct Zones {
    zones: Vec<String>,
}

/// The capsule.
#[derive(Debug, Default)]
pub struct Clock;

/// Dates, times and time zones, computed exactly.
#[capsule]
impl Clock {
    /// Say what time and date it is now, with the weekday, the ISO week and the Unix time.
    #[astrid::tool("now")]
    pub fn now(&self, args: Now) -> Result<Moment, Refusal> {
        Ok(moment::describe(&now_in(&zone_or_configured(args.zone.as_deref())?)?))
    }

    /// Convert a time from one time zone to another.
    #[astrid::tool("convert_time")]
    pub fn convert_time(&self, args: Convert) -> Result<Moment, Refusal> {
        let time = moment::read(&args.time, &zone_or_configured(args.from.as_deref())?)?;
        Ok(moment::describe(&time.with_time_zone(moment::zone(&args.to)?)))
    }

    /// Say how far two dates or times are apart: in words, in calendar days, in weekdays (Monday to
    /// Friday) and in seconds.
    #[astrid::tool("date_difference")]
    pub fn date_difference(&self, args: Between) -> Result<Difference, Refusal> {
        let zone = zone_or_configured(args.zone.as_deref())?;
        let from = moment::read(&args.from, &zone)?;
        moment::difference(&from, &time_or_now(args.to.as_deref(), &zone)?)
    }

    /// Add years, months, days or hours to a date or time, or take them away.
    #[astrid::tool("add_to_date")]
    pub fn add_to_date(&self, args: AddTo) -> Result<Moment, Refusal> {
        let zone = zone_or_configured(args.zone.as_deref())?;
        let step = Step {
            years: args.years,
            months: args.months,
            weeks: args.weeks,
            days: args.days,
            hours: args.hours,
            minutes: args.minutes,
            seconds: args.seconds,
        };
        Ok(moment::describe(&moment::add(&time_or_now(args.time.as_deref(), &zone)?, step)?))
    }

    /// Write a date or time by a pattern of strftime.
    #[astrid::tool("format_time")]
    pub fn format_time(&self, args: Format) -> Result<Formatted, Refusal> {
        let zone = zone_or_configured(args.zone.as_deref())?;
        let time = time_or_now(args.time.as_deref(), &zone)?.with_time_zone(zone);
        Ok(Formatted { text: moment::format(&time, &args.pattern)? })
    }

    /// Find the IANA name of a time zone by a city or a region.
    #[astrid::tool("find_time_zone")]
    pub fn find_time_zone(&self, args: FindZone) -> Result<Zones, Refusal> {
        let zones = moment::find_zones(&args.query, MAX_ZONES);
        if zones.is_empty() {
            return Err(Refusal::new(format!(
                "no time zone is called `{}`; try the nearest large city, in English",
                args.query
            )));
        }
        Ok(Zones { zones })
    }
}

fn zone_or_configured(name: Option<&str>) -> Result<TimeZone, Refusal> {
    if let Some(name) = name {
        return moment::zone(name);
    }
    let configured = env::var("TIME_ZONE")?;
    if configured.is_empty() { Ok(TimeZone::UTC) } else { moment::zone(&configured) }
}

fn now_in(zone: &TimeZone) -> Result<jiff::Zoned, Refusal> {
    let since = time::now()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    moment::at(i64::try_from(since.as_millis()).unwrap_or_default(), zone)
}

fn time_or_now(text: Option<&str>, zone: &TimeZone) -> Result<jiff::Zoned, Refusal> {
    match text {
        Some(text) => moment::read(text, zone),
        None => now_in(zone),
    }
}
