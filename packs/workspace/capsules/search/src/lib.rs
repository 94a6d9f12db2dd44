//! Finds files by their names and text by its lines, reading the workspace and nothing else.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod matching;
mod walk;

use astrid_sdk::prelude::*;
use matching::{Found, Globs, Query, is_binary};
use refusal::Refusal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use walk::{End, Scope, walk};
use workspace_paths::WorkspacePath;

/// Larger files are data, not text that somebody reads.
const MAX_FILE: u64 = 2 * 1024 * 1024;
/// A search reads at most this much.
const MAX_TOTAL: u64 = 64 * 1024 * 1024;
const DEFAULT_RESULTS: usize = 100;
const MAX_RESULTS: usize = 1000;
const MAX_CONTEXT: usize = 10;

/// Arguments of `search_text`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SearchText {
    /// What to look for: plain text, or a regular expression with `regex: true`. Matched line by line.
    pub query: String,
    /// Read `query` as a regular expression. Default: false.
    #[serde(default)]
    pub regex: bool,
    /// Tell upper and lower case apart. Default: only when `query` has an upper-case letter.
    pub case_sensitive: Option<bool>,
    /// A folder or a file to search, relative to the workspace. Default: all of it.
    #[serde(default)]
    pub path: String,
    /// Only files that match one of these globs, for example `["*.rs", "!**/tests/**"]`.
    #[serde(default)]
    pub globs: Vec<String>,
    /// How many lines to show before and after each match, at most 10. Default: 0.
    #[serde(default)]
    pub context: usize,
    /// At most this many matches, up to 1000. Default: 100.
    pub max_results: Option<usize>,
    /// Also search hidden files. Default: false.
    #[serde(default)]
    pub include_hidden: bool,
    /// Also search folders that tools fill, such as `target` and `node_modules`. Default: false.
    #[serde(default)]
    pub include_ignored: bool,
}

/// Arguments of `find_files`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FindFiles {
    /// Globs, for example `["*.toml"]` or `["src/**/mod.rs", "!**/old/**"]`. One without `/` matches
    /// the file's name in any folder.
    pub globs: Vec<String>,
    /// The folder to look in, relative to the workspace. Default: all of it.
    #[serde(default)]
    pub path: String,
    /// At most this many files, up to 1000. Default: 100.
    pub max_results: Option<usize>,
    /// Also find hidden files. Default: false.
    #[serde(default)]
    pub include_hidden: bool,
    /// Also look into folders that tools fill, such as `target` and `node_modules`. Default: false.
    #[serde(default)]
    pub include_ignored: bool,
}

/// A match and the file that it is in.
#[derive(Debug, Serialize)]
pub struct Match {
    path: String,
    #[serde(flatten)]
    found: Found,
}

/// Answer of `search_text`.
#[derive(Debug, Default, Serialize)]
pub struct Matches {
    #[serde(rename = "matches")]
    hits: Vec<Match>,
    searched_files: usize,
    skipped_binary: usize,
    skipped_large: usize,
    /// Why there may be more matches than these.
    #[serde(skip_serializing_if = "Option::is_none")]
    incomplete: Option<String>,
}

/// A file that was found.
#[derive(Debug, Serialize)]
pub struct FoundFile {
    path: String,
    bytes: u64,
}

/// Answer of `find_files`.
#[derive(Debug, Default, Serialize)]
pub struct FoundFiles {
    files: Vec<FoundFile>,
    /// Why there may be more files than these.
    #[serde(skip_serializing_if = "Option::is_none")]
    incomplete: Option<String>,
}

/// The capsule.
#[derive(Debug, Default)]
pub struct Search;

/// Find files and text in the workspace. Reads only.
#[capsule]
impl Search {
    /// Search the text of the workspace's files, line by line. Leaves out binary files, files above
    /// 2 MiB, hidden files and folders that tools fill (such as `.git`, `target`, `node_modules`).
    #[astrid::tool("search_text")]
    pub fn search_text(&self, args: SearchText) -> Result<Matches, Refusal> {
        let start = WorkspacePath::parse(&args.path)?;
        let is_case_sensitive =
            args.case_sensitive.unwrap_or_else(|| args.query.chars().any(char::is_uppercase));
        let query = Query::new(&args.query, args.regex, is_case_sensitive)?;
        let globs = Globs::new(&args.globs);
        let scope = Scope { hidden: args.include_hidden, ignored: args.include_ignored };
        let most = args.max_results.unwrap_or(DEFAULT_RESULTS).clamp(1, MAX_RESULTS);
        let mut answer = Matches::default();
        let mut total = 0;
        let end = walk(&start, scope, &mut |path, bytes| {
            if !globs.admit(path.as_str()) {
                return Ok(true);
            }
            if bytes > MAX_FILE {
                answer.skipped_large += 1;
                return Ok(true);
            }
            total += bytes;
            if total > MAX_TOTAL {
                answer.incomplete = Some("64 MiB were read; narrow `path` or `globs`".to_owned());
                return Ok(false);
            }
            let Ok(content) = fs::read(&path.uri()) else { return Ok(true) };
            if is_binary(&content) {
                answer.skipped_binary += 1;
                return Ok(true);
            }
            answer.searched_files += 1;
            let room = most - answer.hits.len();
            // One more than there is room for shows whether there are more.
            let mut found =
                query.find(&String::from_utf8_lossy(&content), args.context.min(MAX_CONTEXT), room + 1);
            let is_full = found.len() > room;
            found.truncate(room);
            answer
                .hits
                .extend(found.into_iter().map(|found| Match { path: path.as_str().to_owned(), found }));
            if is_full {
                answer.incomplete = Some(format!(
                    "there are more than {most} matches; narrow the query or raise `max_results`"
                ));
            }
            Ok(!is_full)
        })?;
        if end == End::TooMany {
            answer.incomplete = Some(too_many());
        }
        Ok(answer)
    }

    /// Find files of the workspace by their paths. Leaves out hidden files and folders that tools fill
    /// (such as `.git`, `target`, `node_modules`) unless asked.
    #[astrid::tool("find_files")]
    pub fn find_files(&self, args: FindFiles) -> Result<FoundFiles, Refusal> {
        let start = WorkspacePath::parse(&args.path)?;
        if args.globs.iter().all(String::is_empty) {
            return Err(Refusal::new("`globs` is empty; use `[\"*\"]` for every file".to_owned()));
        }
        let globs = Globs::new(&args.globs);
        let scope = Scope { hidden: args.include_hidden, ignored: args.include_ignored };
        let most = args.max_results.unwrap_or(DEFAULT_RESULTS).clamp(1, MAX_RESULTS);
        let mut answer = FoundFiles::default();
        let end = walk(&start, scope, &mut |path, bytes| {
            if !globs.admit(path.as_str()) {
                return Ok(true);
            }
            if answer.files.len() == most {
                answer.incomplete =
                    Some(format!("there are more than {most} files; narrow `globs` or raise `max_results`"));
                return Ok(false);
            }
            answer.files.push(FoundFile { path: path.as_str().to_owned(), bytes });
            Ok(true)
        })?;
        if end == End::TooMany {
            answer.incomplete = Some(too_many());
        }
        Ok(answer)
    }
}

fn too_many() -> String {
    format!("the search ended after {} files; narrow `path`", walk::MAX_FILES)
}
