//! The sales report: totals of a company by month and by customer, from sums.
//!
//! Called by the API. Whole months are read from the months' sums, the rest of the time from the days', in the four
//! shards side by side; the figures show what the stream has brought so far.

use std::{cmp::Reverse, collections::BTreeMap, sync::Arc};

use futures::future::try_join_all;
use jiff::{ToSpan, civil::Date, tz::TimeZone};
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::{
    super::{
        Range, ReadModels, StoredRow,
        contribution::{COUNT, TOTAL},
        key::text,
    },
    invoice::partition,
};
use crate::{Error, Result, clock::Clock, dynamo::SHARDS, mapping::number};

/// The most customers a report names; the rest are summed.
pub const MAX_CUSTOMERS: usize = 500;
/// The most sums a report reads of a shard.
const MAX_ROWS: usize = 25_000;
/// Sums read at a time; DynamoDB ends a page at 1 MB.
const PAGE: usize = 5_000;

/// Which sales.
#[derive(Debug, Clone)]
pub struct SalesQuery {
    /// The company.
    pub company: String,
    /// The first day.
    pub from_date: Date,
    /// The last day; today if there is none (UTC).
    pub to_date: Option<Date>,
}

/// An amount and how many invoices it is of, returns included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SalesTotal {
    /// In the company's currency.
    pub total: Decimal,
    /// Submitted invoices, returns too.
    pub invoices: i64,
}

/// A month's sales.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeriodSales {
    /// The month, `YYYY-MM`; the first and the last may be in part.
    pub period: String,
    /// Its sales.
    pub sales: SalesTotal,
}

/// A customer's sales.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomerSales {
    /// The customer.
    pub customer: String,
    /// Their sales.
    pub sales: SalesTotal,
}

/// A report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sales {
    /// The company.
    pub company: String,
    /// The first day.
    pub from_date: Date,
    /// The last day.
    pub to_date: Date,
    /// All of it.
    pub sales: SalesTotal,
    /// By month, in order; those without an invoice are left out.
    pub periods: Vec<PeriodSales>,
    /// By customer, those with the most first, at most [`MAX_CUSTOMERS`].
    pub customers: Vec<CustomerSales>,
    /// How many customers are not named, and their sales.
    pub others: (usize, SalesTotal),
}

impl SalesTotal {
    fn add(&mut self, other: Self) -> Result<()> {
        let total = self.total.checked_add(other.total);
        // Without zeros at its end: DynamoDB keeps none, so there is one way to write an amount.
        self.total = total.ok_or_else(|| Error::internal("sales beyond 28 digits"))?.normalize();
        self.invoices += other.invoices;
        Ok(())
    }

    fn to_json(self) -> Value {
        json!({ "total": number::json(self.total), "invoices": self.invoices })
    }
}

impl Sales {
    /// The report as the API shows it; amounts are JSON numbers of the very digits.
    pub fn to_json(&self) -> Value {
        let named = |name: &str, value: &str, sales: SalesTotal| {
            let mut shown = json!({ name: value });
            shown["total"] = number::json(sales.total).unwrap_or_default();
            shown["invoices"] = sales.invoices.into();
            shown
        };
        let periods = self.periods.iter().map(|period| named("period", &period.period, period.sales));
        let customers = self.customers.iter().map(|one| named("customer", &one.customer, one.sales));
        let mut others = self.others.1.to_json();
        others["customers"] = self.others.0.into();
        json!({
            "company": self.company,
            "from_date": self.from_date.to_string(),
            "to_date": self.to_date.to_string(),
            "totals": self.sales.to_json(),
            "by_period": periods.collect::<Vec<_>>(),
            "by_customer": customers.collect::<Vec<_>>(),
            "other_customers": others,
        })
    }
}

/// The report.
pub struct SalesReport {
    models: Arc<dyn ReadModels>,
    clock: Arc<dyn Clock>,
}

impl SalesReport {
    /// A report from `models`.
    pub fn new(models: Arc<dyn ReadModels>, clock: Arc<dyn Clock>) -> Self {
        Self { models, clock }
    }

    /// Reads it. Fails, naming `from_date`, if it would be made of too many sums.
    pub async fn read(&self, query: &SalesQuery) -> Result<Sales> {
        let today = self.clock.now().to_zoned(TimeZone::UTC).date();
        let to_date = query.to_date.unwrap_or(today);
        if query.from_date.year() < 1 {
            // Their places in the index are not in the order of time.
            return Err(Error::field("from_date", "invalid", "is before the year 1"));
        }
        if query.from_date > to_date {
            return Err(Error::field("from_date", "invalid", format!("is after {to_date}")));
        }
        let ranges = ranges(query.from_date, to_date);
        let shards = (0..SHARDS).map(|shard| self.shard(&query.company, shard, &ranges));
        let mut periods: BTreeMap<String, SalesTotal> = BTreeMap::new();
        let mut customers: BTreeMap<String, SalesTotal> = BTreeMap::new();
        let mut sales = SalesTotal::default();
        for row in try_join_all(shards).await?.into_iter().flatten() {
            let (period, customer, part) = read_sum(&row)?;
            sales.add(part)?;
            periods.entry(period).or_default().add(part)?;
            customers.entry(customer).or_default().add(part)?;
        }
        let (customers, others) = largest(customers)?;
        let periods = periods.into_iter().filter(|(_, sales)| sales.invoices != 0);
        Ok(Sales {
            company: query.company.clone(),
            from_date: query.from_date,
            to_date,
            sales,
            periods: periods.map(|(period, sales)| PeriodSales { period, sales }).collect(),
            customers,
            others,
        })
    }

