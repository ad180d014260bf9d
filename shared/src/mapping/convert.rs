//! Conversions of one value. They take what other systems send (numbers as text, minor units, local times) and
//! give what documents hold: exact decimals, RFC 3339 in UTC, dates as `YYYY-MM-DD`.

use jiff::Timestamp;
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Context, Source, currency,
    fault::{Fault, cut, shown},
    number,
    path::Scope,
    source::text_of,
    time,
};
use crate::{FieldError, clock};

/// What is made of a value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Conversion {
    /// Text: numbers digit for digit, booleans as `true` and `false`.
    Text,
    /// A whole number: `12`, `"12"`, `12.00`; booleans as 1 and 0, which is what ERPNext's check fields hold.
    Integer,
    /// A decimal number, keeping every digit: `"10.50"` becomes `10.50`.
    Decimal,
    /// True or false: also `1`, `0`, and the texts `true`, `yes`, `on`, `1`, `false`, `no`, `off`, `0` in any case.
    Boolean,
    /// Text in small letters.
    Lowercase,
    /// Text in capitals.
    Uppercase,
    /// Text without white space around it.
    Trim,
    /// The date of a date or time, as it is written, whatever its zone: `2026-11-30`.
    Date,
    /// The instant of a time, as RFC 3339 in UTC with microseconds. What it reads: see
    /// [`resolve_local`](time::resolve_local).
    Datetime {
        /// IANA zone of times that do not say theirs, e.g. `Europe/Zurich`.
        time_zone: String,
    },
    /// Seconds since 1970, as RFC 3339 in UTC with microseconds.
    UnixTime,
    /// An amount in the currency's smallest unit (`1050`) as a decimal number (`10.50`), by ISO 4217.
    MinorUnits {
        /// The currency's code: `"/currency"` or `{"value": "CHF"}`.
        currency: Source,
    },
}

impl Conversion {
    pub(super) fn validate(&self, at: &str) -> Vec<FieldError> {
        match self {
            Self::Datetime { time_zone } if !time::is_zone(time_zone) => {
                let fault = Fault::invalid(format!("{:?} is no time zone", cut(time_zone)));
                vec![fault.at(format!("{at}/datetime/time_zone"))]
            }
            Self::MinorUnits { currency } => {
                let at = format!("{at}/minor_units/currency");
                match currency {
                    Source::Value { value } if value.as_str().and_then(currency::decimals).is_none() => {
                        vec![Fault::invalid("must be a currency code such as CHF").at(at)]
                    }
                    other => other.validate(&at),
                }
            }
            _ => Vec::new(),
        }
    }

    pub(super) fn convert(&self, value: &Value, scope: Scope<'_>, context: &Context) -> Result<Value, Fault> {
        Ok(match self {
            Self::Text => text(value)?.into(),
            Self::Lowercase => text_of(value)?.to_lowercase().into(),
            Self::Uppercase => text_of(value)?.to_uppercase().into(),
            Self::Trim => text_of(value)?.trim().into(),
            Self::Integer => integer(value)?,
            Self::Decimal => number::of(value)
                .and_then(number::json)
                .ok_or_else(|| not(value, "a decimal number (no separators, at most 28 digits)"))?,
            Self::Boolean => boolean(value).ok_or_else(|| not(value, "true or false"))?.into(),
            Self::Date => {
                let date = value.as_str().and_then(time::date).ok_or_else(|| not(value, "a date"))?;
                date.to_string().into()
            }
            Self::Datetime { time_zone } => {
                let not_after = time::latest_plausible(context.received_at);
                utc(time::instant(&text_of(value)?, time_zone, not_after)?)
            }
            Self::UnixTime => {
                let instant = time::unix_seconds(text_of(value)?.trim());
                utc(instant.ok_or_else(|| not(value, "a number of seconds since 1970"))?)
            }
            Self::MinorUnits { currency } => minor_units(value, currency, scope)?,
        })
    }
}

fn not(value: &Value, expected: &str) -> Fault {
    Fault::invalid(format!("{} is not {expected}", shown(value)))
}

fn utc(instant: Timestamp) -> Value {
    clock::rfc3339(instant).into()
}

fn text(value: &Value) -> Result<String, Fault> {
    match value {
        Value::Bool(value) => Ok(value.to_string()),
        other => text_of(other),
    }
}

fn integer(value: &Value) -> Result<Value, Fault> {
    match value {
        Value::Bool(value) => Ok(u8::from(*value).into()),
        other => number::whole(other).and_then(number::json).ok_or_else(|| not(value, "a whole number")),
    }
}

fn boolean(value: &Value) -> Option<bool> {
    if let Value::Bool(value) = value {
        return Some(*value);
    }
    match text_of(value).ok()?.trim().to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Some(true),
        "false" | "no" | "off" | "0" => Some(false),
        _ => None,
    }
}

