//! From compiled code to a component that can be instantiated: the one place with unsafe code.
//!
//! Loading code that the engine's compiler did not make would run whatever it says, outside of the
//! sandbox; that is why the engine calls it unsafe.

use wasmtime::component::Component;

/// Code that this program made itself, from a component that it validated.
///
/// It borrows the very bytes that were verified: nothing can change them in between.
pub(super) struct OwnCode<'a>(&'a [u8]);

impl<'a> OwnCode<'a> {
    /// To be called only with bytes whose tag was found right.
    pub(super) fn after_verification(code: &'a [u8]) -> Self {
        Self(code)
    }

    /// Copies the code into executable memory.
    #[expect(
        unsafe_code,
        reason = "sound, as the bytes are unchanged output of `Engine::precompile_component`: they were tagged \
                  with a key that only this home has, right after they were compiled, and the tag over exactly \
                  these borrowed bytes was found right; the engine itself refuses code of another version or \
                  configuration. Whoever has the key can change the program as well"
    )]
    pub(super) fn load(self, engine: &wasmtime::Engine) -> wasmtime::Result<Component> {
        // SAFETY: see the reason above.
        unsafe { Component::deserialize(engine, self.0) }
    }
}
