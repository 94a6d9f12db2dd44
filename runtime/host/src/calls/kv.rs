//! Values of the principal and capsule of the call.

use super::bindings::astrid::kv::host::{ErrorCode, Host, KeyPage};
use crate::kv::{KvError, Write, Written};
use crate::state::CallState;

impl From<KvError> for ErrorCode {
    fn from(error: KvError) -> Self {
        match error {
            KvError::Key => Self::InvalidKey,
            KvError::TooLarge => Self::TooLarge,
            KvError::Quota => Self::Quota,
            KvError::Mismatch => Self::CasMismatch,
            KvError::Store(reason) => {
                // The reason may name files of the machine, which are none of the guest's business.
                tracing::error!(%reason, "the key-value store failed");
                Self::Unknown("the store failed".to_owned())
            }
        }
    }
}

impl CallState {
    async fn write_value(&mut self, write: Write) -> Result<Written, ErrorCode> {
        Ok(self.kv.write(self.namespace(), write, self.kv_limits()).await?)
    }
}

impl Host for &mut CallState {
    fn kv_get(&mut self, key: String) -> Result<Option<Vec<u8>>, ErrorCode> {
        Ok(self.kv.get(&self.namespace(), &key)?)
    }

    async fn kv_set(&mut self, key: String, value: Vec<u8>) -> Result<(), ErrorCode> {
        self.write_value(Write::Set { key, value }).await.map(drop)
    }

    async fn kv_delete(&mut self, key: String) -> Result<(), ErrorCode> {
        self.write_value(Write::Delete { key }).await.map(drop)
    }

    fn kv_list_keys(&mut self, prefix: String) -> Result<Vec<String>, ErrorCode> {
        Ok(self.kv.list(&self.namespace(), &prefix)?)
    }

    fn kv_list_keys_page(
        &mut self,
        prefix: String,
        cursor: Option<String>,
        limit: u32,
    ) -> Result<KeyPage, ErrorCode> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let page = self.kv.page(&self.namespace(), &prefix, cursor.as_deref(), limit)?;
        Ok(KeyPage { keys: page.keys, next_cursor: page.next })
    }

    async fn kv_clear_prefix(&mut self, prefix: String) -> Result<u64, ErrorCode> {
        self.write_value(Write::ClearPrefix { prefix }).await
    }

    async fn kv_cas(
        &mut self,
        key: String,
        expected: Option<Vec<u8>>,
        new: Vec<u8>,
    ) -> Result<(), ErrorCode> {
        self.write_value(Write::CompareAndSet { key, expected, value: new }).await.map(drop)
    }
}
