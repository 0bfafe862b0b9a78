//! A wall clock that is set: no ban ends for good because of it.

use std::time::Duration;

use portcullis::core::Subject;
use portcullis::news::{News, watch_the_clock};

use crate::support::{FakeServer, World};

const HOUR: u64 = 3_600;
const DAYS: i64 = 86_400_000;

/// Lets the clock of the ends look once more.
async fn look() {
    tokio::time::sleep(Duration::from_secs(6)).await;
}

fn stands(world: &World, subject: &str) -> bool {
    let subject = Subject::parse(subject).unwrap();
    world
        .engine
        .read(|ledger| ledger.bans().of(&subject).is_some())
}

#[tokio::test(start_paused = true)]
async fn a_clock_set_ahead_ends_no_ban_until_it_is_believed() {
    let world = World::new(FakeServer::new(true));
    let mut hearing = world.news.listen().unwrap();
    let (engine, feed) = (world.engine.clone(), world.news.clone());
    tokio::spawn(watch_the_clock(engine, feed, world.stop.clone()));
    world.ban("day@example.org", Some("1d")).await;
    world.ban("short@example.org", Some("10m")).await;
    look().await;
    let mut jumps = move || {
        let news = std::iter::from_fn(|| hearing.now());
        let jumps = news.filter_map(|told| match told.news {
            News::Clock(jump) => Some(jump.map(|jump| jump.by)),
            _ => None,
        });
        jumps.collect::<Vec<_>>()
    };
    world.set_clock(3 * DAYS);
    look().await;
    assert!(stands(&world, "day@example.org") && stands(&world, "short@example.org"));
    assert_eq!(jumps(), [Some(3 * DAYS)]);
    // Both clocks agree that this one is over.
    world.pass(Duration::from_secs(HOUR / 4));
    look().await;
    assert!(stands(&world, "day@example.org") && !stands(&world, "short@example.org"));
    world.set_clock(0);
    look().await;
    assert_eq!(jumps(), [None], "put right");
    world.pass(Duration::from_secs(2 * HOUR));
    look().await;
    assert!(stands(&world, "day@example.org"));
    // A new time that lasts is believed.
    world.set_clock(3 * DAYS);
    look().await;
    world.pass(Duration::from_secs(HOUR - 1));
    look().await;
    assert!(stands(&world, "day@example.org"));
    world.pass(Duration::from_secs(2));
    look().await;
    assert!(!stands(&world, "day@example.org"));
    assert_eq!(jumps(), [Some(3 * DAYS), None]);
}

#[tokio::test(start_paused = true)]
async fn a_clock_set_back_and_put_right_ends_bans_at_their_time() {
    let world = World::new(FakeServer::new(true));
    world.ban("day@example.org", Some("1d")).await;
    look().await;
    world.set_clock(-3 * DAYS);
    look().await;
    world.pass(Duration::from_secs(12 * HOUR));
    look().await;
    assert!(stands(&world, "day@example.org"));
    // The wrong time was believed meanwhile, so the right one is, an hour later.
    world.set_clock(0);
    world.pass(Duration::from_secs(13 * HOUR));
    look().await;
    world.pass(Duration::from_secs(HOUR + 1));
    look().await;
    assert!(!stands(&world, "day@example.org"));
}
