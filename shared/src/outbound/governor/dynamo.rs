//! The governor's state in DynamoDB: `G#{connector}`/`G`, less than 1 KB, so that a write is one unit; and the
//! breaker's last changes, `G#{connector}`/`H`.
//!
//! Counts are attributes of their own, named by what they count and the slice: `p352912345` are the permits of a
//! slice, `n7_352912344` the calls of a bucket in the breaker's seventh generation.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use async_trait::async_trait;
use aws_sdk_dynamodb::{
    Client,
    operation::update_item::UpdateItemError,
    types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    rate::Rate,
    shared::{Breaker, Shared, State},
    store::{Addition, Change, Changed, GovernorStore, HISTORY, Passage},
};
use crate::{
    Error, Result,
    clock::rfc3339,
    config::Tables,
    dynamo::{Attributes, Item, failed, json, n, parse_time, s},
};

/// What the governor shares, in State.
pub struct DynamoGovernor {
    client: Client,
    table: String,
}

impl DynamoGovernor {
    /// In `tables`.
    pub fn new(client: Client, tables: &Tables) -> Self {
        Self { client, table: tables.state.clone() }
    }
}

fn key(connector: &str, sort: &str) -> Item {
    HashMap::from([("pk".to_owned(), s(format!("G#{connector}"))), ("sk".to_owned(), s(sort))])
}

#[async_trait]
impl GovernorStore for DynamoGovernor {
    async fn read(&self, connector: &str) -> Result<Option<Shared>> {
        // Consistently: a rate is settled by what is not there.
        let request = self.client.get_item().table_name(&self.table).set_key(Some(key(connector, "G")));
        let answer = request.consistent_read(true).send().await.map_err(failed)?;
        answer.item.as_ref().map(shared).transpose()
    }

    async fn add(&self, connector: &str, addition: &Addition) -> Result<Shared> {
        let Update { expression, values } = Update::of(addition);
        let answer = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key(connector, "G")))
            .update_expression(expression)
            .set_expression_attribute_values(Some(values))
            .return_values(ReturnValue::AllNew)
            .send()
            .await
            .map_err(failed)?;
        shared(&answer.attributes.ok_or_else(|| Error::internal("what is shared was not returned"))?)
    }

    async fn change(&self, connector: &str, change: &Change) -> Result<Changed> {
        let condition =
            if change.seen == 0 { "attribute_not_exists(fence) OR fence = :seen" } else { "fence = :seen" };
        let due = change.to.until().map_or(0, Timestamp::as_millisecond);
        let result = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key(connector, "G")))
            .update_expression("SET breaker = :to, fence = :next, began = :at, due = :due")
            .condition_expression(condition)
            .expression_attribute_values(":seen", n(change.seen))
            .expression_attribute_values(":next", n(change.seen + 1))
            .expression_attribute_values(":to", s(change.to.as_str()))
            .expression_attribute_values(":at", n(change.at.as_millisecond()))
            .expression_attribute_values(":due", n(due))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let (made, item) = match result {
            Ok(answer) => (true, answer.attributes),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(refused)) => {
                    (false, refused.item.clone())
                }
                _ => return Err(failed(error)),
            },
        };
        Ok(Changed { made, shared: shared(&item.unwrap_or_default())? })
    }

    async fn remember(&self, connector: &str, change: &Change) -> Result<()> {
        // Each change has an attribute of its own, so that nothing is read before and nobody's is lost.
        let generation = change.seen + 1;
        let text = json(&Stored {
            at: rfc3339(change.at),
            from: change.from.as_str().to_owned(),
            to: change.to.as_str().to_owned(),
            reason: change.reason.clone(),
        })?;
        let old = generation.checked_sub(HISTORY).map(|old| format!(" REMOVE t{old}")).unwrap_or_default();
        self.client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key(connector, "H")))
            .update_expression(format!("SET t{generation} = :change{old}"))
            .expression_attribute_values(":change", s(text))
            .send()
            .await
            .map_err(failed)?;
        Ok(())
    }

    async fn history(&self, connector: &str) -> Result<Vec<Passage>> {
        let request = self.client.get_item().table_name(&self.table).set_key(Some(key(connector, "H")));
        let item = request.send().await.map_err(failed)?.item.unwrap_or_default();
        let generations = item.keys().filter_map(|name| name.strip_prefix('t')?.parse::<u64>().ok());
        let generations: BTreeSet<u64> = generations.collect();
        let newest = generations.into_iter().rev().take(usize::try_from(HISTORY).unwrap_or(usize::MAX));
        newest.map(|generation| passage(&item, generation)).collect()
    }
}

/// A change, as it is stored.
#[derive(Serialize, Deserialize)]
struct Stored {
    at: String,
    from: String,
    to: String,
    reason: String,
}

fn passage(item: &Item, generation: u64) -> Result<Passage> {
    let Stored { at, from, to, reason } = Attributes(item).json(&format!("t{generation}"))?;
    Ok(Passage { at: parse_time(&at)?, from, to, reason })
}

