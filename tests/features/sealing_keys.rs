//! `--seal-keys`: which replicas take each other's states, and files that are no keys.

use std::fs;

use crate::confirmation::{answer, ask, asker, key, yes};
use crate::support::server::run_pressmark;
use crate::world::{ADA, World};

/// A replica for each list of keys; none for an empty one.
fn replicas(keys: &[&[u8]]) -> World {
    let mut world = World::folder();
    for (replica, keys) in keys.iter().enumerate() {
        let file = world.beside(&format!("{replica}.keys"));
        fs::write(&file, keys.iter().map(|byte| key(*byte)).collect::<String>()).expect("written");
        let arguments = ["--seal-keys", file.to_str().expect("UTF-8")];
        world.add_replica(if keys.is_empty() { &[] } else { &arguments });
    }
    world.plant(&[("/full/a.md", "a")]);
    world
}

/// Does the replica `there` take what `here` has sealed?
async fn takes(world: &World, here: usize, there: usize) -> bool {
    world.plant(&[("/full/a.md", "a")]);
    let asked = ask(&asker(world, here, ADA)).await;
    let reply = answer(&asker(world, there, ADA), "/full", &asked, yes()).await;
    let taken = reply.messages[0].get("result").is_some();
    assert_eq!(taken, !world.at("/full").exists(), "{}", reply.text);
    assert!(taken || reply.error_code() == -32602, "{}", reply.text);
    taken
}

#[tokio::test]
async fn without_a_common_key_a_state_is_good_where_it_was_made() {
    let world = replicas(&[&[], &[], &[1]]);
    for here in 0..3 {
        for there in 0..3 {
            assert_eq!(takes(&world, here, there).await, here == there, "{here} to {there}");
        }
    }
}

#[tokio::test]
async fn keys_are_exchanged_while_calls_wait() {
    // The steps of a rotation, each on a replica: the old key; the new one opens; it seals; the old one is gone.
    let world = replicas(&[&[1], &[1, 2], &[2, 1], &[2]]);
    let expected = [[true, true, true, false], [true, true, true, false], [false, true, true, true], [false, true, true, true]];
    for (here, row) in expected.iter().enumerate() {
        for (there, expected) in row.iter().enumerate() {
            assert_eq!(takes(&world, here, there).await, *expected, "{here} to {there}");
        }
    }
}

#[test]
fn files_that_are_no_keys_are_refused_in_one_line_that_quotes_nothing() {
    let world = World::folder();
    let secret = "c2VjcmV0";
    let cases = [
        ("", "no key in it"),
        ("\n\n", "no key in it"),
        (secret, "line 1 is not a key"),
        (&format!("{}{secret}\n", key(1)), "line 2 is not a key"),
        (&"zz".repeat(32), "line 1 is not a key"),
        (&[key(1), key(2), key(3)].concat(), "at most two keys"),
    ];
    let refused = |file: &str, said: &str| {
        let output = run_pressmark(&["serve", world.root(), "--listen", "127.0.0.1:0", "--seal-keys", file]);
        let complaint = String::from_utf8(output.stderr).expect("UTF-8");
        assert!(!output.status.success(), "{said}");
        assert!(complaint.contains(said) && complaint.contains("--seal-keys"), "{said} is not in {complaint}");
        assert_eq!(complaint.trim_end().lines().count(), 1, "{complaint}");
        assert!(!complaint.contains(secret) && !complaint.contains("0101") && !complaint.contains("zz"), "{complaint}");
    };
    let file = world.beside("seal.keys");
    for (content, said) in cases {
        fs::write(&file, content).expect("written");
        refused(file.to_str().expect("UTF-8"), said);
    }
    refused(world.beside("missing.keys").to_str().expect("UTF-8"), "No such file");
    refused(world.beside("").to_str().expect("UTF-8"), "directory");
    let inside = world.at("seal.keys");
    fs::write(&inside, key(1)).expect("written");
    refused(inside.to_str().expect("UTF-8"), "callers could read it in /");
    world.shell("ln -s served/seal.keys ../linked.keys");
    refused(world.beside("linked.keys").to_str().expect("UTF-8"), "callers could read it in /");
}
