//! Searching the log over several connectors: their lists are merged, newest first.

use futures::{StreamExt, TryStreamExt, stream};
use jiff::{SignedDuration, Timestamp};

use super::{IntegrationLog, LogPage, LogPosition, LogQuery, Placed, by_day::Span};
use crate::Result;

/// Connectors searched at a time.
const CONCURRENT_LISTS: usize = 16;
/// Days of connectors that one search looks into: each costs a query a shard, found or not.
const MAX_CONNECTOR_DAYS: usize = 250;

/// Entries of all `connectors` that `query` asks for (its own connector is not looked at), before `before`. Where
/// that is more days than one search looks into, it ends with the place from which to go on.
pub async fn search(
    log: &dyn IntegrationLog,
    connectors: &[String],
    query: &LogQuery,
    before: Option<&LogPosition>,
) -> Result<LogPage> {
    let span = Span { from: query.from, to: query.to, limit: query.limit };
    let list = |connector: &str, from: Timestamp| {
        let query = LogQuery { connector: connector.to_owned(), from, ..query.clone() };
        async move { log.list(&query, before).await }
    };
    search_all(connectors, span, before, list).await
}

/// What `list` finds for each of `connectors` from a time on, merged. Where `span` is more days than one search looks
/// into, it ends with the place from which to go on.
pub async fn search_all<T, F>(
    connectors: &[String],
    span: Span,
    before: Option<&LogPosition>,
    list: impl Fn(&str, Timestamp) -> F,
) -> Result<LogPage<T>>
where
    T: Placed,
    F: Future<Output = Result<LogPage<T>>>,
{
    let end = before.map_or(span.to, |before| before.received_at);
    let from = span.from.max(window(connectors.len(), end));
    let lists: Vec<F> = connectors.iter().map(|connector| list(connector, from)).collect();
    let pages = stream::iter(lists).buffer_unordered(CONCURRENT_LISTS).try_collect().await?;
    let mut page = merge(pages, span.limit);
    if from > span.from && !connectors.is_empty() {
        page.next_before.get_or_insert_with(|| LogPosition { received_at: from, id: String::new() });
    }
    Ok(page)
}

/// How far back from `end` one search goes over so many connectors: a day at least.
fn window(connectors: usize, end: Timestamp) -> Timestamp {
    let days = (MAX_CONNECTOR_DAYS / connectors.max(1)).max(1);
    let hours = i64::try_from(days * 24).unwrap_or(i64::MAX);
    end.saturating_sub(SignedDuration::from_hours(hours)).unwrap_or(Timestamp::MIN)
}

/// A list that was not read to its end says nothing of what is older than its position, so nothing older than
/// the newest of these positions may be shown yet.
fn merge<T: Placed>(pages: Vec<LogPage<T>>, limit: usize) -> LogPage<T> {
    let frontier = pages.iter().filter_map(|page| page.next_before.clone()).max();
    let mut items: Vec<T> = pages
        .into_iter()
        .flat_map(|page| page.items)
        .filter(|entry| frontier.as_ref().is_none_or(|frontier| entry.position() >= *frontier))
        .collect();
    items.sort_by_key(|entry| std::cmp::Reverse(entry.position()));
    let cut = items.len() > limit;
    items.truncate(limit);
    let next_before = if cut { items.last().map(Placed::position) } else { frontier };
    LogPage { items, next_before }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::integration_log::{EntrySummary, EventStatus};

    fn entry(second: i64) -> EntrySummary {
        EntrySummary {
            id: format!("evt_{second}"),
            connector: "c".into(),
            event: "e".into(),
            status: EventStatus::Done,
            received_at: Timestamp::from_second(second).unwrap(),
            document: None,
            attempts: 1,
            duration_ms: 1,
            error_code: None,
        }
    }

    fn page(seconds: &[i64], next: Option<i64>) -> LogPage {
        LogPage {
            items: seconds.iter().map(|second| entry(*second)).collect(),
            next_before: next.map(|second| entry(second).position()),
        }
    }

    fn seconds(page: &LogPage) -> Vec<i64> {
        page.items.iter().map(|entry| entry.received_at.as_second()).collect()
    }

    #[test]
    fn lists_are_merged_newest_first() {
        let merged = merge(vec![page(&[9, 3], None), page(&[7, 5], None)], 3);
        assert_eq!(seconds(&merged), [9, 7, 5]);
        assert_eq!(merged.next_before, Some(entry(5).position()));
    }

    #[test]
    fn one_search_looks_into_a_limited_number_of_days_and_never_less_than_one() {
        let end = Timestamp::from_second(1_000_000_000).unwrap();
        let days = |connectors| end.duration_since(window(connectors, end)).as_hours() / 24;
        assert_eq!(days(1), 250);
        assert_eq!(days(25), 10);
        assert_eq!(days(1000), 1);
        assert_eq!(window(1, Timestamp::MIN), Timestamp::MIN);
    }

    #[test]
    fn nothing_is_shown_beyond_what_every_list_has_read() {
        let merged = merge(vec![page(&[9, 8], Some(8)), page(&[5], None)], 10);
        assert_eq!(seconds(&merged), [9, 8], "7 to 6 of the first list may still come before 5");
        assert_eq!(merged.next_before, Some(entry(8).position()));
    }
}