fn minor_units(value: &Value, currency: &Source, scope: Scope<'_>) -> Result<Value, Fault> {
    let origin = || currency.origin(scope);
    let code = currency
        .find_text(scope)?
        .ok_or_else(|| Fault::missing(format!("the currency is missing (from {})", origin())))?;
    let decimals = currency::decimals(code.trim())
        .ok_or_else(|| Fault::invalid(format!("{:?} (from {}) is no currency code", cut(&code), origin())))?;
    number::whole(value)
        .and_then(|units| Decimal::try_from_i128_with_scale(units.mantissa(), decimals).ok())
        .and_then(number::json)
        .ok_or_else(|| not(value, "a whole number of minor units"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn convert(conversion: &Value, value: &str) -> Result<String, String> {
        let conversion: Conversion = serde_json::from_value(conversion.clone()).unwrap();
        assert_eq!(conversion.validate(""), []);
        let value: Value = serde_json::from_str(value).unwrap();
        let payload = json!({"currency": "kwd", "list": []});
        let context = Context { received_at: "2026-11-22T19:12:30Z".parse().unwrap() };
        conversion
            .convert(&value, Scope::of(&payload), &context)
            .map(|value| value.to_string())
            .map_err(|fault| fault.detail)
    }

    #[test]
    fn values_become_what_documents_hold() {
        let zurich = json!({"datetime": {"time_zone": "Europe/Zurich"}});
        for (conversion, value, expected) in [
            (json!("text"), "10.50", r#""10.50""#),
            (json!("text"), "true", r#""true""#),
            (json!("integer"), r#"" 12 ""#, "12"),
            (json!("integer"), "12.00", "12"),
            (json!("integer"), "1.2e1", "12"),
            (json!("integer"), "true", "1"),
            (json!("integer"), "9007199254740993", "9007199254740993"),
            (json!("decimal"), r#""10.50""#, "10.50"),
            (json!("decimal"), "0.10000000000000000001", "0.10000000000000000001"),
            (json!("decimal"), "1e2", "100"),
            (json!("boolean"), r#""Yes""#, "true"),
            (json!("boolean"), "0", "false"),
            (json!("lowercase"), r#""ÄB""#, r#""äb""#),
            (json!("uppercase"), r#""chf""#, r#""CHF""#),
            (json!("trim"), r#""  x ""#, r#""x""#),
            (json!("date"), r#""2026-11-22 19:12:25.976321""#, r#""2026-11-22""#),
            (zurich.clone(), r#""2026-11-22 19:12:25.976321""#, r#""2026-11-22T18:12:25.976321Z""#),
            (zurich.clone(), "1792888200", r#""2026-10-25T00:30:00.000000Z""#),
            (json!("unix_time"), "1792888200", r#""2026-10-25T00:30:00.000000Z""#),
            (json!("unix_time"), r#""1792888200.5""#, r#""2026-10-25T00:30:00.500000Z""#),
            (json!({"minor_units": {"currency": {"value": "CHF"}}}), "1050", "10.50"),
            (json!({"minor_units": {"currency": {"value": "chf"}}}), "-5", "-0.05"),
            (json!({"minor_units": {"currency": {"value": "JPY"}}}), "1050", "1050"),
            (json!({"minor_units": {"currency": "/currency"}}), r#""1050""#, "1.050"),
        ] {
            assert_eq!(convert(&conversion, value).as_deref(), Ok(expected), "{conversion} of {value}");
        }
    }

    #[test]
    fn what_does_not_convert_says_why() {
        for (conversion, value, says) in [
            (json!("text"), "[]", "a list is neither"),
            (json!("integer"), "1.5", "1.5 is not a whole number"),
            (json!("decimal"), r#""1,000.00""#, "is not a decimal number"),
            (json!("decimal"), "true", "is not a decimal number"),
            (json!("decimal"), "1e999", "is not a decimal number"),
            (json!("boolean"), "2", "is not true or false"),
            (json!("lowercase"), "false", "neither text nor a number"),
            (json!("date"), "1792888200", "is not a date"),
            (json!("date"), r#""""#, "is not a date"),
            (json!({"datetime": {"time_zone": "UTC"}}), r#""noon""#, "is not a time"),
            (json!("unix_time"), "1792888200000", "seconds since 1970"),
            (json!({"minor_units": {"currency": "/currency"}}), "10.5", "minor units"),
            (json!({"minor_units": {"currency": "/absent"}}), "10", "/absent"),
            (json!({"minor_units": {"currency": "/list"}}), "10", "/list"),
        ] {
            let detail = convert(&conversion, value).unwrap_err();
            assert!(detail.contains(says), "{conversion} of {value}: {detail}");
        }
    }

    #[test]
    fn a_long_value_is_cut_in_the_message() {
        let detail = convert(&json!("decimal"), &format!("{:?}", "x".repeat(10_000))).unwrap_err();
        assert!(detail.chars().count() < 200, "{detail}");
    }

    #[test]
    fn validation_says_where() {
        for (value, place) in [
            (json!({"datetime": {"time_zone": "Europe/Zürich"}}), "/convert/datetime/time_zone"),
            (json!({"minor_units": {"currency": "CHF"}}), "/convert/minor_units/currency"),
            (json!({"minor_units": {"currency": {"value": "Franken"}}}), "/convert/minor_units/currency"),
        ] {
            let conversion: Conversion = serde_json::from_value(value).unwrap();
            assert_eq!(conversion.validate("/convert")[0].field, place);
        }
    }

    proptest! {
        #[test]
        fn minor_units_are_rust_decimals_scaling(units: i64, code in "(CHF|JPY|KWD|CLF)") {
            let scale = match code.as_str() { "JPY" => 0, "KWD" => 3, "CLF" => 4, _ => 2 };
            let converted = convert(&json!({"minor_units": {"currency": {"value": code}}}), &units.to_string());
            prop_assert_eq!(converted.unwrap(), Decimal::new(units, scale).to_string());
        }
    }
}
