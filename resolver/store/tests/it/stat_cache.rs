//! The stat cache: never wrong, whatever the clock's grain.

use std::time::{Duration, SystemTime};

use astrid_authority::Digest;
use astrid_store::read::{Filter, Remembered, hash_dir};
use astrid_store::stat_cache::StatCache;
use astrid_store::tree::Limits;
use astrid_store::{Disk, Tree};

const HOUR: Duration = Duration::from_hours(1);

fn read(dir: &std::path::Path, cache: &StatCache, now: SystemTime) -> Tree {
    hash_dir(dir, &Filter::All, &Limits::default(), Some(Remembered { cache, now })).unwrap()
}

#[test]
fn fresh_files_are_not_remembered() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a"), b"one").unwrap();
    let cache = StatCache::default();
    let now = std::fs::metadata(dir.path().join("a")).unwrap().modified().unwrap();
    for now in [now, now + Duration::from_secs(1), now - HOUR] {
        read(dir.path(), &cache, now);
        assert!(cache.is_empty());
    }
    read(dir.path(), &cache, now + HOUR);
    assert_eq!(cache.len(), 1);
}

#[test]
fn a_remembered_digest_is_used_and_a_change_is_seen() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("cache");
    let content = dir.path().join("content");
    std::fs::create_dir(&content).unwrap();
    for name in ["a", "b", "c"] {
        std::fs::write(content.join(name), name).unwrap();
    }
    let later = SystemTime::now() + HOUR;
    let cache = StatCache::load(&place);
    let first = read(&content, &cache, later);
    cache.save(&Disk::default(), &place).unwrap();
    let cache = StatCache::load(&place);
    assert_eq!(cache.len(), 3);
    assert_eq!(read(&content, &cache, later), first);
    // The change time betrays a rewrite that kept length and modification time.
    let kept = std::fs::metadata(content.join("b")).unwrap().modified().unwrap();
    std::thread::sleep(Duration::from_millis(20));
    std::fs::write(content.join("b"), b"B").unwrap();
    std::fs::File::options().write(true).open(content.join("b")).unwrap().set_modified(kept).unwrap();
    let second = read(&content, &cache, later);
    assert_eq!(second.get("b").unwrap().blob, Digest::of(b"B"));
    assert_eq!(second.get("a"), first.get("a"));
    cache.save(&Disk::default(), &place).unwrap();
    let cache = StatCache::load(&place);
    assert_eq!(cache.len(), 3);
    assert_eq!(read(&content, &cache, later), second);
}

#[test]
fn a_damaged_cache_is_empty() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("cache");
    let content = dir.path().join("content");
    std::fs::create_dir(&content).unwrap();
    std::fs::write(content.join("a"), b"one").unwrap();
    let cache = StatCache::default();
    read(&content, &cache, SystemTime::now() + HOUR);
    cache.save(&Disk::default(), &place).unwrap();
    let sound = std::fs::read(&place).unwrap();
    for index in 0..sound.len() {
        let mut damaged = sound.clone();
        damaged[index] ^= 1;
        std::fs::write(&place, damaged).unwrap();
        assert!(StatCache::load(&place).is_empty(), "{index}");
        std::fs::write(&place, &sound[..index]).unwrap();
        assert!(StatCache::load(&place).is_empty(), "{index}");
    }
}