/// An update expression as it grows.
struct Update {
    expression: String,
    values: HashMap<String, AttributeValue>,
}

impl Update {
    fn of(addition: &Addition) -> Self {
        let mut values = HashMap::new();
        let slice = addition.slice;
        let (generation, bucket) = addition.bucket;
        let mut counts = BTreeMap::from([
            (format!("p{slice}"), addition.permits),
            (format!("d{slice}"), addition.demand),
            ("calls".to_owned(), addition.calls),
            (format!("h{slice}"), addition.healthy),
            (format!("n{generation}_{bucket}"), addition.health.calls),
            (format!("f{generation}_{bucket}"), addition.health.failed),
            (format!("o{generation}_{bucket}"), addition.health.slow),
        ]);
        counts.extend(addition.limited.iter().map(|(slice, count)| (format!("l{slice}"), *count)));
        // What is returned says what came before: permits are always added.
        counts.retain(|name, count| *count > 0 || name.starts_with('p'));
        let mut adds: Vec<String> = Vec::new();
        for (name, count) in counts {
            adds.push(format!("{name} :{name}"));
            values.insert(format!(":{name}"), n(count));
        }
        if let Some(pause) = addition.pause {
            adds.push("u :u".to_owned());
            values.insert(":u".to_owned(), AttributeValue::Ns(vec![pause.to_string()]));
        }
        let mut clauses = vec![format!("ADD {}", adds.join(", "))];
        if let Some((slice, rate)) = addition.settled {
            let set = [("r", rate.milli), ("a", rate.run)].map(|(name, value)| {
                values.insert(format!(":{name}{slice}"), n(value));
                format!("{name}{slice} = if_not_exists({name}{slice}, :{name}{slice})")
            });
            clauses.push(format!("SET {}", set.join(", ")));
        }
        let old = old_attributes(addition);
        if !old.is_empty() {
            clauses.push(format!("REMOVE {}", old.join(", ")));
        }
        if addition.pause.is_none() && !addition.old_pauses.is_empty() {
            clauses.push("DELETE u :old".to_owned());
            let old = addition.old_pauses.iter().map(ToString::to_string).collect();
            values.insert(":old".to_owned(), AttributeValue::Ns(old));
        }
        Self { expression: clauses.join(" "), values }
    }
}

fn old_attributes(addition: &Addition) -> Vec<String> {
    let slices = addition.old_slices.iter().flat_map(|slice| SLICE.map(|name| format!("{name}{slice}")));
    let buckets = addition
        .old_buckets
        .iter()
        .flat_map(|(generation, begin)| ["n", "f", "o"].map(|name| format!("{name}{generation}_{begin}")));
    slices.chain(buckets).collect()
}

/// What is kept of a slice: permits, demand, healthy, limited, rate, run.
const SLICE: [&str; 6] = ["p", "d", "h", "l", "r", "a"];

fn shared(item: &Item) -> Result<Shared> {
    let attributes = Attributes(item);
    let mut shared =
        Shared { calls: attributes.number("calls")?, breaker: breaker(attributes)?, ..Shared::default() };
    if let Some(AttributeValue::Ns(pauses)) = item.get("u") {
        shared.pauses = pauses.iter().filter_map(|text| text.parse().ok()).collect();
    }
    for name in item.keys() {
        let Some((kind, rest)) = name.split_at_checked(1) else { continue };
        let value = || attributes.number(name);
        if let Ok(slice) = rest.parse() {
            let counts = shared.slices.entry(slice).or_default();
            match kind {
                "p" => counts.permits = value()?,
                "d" => counts.demand = value()?,
                "h" => counts.healthy = value()?,
                "l" => counts.limited = value()?,
                "r" => {
                    counts.rate =
                        Some(Rate { milli: value()?, run: attributes.number(&format!("a{rest}"))? });
                }
                _ => {}
            }
        } else if let Some(bucket) = bucket(rest) {
            let health = shared.buckets.entry(bucket).or_default();
            match kind {
                "n" => health.calls = value()?,
                "f" => health.failed = value()?,
                "o" => health.slow = value()?,
                _ => {}
            }
        }
    }
    Ok(shared)
}

fn bucket(text: &str) -> Option<(u64, i64)> {
    let (generation, begin) = text.split_once('_')?;
    Some((generation.parse().ok()?, begin.parse().ok()?))
}

fn breaker(attributes: Attributes<'_>) -> Result<Breaker> {
    let milliseconds = |name: &str| {
        let number = i64::try_from(attributes.number(name)?).map_err(Error::internal)?;
        Timestamp::from_millisecond(number).map_err(Error::internal)
    };
    let generation = attributes.number("fence")?;
    if generation == 0 {
        return Ok(Breaker::default());
    }
    let state = match attributes.text("breaker")? {
        "open" => State::Open { until: milliseconds("due")? },
        "half_open" => State::HalfOpen { until: milliseconds("due")? },
        _ => State::Closed,
    };
    Ok(Breaker { generation, state, since: Some(milliseconds("began")?) })
}
