//! `requestState`: of what a client sends back, only what was sealed for this very caller and request opens.

use std::sync::OnceLock;

use pressmark::auth::{Principal, ScopeSet};
use pressmark::call::Answers;
use pressmark::mcp::{Fingerprint, RequestStates};
use serde_json::Value;

/// `input` is three lines: the arguments of a call, those of another, and a state, in which `{state}` stands for one that
/// was sealed for the first call.
pub fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let mut lines = text.splitn(3, '\n').chain(std::iter::repeat(""));
    let mut next = || lines.next().unwrap_or_default();
    let (first, second, state) = (next(), next(), next());

    let world = World::get();
    let [one, other] = [first, second].map(|arguments| Fingerprint::of("tools/call", "t", Some(arguments.as_bytes())));
    let same = is_same(first, second);
    assert_eq!(one == other, same, "{first} and {second}");

    let answers = Answers::from([("key".to_owned(), Value::from(first))]);
    let Ok(sealed) = world.states.seal(&world.owner, one, answers.clone()) else { return };
    assert_eq!(world.states.open(&world.owner, one, &sealed).as_ref(), Ok(&answers), "{first}");
    assert_eq!(world.states.open(&world.owner, other, &sealed).is_ok(), same, "sealed for {first}, presented with {second}");
    assert!(world.states.open(&world.stranger, one, &sealed).is_err(), "opens for a stranger");
    assert!(world.states_of_others.open(&world.owner, one, &sealed).is_err(), "opens under another key");

    let sent = state.replace("{state}", &sealed);
    assert_eq!(world.states.open(&world.owner, one, &sent).is_ok(), sent == sealed, "{state}");
    for cut in [1, sealed.len() / 2, sealed.len() - 1] {
        assert!(world.states.open(&world.owner, one, &sealed[..cut]).is_err(), "a part of a state opens");
    }
}

/// Do these mean the same to whoever reads them as JSON? What cannot be read means only itself.
fn is_same(first: &str, second: &str) -> bool {
    let [one, other] = [first, second].map(serde_json::from_str::<Value>);
    match (one, other) {
        (Ok(one), Ok(other)) => one == other,
        (Err(_), Err(_)) => first == second,
        _ => false,
    }
}

struct World {
    states: RequestStates,
    states_of_others: RequestStates,
    owner: Principal,
    stranger: Principal,
}

impl World {
    fn get() -> &'static Self {
        static WORLD: OnceLock<World> = OnceLock::new();
        WORLD.get_or_init(|| {
            let caller = |subject: &str| Principal::new("i", subject, ScopeSet::full());
            Self {
                states: RequestStates::new(&[[1; 32], [2; 32]]),
                states_of_others: RequestStates::new(&[[3; 32]]),
                owner: caller("owner"),
                stranger: caller("stranger"),
            }
        })
    }
}
