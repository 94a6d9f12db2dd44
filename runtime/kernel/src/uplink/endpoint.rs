//! The files under `run/`: which daemon runs, where it listens, and whether it is ready.
//!
//! The lock is taken before anything else is touched. The system releases it when its holder dies,
//! however it dies, so whoever holds it may remove what a killed daemon left behind.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use astrid_authority::Digest;
use rustix::fs::{FlockOperation, flock};

use super::key::Entropy;

/// Longest path of a socket, in bytes, without the closing zero: 108 on Linux, 104 elsewhere.
const MAX_SOCKET_PATH: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

/// Why the kernel can't listen.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// Another one holds the lock.
    #[error("a kernel already runs for this home{}; `astrid stop` ends it", pid.map(|pid| format!(" (process {pid})")).unwrap_or_default())]
    AlreadyRuns {
        /// Its process, when it has said so.
        pid: Option<u32>,
    },
    /// The system can't bind so long a path.
    #[error(
        "{path} has {bytes} bytes, a socket's path at most {MAX_SOCKET_PATH}: set ASTRID_HOME to a shorter path"
    )]
    PathTooLong {
        /// Where the socket would be.
        path: PathBuf,
        /// How long that is.
        bytes: usize,
    },
    /// A file can't be read or written.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

fn at(path: &Path) -> impl Fn(io::Error) -> EndpointError + '_ {
    move |source| EndpointError::Io { path: path.to_owned(), source }
}

/// Where the files are. Looking at them never creates or changes one.
#[derive(Debug, Clone)]
pub struct RunFolder(PathBuf);

impl RunFolder {
    /// The files of the folder `run`.
    pub fn new(run: impl Into<PathBuf>) -> Self {
        Self(run.into())
    }

    /// Held by the daemon for as long as it lives.
    pub fn lock(&self) -> PathBuf {
        self.0.join("system.lock")
    }

    /// Where it listens.
    pub fn socket(&self) -> PathBuf {
        self.0.join("system.sock")
    }

    /// What a client must know; fresh at every start.
    pub fn token(&self) -> PathBuf {
        self.0.join("system.token")
    }

    /// There when every capsule of the generation was brought up or given up.
    pub fn ready(&self) -> PathBuf {
        self.0.join("system.ready")
    }

    /// The daemon's process number and program.
    pub fn pid(&self) -> PathBuf {
        self.0.join("system.pid")
    }

    /// The process number and program that the last daemon wrote down, if they can be read.
    pub fn recorded_process(&self) -> Option<(u32, PathBuf)> {
        let text = fs::read_to_string(self.pid()).ok()?;
        let (pid, program) = text.split_once('\n')?;
        Some((pid.parse().ok()?, PathBuf::from(program.trim_end_matches('\n'))))
    }

    /// Says whether a daemon holds the lock. Never creates the file.
    ///
    /// # Errors
    /// When the lock can't be looked at.
    pub fn is_locked(&self) -> Result<bool, EndpointError> {
        let path = self.lock();
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(at(&path)(error)),
        };
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => Ok(false),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(true),
            Err(error) => Err(at(&path)(error.into())),
        }
    }
}

/// A process that may listen: it holds the lock.
#[derive(Debug)]
pub struct Claim {
    run: RunFolder,
    lock: File,
}

impl Claim {
    /// Takes the lock of `run`, which is created if need be, and removes what a killed daemon left.
    ///
    /// # Errors
    /// When another daemon runs, or the folder can't be used.
    pub fn take(run: &Path) -> Result<Self, EndpointError> {
        fs::create_dir_all(run).map_err(at(run))?;
        fs::set_permissions(run, fs::Permissions::from_mode(0o700)).map_err(at(run))?;
        let run = RunFolder::new(run);
        let path = run.lock();
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(at(&path))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut text = String::new();
                let pid = lock.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
                return Err(EndpointError::AlreadyRuns { pid });
            }
            Err(error) => return Err(at(&path)(error.into())),
        }
        let pid = std::process::id().to_string();
        lock.set_len(0)
            .and_then(|()| lock.rewind())
            .and_then(|()| lock.write_all(pid.as_bytes()))
            .map_err(at(&path))?;
        let claim = Self { run, lock };
        claim.remove_files()?;
        Ok(claim)
    }

    fn remove_files(&self) -> Result<(), EndpointError> {
        for path in [self.run.ready(), self.run.socket(), self.run.token(), self.run.pid()] {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(&path)(error)),
                _ => {}
            }
        }
        Ok(())
    }

    /// Listens, and writes down the token and the process. `program` is this program's path.
    ///
    /// # Errors
    /// When the socket's path is too long, or a file can't be written.
    pub fn listen(self, program: &Path, entropy: &Entropy) -> Result<Endpoint, EndpointError> {
        let socket = self.run.socket();
        let bytes = socket.as_os_str().len();
        if bytes > MAX_SOCKET_PATH {
            return Err(EndpointError::PathTooLong { path: socket, bytes });
        }
        let mut secret = [0; 32];
        let token_path = self.run.token();
        entropy(&mut secret).map_err(at(&token_path))?;
        let token = hex::encode(secret);
        write_private(&token_path, token.as_bytes())?;
        let pid_path = self.run.pid();
        write_private(&pid_path, format!("{}\n{}\n", std::process::id(), program.display()).as_bytes())?;
        let listener = UnixListener::bind(&socket).map_err(at(&socket))?;
        fs::set_permissions(&socket, fs::Permissions::from_mode(0o600)).map_err(at(&socket))?;
        listener.set_nonblocking(true).map_err(at(&socket))?;
        Ok(Endpoint { claim: self, listener: Some(listener), token })
    }
}

