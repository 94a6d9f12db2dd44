//! The capsules that the repository ships, running in the real sandbox with what they are granted.

use serde_json::{Value, json};

use crate::machine::Machine;

#[tokio::test(flavor = "multi_thread")]
async fn files_are_written_read_changed_and_deleted() {
    let machine = Machine::new();
    let files = machine.load("workspace/capsules/files");
    files.tool("write_file", json!({ "path": "src/a.txt", "content": "one\ntwo\n" })).await.unwrap();
    assert_eq!(std::fs::read_to_string(machine.workspace().join("src/a.txt")).unwrap(), "one\ntwo\n");

    let read = files.tool("read_file", json!({ "path": "src/a.txt", "start_line": 2 })).await.unwrap();
    assert_eq!((&read["content"], &read["total_lines"]), (&json!("two\n"), &json!(2)));

    let changed = files
        .tool("replace_in_file", json!({ "path": "src/a.txt", "old": "two", "new": "2" }))
        .await
        .unwrap();
    assert_eq!(changed["replaced_on_lines"], json!([2]));

    files.tool("copy_file", json!({ "from": "src/a.txt", "to": "b/c.txt" })).await.unwrap();
    files.tool("move_file", json!({ "from": "b/c.txt", "to": "b/d.txt" })).await.unwrap();
    let listed = files.tool("list_directory", json!({ "depth": 2 })).await.unwrap();
    let paths: Vec<&str> =
        listed["entries"].as_array().unwrap().iter().map(|entry| entry["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["b", "b/d.txt", "src", "src/a.txt"], "no temporary file is left");

    files.tool("delete_file", json!({ "path": "b", "recursive": true })).await.unwrap();
    let info = files.tool("file_info", json!({ "path": "b" })).await.unwrap();
    assert_eq!(info["exists"], json!(false));
}

#[tokio::test(flavor = "multi_thread")]
async fn files_keep_bytes_that_are_not_text() {
    let machine = Machine::new();
    let files = machine.load("workspace/capsules/files");
    std::fs::write(machine.workspace().join("x.bin"), [0xff, 0, 1]).unwrap();
    let read = files.tool("read_file", json!({ "path": "x.bin" })).await.unwrap();
    assert_eq!(read["encoding"], "base64");
    let again = json!({ "path": "y.bin", "content": read["content"], "encoding": "base64" });
    files.tool("write_file", again).await.unwrap();
    assert_eq!(std::fs::read(machine.workspace().join("y.bin")).unwrap(), [0xff, 0, 1]);
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn an_executable_file_stays_executable() {
    use std::os::unix::fs::PermissionsExt as _;
    let machine = Machine::new();
    let files = machine.load("workspace/capsules/files");
    let file = machine.workspace().join("run.sh");
    std::fs::write(&file, "#!/bin/sh\necho 1\n").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    files.tool("replace_in_file", json!({ "path": "run.sh", "old": "1", "new": "2" })).await.unwrap();
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o755);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_refuse_with_words_that_help_denied() {
    let machine = Machine::new();
    let files = machine.load("workspace/capsules/files");
    std::fs::create_dir(machine.workspace().join("folder")).unwrap();
    for (tool, arguments, words) in [
        ("read_file", json!({ "path": "none.txt" }), "does not exist"),
        ("read_file", json!({ "path": "folder" }), "is a folder"),
        ("read_file", json!({ "path": "../x" }), "contains `..`"),
        ("read_file", json!({ "path": "/etc/passwd" }), "is absolute"),
        ("write_file", json!({ "path": "folder", "content": "" }), "is a folder"),
        ("delete_file", json!({ "path": "folder" }), "recursive: true"),
        ("move_file", json!({ "from": "none", "to": "x" }), "does not exist"),
        ("read_file", json!({ "paht": "x" }), "unknown field `paht`"),
    ] {
        let error = files.tool(tool, arguments).await.unwrap_err();
        assert!(error.contains(words), "{tool}: {error}");
        assert!(!error.contains("ErrorCode") && !error.contains("API logic"), "{tool}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn search_finds_text_and_files_and_leaves_out_what_tools_made() {
    let machine = Machine::new();
    let search = machine.load("workspace/capsules/search");
    for (path, text) in [
        ("src/a.rs", "fn main() {}\n// Needle\n"),
        ("src/b.txt", "needle\n"),
        ("target/c.rs", "needle\n"),
        (".hidden", "needle\n"),
        ("x.bin", "needle\0\n"),
    ] {
        let file = machine.workspace().join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }
    let found = search.tool("search_text", json!({ "query": "needle", "context": 1 })).await.unwrap();
    let hits: Vec<(&str, &Value)> = found["matches"]
        .as_array()
        .unwrap()
        .iter()
        .map(|hit| (hit["path"].as_str().unwrap(), &hit["line"]))
        .collect();
    assert_eq!(hits, [("src/a.rs", &json!(2)), ("src/b.txt", &json!(1))]);
    assert_eq!(found["skipped_binary"], json!(1));

    let files =
        search.tool("find_files", json!({ "globs": ["*.rs"], "include_ignored": true })).await.unwrap();
    assert_eq!(files["files"].as_array().unwrap().len(), 2);
    assert!(search.tool("search_text", json!({ "query": "(", "regex": true })).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn notes_outlive_calls_and_belong_to_one_principal() {
    let machine = Machine::new();
    let notes = machine.load("memory/capsules/notes");
    let first = json!({ "title": "Why redb", "body": "pure Rust", "tags": ["#Decision"] });
    assert_eq!(notes.tool("note_save", first.clone()).await.unwrap()["id"], "why-redb");
    assert_eq!(notes.tool("note_save", first).await.unwrap()["id"], "why-redb-2");
    let more = json!({ "id": "why-redb", "title": "Why redb", "body": "and ACID", "append": true });
    notes.tool("note_save", more).await.unwrap();

    let note = notes.tool("note_get", json!({ "id": "why-redb" })).await.unwrap();
    assert_eq!((&note["body"], &note["tags"]), (&json!("pure Rust\nand ACID"), &json!(["decision"])));
    assert_eq!(note["created"], "2026-03-31T12:30:00Z");
    let found = notes.tool("note_search", json!({ "query": "ACID rust" })).await.unwrap();
    assert_eq!((&found["total"], &found["notes"][0]["id"]), (&json!(1), &json!("why-redb")));

    assert_eq!(notes.tool_as("bob", "note_list", json!({})).await.unwrap()["total"], json!(0));
    notes.tool("note_delete", json!({ "id": "why-redb-2" })).await.unwrap();
    assert_eq!(notes.tool("note_list", json!({ "tag": "decision" })).await.unwrap()["total"], json!(1));
    assert!(notes.tool("note_get", json!({ "id": "why-redb-2" })).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agenda_asks_the_tasks_over_the_bus() {
    let machine = Machine::new();
    let tasks = machine.load("memory/capsules/tasks");
    let agenda = machine.load("memory/capsules/agenda");
    for (title, due) in [("late", "2026-03-01"), ("today", "2026-03-31"), ("later", "2027-01-01")] {
        tasks.tool("task_add", json!({ "title": title, "due": due, "priority": "high" })).await.unwrap();
    }
    tasks.tool("task_add", json!({ "title": "done already" })).await.unwrap();
    tasks.tool("task_done", json!({ "id": 4 })).await.unwrap();

    let ((), day) = tokio::join!(
        tasks.serve_one("tasks.v1.request.list", "on_list_request"),
        agenda.tool("agenda", json!({ "days": 1 })),
    );
    let day = day.unwrap();
    assert_eq!(
        day["text"],
        "## Overdue\n- ! late [1] (due 2026-03-01)\n\n## Tuesday, 2026-03-31\n- ! today [2]\n\n1 more due later.\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_change_in_part_and_refuse_wrong_days_denied() {
    let machine = Machine::new();
    let tasks = machine.load("memory/capsules/tasks");
    tasks.tool("task_add", json!({ "title": "a", "due": "2026-04-01", "tags": ["x"] })).await.unwrap();
    let changed = tasks.tool("task_update", json!({ "id": 1, "due": "", "priority": "low" })).await.unwrap();
    assert_eq!((&changed["due"], &changed["tags"]), (&Value::Null, &json!(["x"])));
    tasks.tool("task_delete", json!({ "id": 1 })).await.unwrap();
    assert!(tasks.tool("task_done", json!({ "id": 1 })).await.unwrap_err().contains("no task 1"));
    assert!(
        tasks
            .tool("task_add", json!({ "title": "b", "due": "soon" }))
            .await
            .unwrap_err()
            .contains("YYYY-MM-DD")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clock_and_the_text_tools_compute() {
    let machine = Machine::new();
    let clock = machine.load("toolbox/capsules/clock");
    let now = clock.tool("now", json!({ "zone": "Asia/Tokyo" })).await.unwrap();
    assert_eq!((&now["time"], &now["weekday"]), (&json!("2026-03-31T21:30:00+09:00"), &json!("Tuesday")));
    let apart =
        clock.tool("date_difference", json!({ "from": "2026-01-01", "to": "2026-03-31" })).await.unwrap();
    assert_eq!(apart["days"], json!(89));

    let text = machine.load("toolbox/capsules/text");
    let hash = text.tool("hash_text", json!({ "text": "abc" })).await.unwrap();
    assert!(hash["text"].as_str().unwrap().starts_with("ba7816bf"));
    let diff = text.tool("diff_text", json!({ "before": "a\n", "after": "b\n" })).await.unwrap();
    assert_eq!((&diff["added"], &diff["removed"]), (&json!(1), &json!(1)));
}
