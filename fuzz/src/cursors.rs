//! Handles of cursors: one that was altered opens nothing of anybody else's, and each position has one spelling.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use pressmark::auth::{Principal, ScopeSet};
use pressmark::state::{CursorKind, Cursors, MemoryState};
use tokio::runtime::Runtime;

const KINDS: [CursorKind; 4] = [CursorKind::Read, CursorKind::List, CursorKind::Find, CursorKind::Search];
const RECORD: &str = "what the owner reads";

/// `input` is a handle. `{id}` in it stands for the random part of a handle that is in use.
pub fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let world = World::get();
    let text = text.replace("{id}", world.id());
    world.check_handle(&text);
    // How the check characters are made is no secret: they are there against miscopying.
    world.check_handle(&format!("{text}-{}", check_characters(&text)));
}

/// One cursor, and two callers.
struct World {
    runtime: Runtime,
    cursors: Cursors,
    owner: Principal,
    stranger: Principal,
    handle: String,
}

impl World {
    fn get() -> &'static Self {
        static WORLD: OnceLock<World> = OnceLock::new();
        WORLD.get_or_init(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
            let cursors = Cursors::new(Arc::new(MemoryState::new()), Duration::from_secs(1_000_000));
            let caller = |subject: &str| Principal::new("i", subject, ScopeSet::full());
            let (owner, stranger) = (caller("owner"), caller("stranger"));
            let handle = runtime.block_on(cursors.create(CursorKind::Read, &owner, &RECORD, &[7])).expect("memory is there");
            Self { runtime, cursors, owner, stranger, handle }
        })
    }

    fn id(&self) -> &str {
        self.handle[1..].split('-').next().expect("a handle has an id")
    }

    fn check_handle(&self, text: &str) {
        for kind in KINDS {
            let open = |caller| self.runtime.block_on(self.cursors.open::<String>(kind, caller, text));
            assert!(open(&self.stranger).is_err(), "{text:?} opens for a stranger");
            let Ok(cursor) = open(&self.owner) else { continue };
            assert_eq!((kind, cursor.record.as_str()), (CursorKind::Read, RECORD), "{text:?}");
            assert_eq!(cursor.handles.at(&cursor.position), text, "one position has one spelling");
        }
    }
}

/// What ends a handle: the lowest four digits, in base62 and lowest first, of the hash's first 128 bits.
fn check_characters(body: &str) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let hash = blake3::hash(body.as_bytes());
    let mut number = hash.as_bytes()[..16].iter().rev().fold(0_u128, |number, byte| number << 8 | u128::from(*byte));
    let digits = std::iter::repeat_with(|| {
        let digit = DIGITS[(number % 62) as usize];
        number /= 62;
        char::from(digit)
    });
    digits.take(4).collect()
}