fn write_private(path: &Path, bytes: &[u8]) -> Result<(), EndpointError> {
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(at(path))?;
    file.write_all(bytes).map_err(at(path))
}

/// A socket that is listened on. Dropping it removes the files, not what they gave access to.
#[derive(Debug)]
pub struct Endpoint {
    claim: Claim,
    listener: Option<UnixListener>,
    token: String,
}

impl Endpoint {
    /// What clients must present.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The listener, once.
    pub fn take_listener(&mut self) -> Option<UnixListener> {
        self.listener.take()
    }

    /// Says that the daemon is ready, and for which folder of work.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn mark_ready(&self, workspace: &Path) -> Result<(), EndpointError> {
        let path = self.claim.run.ready();
        let unfinished = path.with_extension("ready.new");
        match fs::remove_file(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(&unfinished)(error)),
            _ => {}
        }
        write_private(&unfinished, format!("v1:{}\n", workspace_fingerprint(workspace)).as_bytes())?;
        fs::rename(&unfinished, &path).map_err(at(&path))
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        if let Err(error) = self.claim.remove_files() {
            tracing::warn!(%error, "files of the stopped kernel remain; the next start removes them");
        }
        // Nobody runs any more: the number in the lock would name a stranger.
        if let Err(error) = self.claim.lock.set_len(0) {
            tracing::debug!(%error, "the lock file keeps the number of this process");
        }
    }
}

/// Names a folder of work without telling where it is.
pub fn workspace_fingerprint(workspace: &Path) -> String {
    let path = workspace.canonicalize().unwrap_or_else(|_| workspace.to_owned());
    Digest::of_parts("astrid:workspace:v1", [path.as_os_str().as_encoded_bytes()]).hex()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    const FIVES: &Entropy = &|bytes| {
        bytes.fill(5);
        Ok(())
    };

    fn listen(run: &Path) -> Endpoint {
        Claim::take(run).unwrap().listen(Path::new("/bin/astrid"), FIVES).unwrap()
    }

    #[test]
    fn files_are_private_and_go_with_the_endpoint() {
        let home = tempfile::tempdir().unwrap();
        let run = home.path().join("run");
        let endpoint = listen(&run);
        endpoint.mark_ready(home.path()).unwrap();
        let files = RunFolder::new(&run);
        for path in [files.socket(), files.token(), files.pid(), files.lock()] {
            assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600, "{path:?}");
        }
        assert_eq!(fs::metadata(&run).unwrap().mode() & 0o777, 0o700);
        assert_eq!(fs::read_to_string(files.token()).unwrap(), "05".repeat(32));
        assert!(fs::read_to_string(files.ready()).unwrap().starts_with("v1:"));
        assert_eq!(files.recorded_process(), Some((std::process::id(), PathBuf::from("/bin/astrid"))));
        assert!(files.is_locked().unwrap());
        drop(endpoint);
        for path in [files.socket(), files.token(), files.pid(), files.ready()] {
            assert!(!path.exists(), "{path:?}");
        }
        assert!(!files.is_locked().unwrap());
        drop(listen(&run));
    }

    #[test]
    fn leftovers_of_a_killed_daemon_do_not_block() {
        let home = tempfile::tempdir().unwrap();
        let run = home.path().join("run");
        let mut endpoint = listen(&run);
        drop(endpoint.take_listener());
        let files = RunFolder::new(&run);
        // What a killed process leaves: the files, and a lock that the system has released.
        flock(&endpoint.claim.lock, FlockOperation::Unlock).unwrap();
        std::mem::forget(endpoint);
        assert!(files.socket().exists());
        drop(listen(&run));
        std::os::unix::fs::symlink("/nowhere", files.socket()).unwrap();
        drop(listen(&run));
    }

    #[test]
    fn a_second_daemon_is_denied() {
        let home = tempfile::tempdir().unwrap();
        let _first = listen(home.path());
        let error = Claim::take(home.path()).unwrap_err();
        assert!(matches!(error, EndpointError::AlreadyRuns { pid: Some(pid) } if pid == std::process::id()));
    }

    #[test]
    fn a_path_that_is_too_long_is_denied_with_advice() {
        let home = tempfile::tempdir().unwrap();
        let run = home.path().join("x".repeat(120));
        let error = Claim::take(&run).unwrap().listen(Path::new("a"), FIVES).unwrap_err();
        assert!(error.to_string().contains("ASTRID_HOME"), "{error}");
    }

    #[test]
    fn looking_creates_nothing() {
        let home = tempfile::tempdir().unwrap();
        let files = RunFolder::new(home.path().join("run"));
        assert!(!files.is_locked().unwrap());
        assert_eq!(files.recorded_process(), None);
        assert!(!home.path().join("run").exists());
    }
}
