//! Sales by period and customer, from submitted Sales Invoices.
//!
//! Each invoice adds to two sums, in `S#{company}#{n}` (`n` a shard of the customer): those of its customer's day,
//! `D#{date}#{customer}`, and month, `M#{month}#{customer}`. A [`SalesReport`] reads whole months from the months'
//! and what is left from the days'. Amounts are decimals in DynamoDB's numbers, 38 digits, and never floats.

mod invoice;
mod report;

pub use invoice::INVOICES;
pub use report::{CustomerSales, MAX_CUSTOMERS, PeriodSales, Sales, SalesQuery, SalesReport, SalesTotal};
