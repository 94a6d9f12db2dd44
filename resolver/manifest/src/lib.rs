//! The files people write and the lock: types, parsing, validation, diagnostics, schemas
