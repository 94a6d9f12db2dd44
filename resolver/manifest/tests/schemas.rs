//! The files below `schemas/` are those that the types give.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::path::Path;

#[test]
fn schemas_are_up_to_date() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas");
    let update = std::env::var_os("UPDATE_SCHEMAS").is_some();
    for named in astrid_manifest::schema::all() {
        let path = folder.join(named.file);
        if update {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&path, named.text()).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            found == named.text(),
            "schemas/{} is out of date: run `UPDATE_SCHEMAS=1 cargo test -p astrid-manifest --test schemas`",
            named.file
        );
    }
}
