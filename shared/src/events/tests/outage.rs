//! What becomes of events while a provider is not well, or not to be called.

use super::*;

fn breaker_open() -> Error {
    Error::new(ErrorCode::BreakerOpen, "erpnext is not called")
        .retry_after(50)
        .of_connector("erpnext")
        .in_outage()
}

#[tokio::test]
async fn an_event_that_meets_an_open_breaker_waits_without_an_attempt_and_is_freed_when_it_closes() {
    let (rig, faulty) = faulty_rig().await;
    *faulty.refusal.lock().unwrap() = Some(breaker_open());
    for n in 0..3 {
        let event = message(&format!("evt_{n}"), &order("upsert", n, 1));
        assert_eq!(rig.work(&event).await, Disposition::Done);
    }
    let item = rig.parked("evt_1").await.unwrap();
    assert_eq!(item.state, ParkedState::Waiting(WaitsFor::Connector("erpnext".into())));
    assert!(
        item.due.unwrap() >= start() + SignedDuration::from_secs(50),
        "not before it lets anyone through"
    );
    let entry = rig.entry("evt_1").await;
    assert_eq!((entry.status, entry.attempts), (EventStatus::Parked, 0));
    assert_eq!(entry.error.unwrap().code, "breaker_open");
    rig.release.waiting_for(WaitsFor::Connector("shop".into())).await;
    assert!(rig.queue.take().is_empty(), "another breaker is none of theirs");
    *faulty.refusal.lock().unwrap() = None;
    rig.release.waiting_for(WaitsFor::Connector("erpnext".into())).await;
    rig.drain().await;
    for n in 0..3 {
        let id = format!("evt_{n}");
        assert!(status(&rig, &id).await.is_final());
        assert_eq!(rig.parked(&id).await, None);
    }
}

#[tokio::test]
async fn what_waits_for_a_breaker_is_looked_at_by_the_sweep_and_dead_after_a_week() {
    let (rig, faulty) = faulty_rig().await;
    *faulty.refusal.lock().unwrap() = Some(breaker_open());
    rig.work(&message("evt_1", &order("upsert", 0, 1))).await;
    for waits in 0..9 {
        let item = rig.parked("evt_1").await.unwrap();
        assert_eq!((item.waits, item.state.name()), (waits, "waiting"));
        let due = item.due.unwrap();
        let pause = due.duration_since(rig.clock.now());
        assert!(
            pause <= SignedDuration::from_mins(16),
            "someone has to try, or nobody finds it well: {pause}"
        );
        rig.clock.advance(pause);
        assert_eq!(sweeper(&rig).sweep(Timestamp::MAX).await.unwrap(), Swept::Sent(1));
        rig.drain().await;
    }
    rig.clock.advance(SignedDuration::from_hours(24 * 8));
    assert_eq!(sweeper(&rig).sweep(Timestamp::MAX).await.unwrap(), Swept::Sent(1));
    rig.drain().await;
    let item = rig.parked("evt_1").await.unwrap();
    assert_eq!((item.state, item.failure.code.as_str()), (ParkedState::Dead, "breaker_open"));
    assert_eq!(rig.entry("evt_1").await.attempts, 0);
}

#[tokio::test]
async fn a_call_that_tries_in_an_outage_and_fails_costs_no_attempt() {
    let (rig, faulty) = faulty_rig().await;
    for code in [ErrorCode::ProviderUnavailable, ErrorCode::OutcomeUnknown] {
        let error = Error::new(code, "no answer").retry_after(60).of_connector("erpnext").in_outage();
        *faulty.refusal.lock().unwrap() = Some(error);
        let id = format!("evt_{}", code.as_str());
        assert_eq!(rig.work(&message(&id, &order("upsert", 0, 1))).await, Disposition::Done);
        let entry = rig.entry(&id).await;
        assert_eq!((entry.status, entry.attempts), (EventStatus::Parked, 0));
        let item = rig.parked(&id).await.unwrap();
        assert_eq!(item.state, ParkedState::Waiting(WaitsFor::Connector("erpnext".into())));
    }
}

