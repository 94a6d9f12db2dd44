//! The database on disk, and the thread that writes to it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use redb::{Database, ReadableDatabase, ReadableTable, Table, TableDefinition, TableError};

use super::apply::{self, Layer, cost};
use super::{KvError, KvLimits, Namespace, Write, Written};

/// Namespace, a zero byte, key → value.
const VALUES: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("values");
/// Namespace → bytes of its keys and values.
const USED: TableDefinition<'_, &str, u64> = TableDefinition::new("used");
/// Pages that are kept in memory, in bytes: values are read rarely, an idle daemon should be small.
const CACHE_BYTES: usize = 8 << 20;
/// Most changes of one transaction.
const MOST_TOGETHER: usize = 256;

type Reply = Box<dyn FnOnce(Result<Written, KvError>) + Send>;
type Change = (Vec<u8>, Option<Vec<u8>>);

enum Command {
    Write { namespace: Namespace, write: Write, limits: KvLimits, reply: Reply },
    Replace { changes: Vec<Change>, reply: Reply },
}

struct Shared {
    database: Arc<Database>,
    commands: Mutex<Option<Sender<Command>>>,
    writer: Mutex<Option<std::thread::JoinHandle<()>>>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        // Closing the channel ends the thread; waiting for it lets go of the file before this
        // returns, so that whoever opens it next does not find it locked.
        self.commands.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = self.writer.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = writer.join();
        }
    }
}

/// The database. Clones share it.
#[derive(Clone)]
pub struct KvStore(Arc<Shared>);

fn failed(error: impl std::fmt::Display) -> KvError {
    KvError::Store(error.to_string())
}

impl KvStore {
    /// Opens the database at `path`, or creates it.
    ///
    /// # Errors
    /// When it is damaged, of another version, or open in another process.
    pub fn open(path: &Path) -> Result<Self, KvError> {
        let database = Database::builder().set_cache_size(CACHE_BYTES).create(path).map_err(failed)?;
        let database = Arc::new(database);
        let (commands, received) = channel();
        let for_writer = Arc::clone(&database);
        let writer = std::thread::Builder::new()
            .name("astrid-kv".to_owned())
            .spawn(move || write_all(&for_writer, &received))
            .map_err(failed)?;
        Ok(Self(Arc::new(Shared {
            database,
            commands: Mutex::new(Some(commands)),
            writer: Mutex::new(Some(writer)),
        })))
    }

    /// Bytes of all keys and values of a namespace.
    ///
    /// # Errors
    /// When the database fails.
    pub fn used(&self, namespace: &Namespace) -> Result<u64, KvError> {
        let read = self.0.database.begin_read().map_err(failed)?;
        let Some(table) = opened(read.open_table(USED))? else { return Ok(0) };
        Ok(table.get(namespace.as_str()).map_err(failed)?.map_or(0, |bytes| bytes.value()))
    }

    pub(super) fn read(&self, key: &[u8]) -> Result<Option<Vec<u8>>, KvError> {
        let read = self.0.database.begin_read().map_err(failed)?;
        let Some(table) = opened(read.open_table(VALUES))? else { return Ok(None) };
        Ok(table.get(key).map_err(failed)?.map(|value| value.value().to_vec()))
    }

    pub(super) fn keys(&self, from: &[u8], within: &[u8], most: usize) -> Result<Vec<Vec<u8>>, KvError> {
        let read = self.0.database.begin_read().map_err(failed)?;
        let Some(table) = opened(read.open_table(VALUES))? else { return Ok(Vec::new()) };
        keys_in(&table, from, within, most)
    }

    pub(super) async fn write(
        &self,
        namespace: Namespace,
        write: Write,
        limits: KvLimits,
    ) -> Result<Written, KvError> {
        let (send, receive) = tokio::sync::oneshot::channel();
        // A caller that is gone no longer wants to know.
        let reply: Reply = Box::new(move |result| drop(send.send(result)));
        self.send(Command::Write { namespace, write, limits, reply })?;
        receive.await.map_err(failed)?
    }

    pub(super) fn replace_all(&self, changes: Vec<Change>) -> Result<Written, KvError> {
        let (send, receive) = channel();
        let reply: Reply = Box::new(move |result| drop(send.send(result)));
        self.send(Command::Replace { changes, reply })?;
        receive.recv().map_err(failed)?
    }

    fn send(&self, command: Command) -> Result<(), KvError> {
        let commands = self.0.commands.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(commands) = commands.as_ref() else { return Err(failed("it is closed")) };
        commands.send(command).map_err(|_| failed("its writer has stopped"))
    }
}