    /// The sums of `ranges` in one shard.
    async fn shard(&self, company: &str, shard: u32, ranges: &[(String, String)]) -> Result<Vec<StoredRow>> {
        let partition = partition(company, shard).map_err(|_| unknown_company())?;
        let mut rows: Vec<StoredRow> = Vec::new();
        for (low, high) in ranges {
            let mut after = None;
            loop {
                let range = Range {
                    partition: partition.clone(),
                    low: low.clone(),
                    high: high.clone(),
                    after,
                    limit: PAGE,
                };
                let page = self.models.rows(&range).await?;
                after = page.rows.last().map(|row| row.key.sk.clone());
                rows.extend(page.rows);
                if rows.len() > MAX_ROWS {
                    return Err(Error::field(
                        "from_date",
                        "invalid",
                        "the report would be made of too many sums: begin later, or end earlier",
                    ));
                }
                if !page.more || after.is_none() {
                    break;
                }
            }
        }
        Ok(rows)
    }
}

fn unknown_company() -> Error {
    Error::field("company", "invalid", "must not be empty or longer than 560 bytes")
}

/// The places of the sums of `from` to `to`: days up to the first whole month, whole months, and days after them.
fn ranges(from: Date, to: Date) -> Vec<(String, String)> {
    let days = |first: Date, last: Date| (format!("D#{first}#"), format!("D#{last}#\u{10FFFF}"));
    let first_month = if from.day() == 1 { Some(from) } else { from.last_of_month().tomorrow().ok() };
    let after_months = to.tomorrow().map_or(to, Date::first_of_month);
    let Some(first_month) = first_month.filter(|month| *month < after_months) else {
        return vec![days(from, to)];
    };
    let mut ranges = Vec::new();
    if let Some(last) = first_month.yesterday().ok().filter(|last| from <= *last) {
        ranges.push(days(from, last));
    }
    let last_month = after_months.saturating_sub(1.month());
    let month = |date: Date| date.strftime("%Y-%m").to_string();
    ranges.push((format!("M#{}#", month(first_month)), format!("M#{}#\u{10FFFF}", month(last_month))));
    if after_months <= to {
        ranges.push(days(after_months, to));
    }
    ranges
}

/// The month, the customer and the amount of a sum.
fn read_sum(row: &StoredRow) -> Result<(String, String, SalesTotal)> {
    let odd = || Error::internal(format!("{} is no sum", row.key));
    let mut parts = row.key.sk.splitn(3, '#').skip(1);
    let (date, customer) = (parts.next().ok_or_else(odd)?, parts.next().ok_or_else(odd)?);
    let value = |name: &str| row.values.get(name).ok_or_else(odd);
    let total = number::of(&Value::String(value(TOTAL)?.clone())).ok_or_else(odd)?;
    let invoices = value(COUNT)?.parse().map_err(|_| odd())?;
    let month = date.get(..7).ok_or_else(odd)?;
    Ok((month.to_owned(), text(customer), SalesTotal { total, invoices }))
}

/// The customers with the most sales, and the rest of them.
fn largest(customers: BTreeMap<String, SalesTotal>) -> Result<(Vec<CustomerSales>, (usize, SalesTotal))> {
    let customers = customers.into_iter().filter(|(_, sales)| sales.invoices != 0);
    let mut named: Vec<CustomerSales> =
        customers.map(|(customer, sales)| CustomerSales { customer, sales }).collect();
    named.sort_by_key(|one| Reverse(one.sales.total));
    let rest = named.split_off(named.len().min(MAX_CUSTOMERS));
    let mut others = SalesTotal::default();
    for one in &rest {
        others.add(one.sales)?;
    }
    Ok((named, (rest.len(), others)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn between(from: &str, to: &str) -> Vec<String> {
        let ranges = ranges(from.parse().unwrap(), to.parse().unwrap());
        ranges
            .into_iter()
            .map(|(low, high)| format!("{low} {}", high.trim_end_matches('\u{10FFFF}')))
            .collect()
    }

    #[test]
    fn whole_months_are_read_from_their_sums_and_the_rest_by_day() {
        assert_eq!(between("2026-02-10", "2026-02-20"), ["D#2026-02-10# D#2026-02-20#"]);
        assert_eq!(between("2026-02-01", "2026-02-28"), ["M#2026-02# M#2026-02#"]);
        assert_eq!(
            between("2025-12-31", "2026-03-01"),
            ["D#2025-12-31# D#2025-12-31#", "M#2026-01# M#2026-02#", "D#2026-03-01# D#2026-03-01#"]
        );
        assert_eq!(
            between("2026-01-01", "2026-02-15"),
            ["M#2026-01# M#2026-01#", "D#2026-02-01# D#2026-02-15#"]
        );
        assert_eq!(between("2026-01-20", "2026-02-15"), ["D#2026-01-20# D#2026-02-15#"]);
    }
}
