//! Arguments of `keypair`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// What is done with keys.
#[derive(Debug, Subcommand)]
pub(crate) enum KeypairVerb {
    /// Make an ed25519 key in keys/local/ of the home
    Generate(GenerateArgs),
    /// List the keys that are there
    List,
    /// Show what is known about a key; never the key itself
    Show(KeyNameArgs),
    /// Print a public key, with --format wire, openssh or hex
    Pubkey(KeyNameArgs),
    /// Delete a key
    Delete(KeyNameArgs),
    /// Say, signed by the old key, which one follows it
    Endorse(EndorseArgs),
}

/// `keypair endorse`
#[derive(Debug, Args)]
pub(crate) struct EndorseArgs {
    /// The old key: its name, or a file with its 32 bytes (a path with `/` or `.`)
    #[arg(value_name = "OLD")]
    pub(crate) old: String,
    /// The public key that follows it
    #[arg(long, value_name = "KEY")]
    pub(crate) new: String,
    /// Add it to a file, such as endorsements.jsonl beside Distro.toml; without it, it is printed
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// `keypair generate`
#[derive(Debug, Args)]
pub(crate) struct GenerateArgs {
    /// Its name: letters, digits, `_` and `-`
    #[arg(long, default_value = "default")]
    pub(crate) name: String,
    /// What it is for, in a line
    #[arg(long, value_name = "TEXT")]
    pub(crate) note: Option<String>,
    /// Put it in the place of the key that is there
    #[arg(long)]
    pub(crate) force: bool,
    /// Print only the public key, as hexadecimal digits
    #[arg(long)]
    pub(crate) raw: bool,
}

/// `keypair show`, `pubkey`, `delete`
#[derive(Debug, Args)]
pub(crate) struct KeyNameArgs {
    /// Its name
    pub(crate) name: String,
}
