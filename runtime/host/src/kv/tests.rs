use super::*;

const LIMITS: KvLimits = KvLimits { value_bytes: 64, total_bytes: 256 };

fn store() -> (tempfile::TempDir, KvStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = KvStore::open(&folder.path().join("state.redb")).unwrap();
    (folder, store)
}

fn namespace(principal: &str) -> Namespace {
    Namespace::new(&principal.parse().unwrap(), &"notes".parse().unwrap())
}

async fn set(kv: &Kv, principal: &str, key: &str, value: &[u8]) -> Result<Written, KvError> {
    let write = Write::Set { key: key.to_owned(), value: value.to_vec() };
    kv.write(namespace(principal), write, LIMITS).await
}

#[tokio::test]
async fn values_are_kept_apart_and_survive() {
    let (folder, store) = store();
    let kv = Kv::Store(store);
    set(&kv, "ann", "k", b"1").await.unwrap();
    set(&kv, "bob", "k", b"2").await.unwrap();
    drop(kv);
    let kv = Kv::Store(KvStore::open(&folder.path().join("state.redb")).unwrap());
    assert_eq!(kv.get(&namespace("ann"), "k").unwrap().as_deref(), Some(b"1".as_slice()));
    assert_eq!(kv.get(&namespace("bob"), "k").unwrap().as_deref(), Some(b"2".as_slice()));
    assert_eq!(kv.get(&namespace("cid"), "k").unwrap(), None);
}

#[tokio::test]
async fn malformed_keys_are_denied() {
    let (_folder, store) = store();
    let kv = Kv::Store(store);
    let long = "k".repeat(MAX_KEY_BYTES + 1);
    for key in ["", "a\0b", "line\n", "e\u{301}", long.as_str()] {
        assert_eq!(set(&kv, "ann", key, b"1").await, Err(KvError::Key), "{key:?}");
        assert_eq!(kv.get(&namespace("ann"), key), Err(KvError::Key), "{key:?}");
    }
    assert!(set(&kv, "ann", "\u{e9} 1", b"1").await.is_ok());
}

#[tokio::test]
async fn more_than_the_quota_is_denied_and_freed_space_counts() {
    let (_folder, store) = store();
    let kv = Kv::Store(store);
    assert_eq!(set(&kv, "ann", "k", &[0; 65]).await, Err(KvError::TooLarge));
    for key in ["a", "b", "c"] {
        set(&kv, "ann", key, &[0; 64]).await.unwrap();
    }
    assert_eq!(set(&kv, "ann", "d", &[0; 64]).await, Err(KvError::Quota));
    set(&kv, "bob", "d", &[0; 64]).await.unwrap();
    let clear = Write::ClearPrefix { prefix: String::new() };
    assert_eq!(kv.write(namespace("ann"), clear, LIMITS).await, Ok(3));
    set(&kv, "ann", "d", &[0; 64]).await.unwrap();
}

#[tokio::test]
async fn comparing_needs_the_present_value_else_denied() {
    let (_folder, store) = store();
    let kv = Kv::Store(store);
    let cas = |expected: Option<&[u8]>, value: &[u8]| Write::CompareAndSet {
        key: "k".to_owned(),
        expected: expected.map(<[u8]>::to_vec),
        value: value.to_vec(),
    };
    let ann = namespace("ann");
    kv.write(ann.clone(), cas(None, b"1"), LIMITS).await.unwrap();
    assert_eq!(kv.write(ann.clone(), cas(None, b"2"), LIMITS).await, Err(KvError::Mismatch));
    assert_eq!(kv.write(ann.clone(), cas(Some(b"0"), b"2"), LIMITS).await, Err(KvError::Mismatch));
    kv.write(ann.clone(), cas(Some(b"1"), b"2"), LIMITS).await.unwrap();
    assert_eq!(kv.get(&ann, "k").unwrap().as_deref(), Some(b"2".as_slice()));
}

#[tokio::test]
async fn pages_come_in_order_and_end() {
    let (_folder, store) = store();
    let kv = Kv::Store(store);
    for key in ["b/2", "a", "b/1", "b/3", "c"] {
        set(&kv, "ann", key, b"").await.unwrap();
    }
    let ann = namespace("ann");
    let first = kv.page(&ann, "b/", None, 2).unwrap();
    assert_eq!(first, Page { keys: vec!["b/1".into(), "b/2".into()], next: Some("b/2".into()) });
    let second = kv.page(&ann, "b/", first.next.as_deref(), 2).unwrap();
    assert_eq!(second, Page { keys: vec!["b/3".into()], next: None });
    assert_eq!(kv.list(&ann, "").unwrap(), ["a", "b/1", "b/2", "b/3", "c"]);
}

#[tokio::test]
async fn a_list_that_is_too_long_is_denied() {
    let (_folder, store) = store();
    let kv = Kv::Overlay(Overlay::new(store));
    let limits = KvLimits { value_bytes: 1, total_bytes: u64::MAX };
    for at in 0..=MAX_KEYS {
        let write = Write::Set { key: format!("{at:05}"), value: Vec::new() };
        kv.write(namespace("ann"), write, limits).await.unwrap();
    }
    assert_eq!(kv.list(&namespace("ann"), ""), Err(KvError::TooLarge));
    assert_eq!(kv.list(&namespace("ann"), "00").unwrap().len(), 1000);
}

#[tokio::test]
async fn an_overlay_is_seen_only_through_itself_until_it_is_committed() {
    let (_folder, store) = store();
    let direct = Kv::Store(store.clone());
    set(&direct, "ann", "old", b"1").await.unwrap();
    set(&direct, "ann", "gone", b"1").await.unwrap();
    let overlay = Overlay::new(store.clone());
    let over = Kv::Overlay(overlay.clone());
    set(&over, "ann", "new", b"2").await.unwrap();
    over.write(namespace("ann"), Write::Delete { key: "gone".into() }, LIMITS).await.unwrap();
    assert_eq!(over.list(&namespace("ann"), "").unwrap(), ["new", "old"]);
    assert_eq!(direct.list(&namespace("ann"), "").unwrap(), ["gone", "old"]);

    drop(Overlay::new(store.clone()));
    overlay.commit().unwrap();
    assert!(overlay.is_empty());
    assert_eq!(direct.list(&namespace("ann"), "").unwrap(), ["new", "old"]);
    assert_eq!(store.used(&namespace("ann")), Ok(4 + 4));
}

#[tokio::test]
async fn a_refused_change_leaves_those_beside_it() {
    let (_folder, store) = store();
    let kv = Kv::Store(store);
    let (good, bad) = tokio::join!(set(&kv, "ann", "k", b"1"), set(&kv, "ann", "", b"1"));
    assert_eq!((good, bad), (Ok(1), Err(KvError::Key)));
}