#[tokio::test]
async fn no_event_dies_of_an_outage_that_too_few_calls_find_out() {
    let (rig, faulty) = faulty_rig().await;
    let error = Error::new(ErrorCode::ProviderUnavailable, "cannot be reached").of_connector("erpnext");
    *faulty.refusal.lock().unwrap() = Some(error);
    let event = message("evt_1", &order("upsert", 0, 1));
    assert_eq!(rig.work(&event).await, Disposition::Again(Duration::from_secs(2)));
    assert_eq!(rig.work(&event).await, Disposition::Done);
    for _ in 0..10 {
        let item = rig.parked("evt_1").await.unwrap();
        assert_ne!(item.state, ParkedState::Dead);
        rig.clock.advance(item.due.unwrap().duration_since(rig.clock.now()));
        sweeper(&rig).sweep(Timestamp::MAX).await.unwrap();
        rig.drain().await;
    }
    *faulty.refusal.lock().unwrap() = None;
    rig.clock.advance(SignedDuration::from_mins(16));
    sweeper(&rig).sweep(Timestamp::MAX).await.unwrap();
    rig.drain().await;
    assert!(status(&rig, "evt_1").await.is_final());
}

#[tokio::test]
async fn what_is_not_let_through_is_put_off_ever_longer_without_an_attempt_and_is_never_poison() {
    let (rig, faulty) = faulty_rig().await;
    for code in [ErrorCode::ProviderLimited, ErrorCode::OutOfTime] {
        let id = format!("evt_{}", code.as_str());
        let event = message(&id, &order("upsert", 0, 1));
        *faulty.refusal.lock().unwrap() = Some(Error::new(code, "later").retry_after(3));
        let mut waits = Vec::new();
        let mut receives = 1;
        while let Disposition::Again(wait) = rig.worker.work(&received(&event, receives)).await {
            assert!(wait >= Duration::from_secs(3), "not before its time: {wait:?}");
            waits.push(wait);
            receives += 1;
        }
        assert_eq!(waits.len(), 7, "{waits:?}");
        assert!(waits.iter().max().unwrap() > &Duration::from_secs(10), "{waits:?}");
        let item = rig.parked(&id).await.unwrap();
        assert_eq!(item.state, ParkedState::Delayed);
        assert!(item.due.unwrap() >= start() + SignedDuration::from_secs(3));
        let entry = rig.entry(&id).await;
        assert_eq!((entry.status, entry.attempts), (EventStatus::Parked, 0));
    }
    *faulty.refusal.lock().unwrap() = None;
    rig.clock.advance(SignedDuration::from_mins(5));
    assert_eq!(sweeper(&rig).sweep(Timestamp::MAX).await.unwrap(), Swept::Sent(2));
    rig.drain().await;
    assert_eq!(rig.parked("evt_provider_limited").await, None);
}

#[tokio::test]
async fn a_provider_that_says_when_is_not_asked_sooner() {
    let (rig, faulty) = faulty_rig().await;
    let unwell = |seconds| {
        let error = Error::new(ErrorCode::ProviderUnavailable, "maintenance").retry_after(seconds);
        *faulty.refusal.lock().unwrap() = Some(error);
    };
    let event = message("evt_1", &order("upsert", 0, 1));
    unwell(600);
    assert_eq!(rig.work(&event).await, Disposition::Again(Duration::from_secs(600)));
    assert_eq!(rig.entry("evt_1").await.attempts, 1, "this was an attempt");
    unwell(7200);
    assert_eq!(rig.work(&event).await, Disposition::Done);
    assert_eq!(rig.parked("evt_1").await.unwrap().due, Some(start() + SignedDuration::from_hours(2)));
}
