//! Leases in DynamoDB.

use std::sync::Arc;

use jiff::SignedDuration;

use super::{Leases, dynamo::DynamoLeases};
use crate::{
    clock::ManualClock,
    testing::{Dynamo, start},
};

async fn leases() -> (DynamoLeases, Arc<ManualClock>, Dynamo) {
    let dynamo = Dynamo::start().await;
    let clock = Arc::new(ManualClock::at(start()));
    let duration = SignedDuration::from_secs(45);
    (DynamoLeases::new(dynamo.client.clone(), &dynamo.tables, clock.clone(), duration), clock, dynamo)
}

#[tokio::test]
async fn one_holds_it_until_it_is_released_or_expires() {
    let (leases, clock, _dynamo) = leases().await;
    let first = leases.acquire("sweeper").await.unwrap().unwrap();
    assert_eq!(leases.acquire("sweeper").await.unwrap(), None);
    assert!(leases.acquire("another").await.unwrap().is_some());
    leases.release(&first).await.unwrap();
    let second = leases.acquire("sweeper").await.unwrap().unwrap();
    clock.advance(SignedDuration::from_secs(46));
    let third = leases.acquire("sweeper").await.unwrap().unwrap();
    assert!(first.token < second.token && second.token < third.token);
}

#[tokio::test]
async fn who_lost_it_cannot_give_away_that_of_another() {
    let (leases, clock, _dynamo) = leases().await;
    let lost = leases.acquire("sweeper").await.unwrap().unwrap();
    clock.advance(SignedDuration::from_secs(46));
    leases.acquire("sweeper").await.unwrap().unwrap();
    leases.release(&lost).await.unwrap();
    assert_eq!(leases.acquire("sweeper").await.unwrap(), None, "the present holder still has it");
}

#[tokio::test]
async fn of_many_at_once_one_gets_it() {
    let (leases, _clock, _dynamo) = leases().await;
    let all = futures::future::join_all((0..20).map(|_| leases.acquire("sweeper"))).await;
    assert_eq!(all.into_iter().filter(|lease| lease.as_ref().unwrap().is_some()).count(), 1);
}