/// A table that was never written to is empty.
fn opened<T>(table: Result<T, TableError>) -> Result<Option<T>, KvError> {
    match table {
        Ok(table) => Ok(Some(table)),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

fn keys_in(
    table: &impl ReadableTable<&'static [u8], &'static [u8]>,
    from: &[u8],
    within: &[u8],
    most: usize,
) -> Result<Vec<Vec<u8>>, KvError> {
    let mut keys = Vec::new();
    for entry in table.range(from..).map_err(failed)?.take(most) {
        let (key, _) = entry.map_err(failed)?;
        if !key.value().starts_with(within) {
            break;
        }
        keys.push(key.value().to_vec());
    }
    Ok(keys)
}

/// The writer: takes what has gathered, makes it one transaction, and answers after the commit.
fn write_all(database: &Database, commands: &Receiver<Command>) {
    while let Ok(first) = commands.recv() {
        let mut together = vec![first];
        while together.len() < MOST_TOGETHER {
            let Ok(next) = commands.try_recv() else { break };
            together.push(next);
        }
        let mut replies = Vec::with_capacity(together.len());
        let committed = commit(database, together, &mut replies);
        for (reply, result) in replies {
            reply(committed.clone().and(result));
        }
    }
}

fn commit(
    database: &Database,
    commands: Vec<Command>,
    replies: &mut Vec<(Reply, Result<Written, KvError>)>,
) -> Result<(), KvError> {
    let mut commands = commands.into_iter();
    let mut attempt = || {
        let transaction = database.begin_write().map_err(failed)?;
        {
            let mut layer = InTransaction {
                values: transaction.open_table(VALUES).map_err(failed)?,
                used: transaction.open_table(USED).map_err(failed)?,
            };
            for command in commands.by_ref() {
                match command {
                    Command::Write { namespace, write, limits, reply } => {
                        replies.push((reply, apply::apply(&mut layer, &namespace, &write, limits)));
                    }
                    Command::Replace { changes, reply } => {
                        let result = replace(&mut layer, changes);
                        let halfway = result.clone().err();
                        replies.push((reply, result));
                        // Half of these changes must not stay: nothing of this transaction does.
                        if let Some(error) = halfway {
                            return Err(error);
                        }
                    }
                }
            }
        }
        transaction.commit().map_err(failed)
    };
    let committed = attempt();
    // Those that were never tried are answered as well.
    for command in commands {
        let (Command::Write { reply, .. } | Command::Replace { reply, .. }) = command;
        replies.push((reply, Ok(0)));
    }
    committed
}

fn replace(layer: &mut InTransaction<'_>, changes: Vec<Change>) -> Result<Written, KvError> {
    let mut used: BTreeMap<Namespace, u64> = BTreeMap::new();
    let mut written = 0;
    for (key, value) in changes {
        let namespace = key.split(|byte| *byte == 0).next().and_then(|bytes| std::str::from_utf8(bytes).ok());
        let namespace = Namespace(namespace.ok_or(KvError::Key)?.to_owned());
        let before = layer.get(&key)?.map_or(0, |old| cost(namespace.0.len(), &key, &old));
        let after = value.as_ref().map_or(0, |new| cost(namespace.0.len(), &key, new));
        let bytes = match used.get(&namespace) {
            Some(bytes) => *bytes,
            None => layer.used(&namespace)?,
        };
        used.insert(namespace, bytes.saturating_sub(before) + after);
        match value {
            Some(value) => layer.put(&key, &value)?,
            None => layer.remove(&key)?,
        }
        written += 1;
    }
    for (namespace, bytes) in used {
        layer.set_used(&namespace, bytes)?;
    }
    Ok(written)
}

struct InTransaction<'t> {
    values: Table<'t, &'static [u8], &'static [u8]>,
    used: Table<'t, &'static str, u64>,
}

impl Layer for InTransaction<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, KvError> {
        Ok(self.values.get(key).map_err(failed)?.map(|value| value.value().to_vec()))
    }

    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), KvError> {
        self.values.insert(key, value).map(drop).map_err(failed)
    }

    fn remove(&mut self, key: &[u8]) -> Result<(), KvError> {
        self.values.remove(key).map(drop).map_err(failed)
    }

    fn keys(&self, from: &[u8], within: &[u8], most: usize) -> Result<Vec<Vec<u8>>, KvError> {
        keys_in(&self.values, from, within, most)
    }

    fn used(&self, namespace: &Namespace) -> Result<u64, KvError> {
        Ok(self.used.get(namespace.as_str()).map_err(failed)?.map_or(0, |bytes| bytes.value()))
    }

    fn set_used(&mut self, namespace: &Namespace, bytes: u64) -> Result<(), KvError> {
        self.used.insert(namespace.as_str(), bytes).map(drop).map_err(failed)
    }
}
