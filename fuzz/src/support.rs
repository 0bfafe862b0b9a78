//! Code of the integration tests that the targets use, under the name it has there.

#[path = "../../tests/it/support/memory.rs"]
#[allow(
    dead_code,
    reason = "the targets tell the store neither to fail nor to wait"
)]
mod memory;

pub(crate) use memory::MemoryStore;
