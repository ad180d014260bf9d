//! How long it takes to verify a delivery, by scheme and size of the body.

use std::{error::Error, time::Duration};

use causeway::{
    secrets::Secret,
    webhook::signature::{NamedSecret, Scheme, verify},
};
use causeway_bench::delivery::{Key, generic_sha512, prose, sign};
use criterion::{BenchmarkId, Criterion, Throughput};
use jiff::{SignedDuration, Timestamp};
use ring::signature::Ed25519KeyPair;

const SIZES: [usize; 3] = [1, 10, 100];

fn shared() -> Key {
    Key::Shared(b"a secret of thirty-two characters".to_vec())
}

/// A name, a scheme, and what signs.
type Signer = (&'static str, Scheme, Key);

fn schemes() -> Result<Vec<Signer>, Box<dyn Error>> {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).map_err(|_| "the seed is refused")?;
    Ok(vec![
        ("frappe", Scheme::Frappe, shared()),
        ("github", Scheme::Github, shared()),
        ("shopify", Scheme::Shopify, shared()),
        ("stripe", Scheme::Stripe, shared()),
        ("standard v1", Scheme::Standard, shared()),
        ("standard v1a", Scheme::Standard, Key::Pair(pair)),
        ("generic sha512", generic_sha512(), shared()),
    ])
}

fn bench(c: &mut Criterion) -> Result<(), Box<dyn Error>> {
    let now = Timestamp::now();
    let tolerance = SignedDuration::from_mins(5);
    for (name, scheme, key) in schemes()? {
        let mut group = c.benchmark_group(format!("signature/{name}"));
        let secrets = [NamedSecret { name: "bench".to_owned(), secret: Secret::new(key.shown(&scheme)) }];
        for size in SIZES {
            let body = prose(1, size * 1024).into_bytes();
            let headers = sign(&scheme, &key, "msg_bench", now, &body)?;
            verify(&scheme, &headers, &body, &secrets, tolerance, now)?;
            group.throughput(Throughput::Bytes(body.len() as u64));
            group.bench_function(BenchmarkId::from_parameter(format!("{size} KB")), |b| {
                b.iter(|| verify(&scheme, &headers, &body, &secrets, tolerance, now));
            });
        }
        group.finish();
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    bench(&mut criterion)?;
    criterion.final_summary();
    Ok(())
}
