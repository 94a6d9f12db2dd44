//! What a kernel is given on a real machine: clock, randomness, secrets, and files for log lines.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use astrid_authority::{CapsuleName, EnvKey, PrincipalId};
use astrid_host::{Clock, Entropy, EntropyError, LogLevel, LogSink, SecretSource};
use astrid_kernel::KernelPorts;
use astrid_manifest::Lock;
use astrid_manifest::subject::Subject;
use astrid_resolver::plan::Fleet;
use astrid_resolver::secrets::{Binding, SecretName, SecretStore, principal_scope};
use astrid_store::home::SecretScope;
use astrid_store::{Disk, GenerationNumber, Generations, Home};
use zeroize::Zeroizing;

/// Log files that are kept open.
const MOST_OPEN: usize = 64;

/// The ports of a kernel over `home` on this machine.
pub fn of_machine(home: &Home, disk: &Disk) -> KernelPorts {
    KernelPorts {
        clock: Arc::new(SystemClock::default()),
        entropy: Arc::new(SystemEntropy),
        secrets: Arc::new(HomeSecrets::new(home.clone(), disk.clone())),
        log: Arc::new(LogFiles::new(home.clone())),
    }
}

/// The clock of the system.
#[derive(Debug)]
pub struct SystemClock(Instant);

impl Default for SystemClock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Clock for SystemClock {
    fn unix_ms(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn monotonic_ns(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// The randomness of the system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        getrandom::fill(bytes).map_err(|_| EntropyError)
    }
}

/// Where each capsule of a generation came from and who signed it.
type Bindings = Arc<HashMap<CapsuleName, Binding>>;

/// The home's sealed secrets, opened only for the capsules of the current generation.
pub struct HomeSecrets {
    home: Home,
    disk: Disk,
    bindings: Mutex<Option<(GenerationNumber, Bindings)>>,
}

impl HomeSecrets {
    /// The secrets of `home`. Nothing is read before one is asked for.
    pub fn new(home: Home, disk: Disk) -> Self {
        Self { home, disk, bindings: Mutex::new(None) }
    }

    /// Whose secrets each capsule of the current generation may open.
    fn bindings(&self) -> Option<Bindings> {
        let generations = Generations::new(self.home.clone(), self.disk.clone());
        let number = generations.current_number().ok().flatten()?;
        let mut kept = self.bindings.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, bindings)) = kept.as_ref()
            && *of == number
        {
            return Some(Arc::clone(bindings));
        }
        let generation = generations.open(number).ok()?;
        let lock = Lock::parse("Distro.lock", &generation.lock().ok()?).ok()?.value;
        let fleet = Fleet::of_lock(&lock, &generation.meta().origin);
        let bindings = fleet.artifacts.iter().filter_map(|(subject, artifact)| match subject {
            Subject::Capsule(name) => {
                let binding = Binding { source: artifact.place.clone(), signer: artifact.signer.to_string() };
                Some((name.clone(), binding))
            }
            _ => None,
        });
        let bindings: Bindings = Arc::new(bindings.collect());
        *kept = Some((number, Arc::clone(&bindings)));
        Some(bindings)
    }
}

impl SecretSource for HomeSecrets {
    fn secret(
        &self,
        capsule: &CapsuleName,
        principal: &PrincipalId,
        key: &EnvKey,
        _reference: &str,
    ) -> Option<Zeroizing<String>> {
        let bindings = self.bindings()?;
        let binding = bindings.get(capsule)?;
        let store = SecretStore::open_existing(&self.home, &self.disk).ok().flatten()?;
        // A principal's own secret comes before one that the operator shares with all.
        for scope in [principal_scope(principal).ok()?, SecretScope::Host] {
            let name = SecretName { scope, capsule: capsule.clone(), key: key.clone() };
            match store.get(&name, binding) {
                Ok(Some(secret)) => {
                    return String::from_utf8(secret.expose().to_vec()).ok().map(Zeroizing::new);
                }
                Ok(None) => {}
                Err(error) => tracing::warn!(%capsule, %key, %error, "a secret is not given to the capsule"),
            }
        }
        None
    }
}

/// Log files: `home/<principal>/.local/log/<capsule>/<day>.log`.
pub struct LogFiles {
    home: Home,
    clock: SystemClock,
    open: Mutex<HashMap<(PrincipalId, CapsuleName), (String, File)>>,
}

impl LogFiles {
    /// The log files of `home`. Nothing is created before a line is written.
    pub fn new(home: Home) -> Self {
        Self { home, clock: SystemClock::default(), open: Mutex::default() }
    }

    fn append(
        &self,
        capsule: &CapsuleName,
        principal: &PrincipalId,
        line: &str,
        day: &str,
    ) -> std::io::Result<()> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (principal.clone(), capsule.clone());
        if open.get(&key).is_none_or(|(of, _)| of != day) {
            if open.len() >= MOST_OPEN {
                open.clear();
            }
            let folder = self.home.principal(principal).join(".local/log").join(capsule.as_str());
            fs::create_dir_all(&folder)?;
            let path = folder.join(format!("{day}.log"));
            let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
            open.insert(key.clone(), (day.to_owned(), file));
        }
        match open.get_mut(&key) {
            Some((_, file)) => file.write_all(line.as_bytes()),
            None => Ok(()),
        }
    }
}

impl LogSink for LogFiles {
    fn log(&self, capsule: &CapsuleName, principal: &PrincipalId, level: LogLevel, message: &str) {
        let ms = self.clock.unix_ms();
        let at = i64::try_from(ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
        let day = at.unwrap_or_default().strftime("%Y-%m-%d").to_string();
        // One line is one entry, whatever a capsule puts into it.
        let message = message.replace('\n', "\\n").replace('\r', "\\r");
        let line = format!("{}.{:03} {} [{capsule}] {message}\n", ms / 1000, ms % 1000, level.as_str());
        if level == LogLevel::Error {
            tracing::error!(%capsule, message, "logged by a capsule");
        }
        if let Err(error) = self.append(capsule, principal, &line, &day) {
            tracing::warn!(%capsule, %error, "a log line is lost");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_go_to_the_principals_own_file() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path().join("home"), folder.path().join("packs")).unwrap();
        let logs = LogFiles::new(home.clone());
        let (capsule, principal) = ("fs".parse().unwrap(), PrincipalId::default_user());
        logs.log(&capsule, &principal, LogLevel::Warn, "one\ntwo");
        logs.log(&capsule, &principal, LogLevel::Info, "three");
        let folder = home.principal(&principal).join(".local/log/fs");
        let file = fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
        let text = fs::read_to_string(file).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[0].ends_with("WARN [fs] one\\ntwo"), "{text}");
    }

    #[test]
    fn without_a_generation_every_secret_is_denied() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path().join("home"), folder.path().join("packs")).unwrap();
        let secrets = HomeSecrets::new(home, Disk::default());
        let principal = PrincipalId::default_user();
        assert!(secrets.secret(&"fs".parse().unwrap(), &principal, &"KEY".parse().unwrap(), "KEY").is_none());
        assert!(!folder.path().join("home").exists(), "asking creates nothing");
    }
}
