//! Between check and use: a folder that is exchanged for a link to the outside while it is read and written.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{FileExt, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use pressmark::auth::Permission;
use pressmark::call::ToolErrorKind;
use pressmark::files::View;
use rustix::fs::{CWD, RenameFlags, renameat_with};

use serde_json::json;

use crate::support::{Served, StopOnDrop, caller, full, path};

const ROUNDS: usize = 20_000;

#[test]
fn exchanging_a_folder_for_a_link_shows_nothing_of_the_outside() {
    let served = Served::new();
    served.write("team/flip/name", "inside");
    fs::write(served.outside("name"), "SECRET").unwrap();
    symlink(served.temp.path().join("outside"), served.at("team/flop")).unwrap();
    let swapping = AtomicBool::new(true);
    for principal in [full(), caller("bob", &["files:/team/**"])] {
        swapping.store(true, Ordering::Relaxed);
        std::thread::scope(|scope| {
            let _stop = StopOnDrop(&swapping);
            scope.spawn(|| swap(&served.at("team/flip"), &served.at("team/flop"), &swapping));
            let outcome = use_all(&served.view(&principal));
            assert!(outcome.inside > 0 && outcome.refused > 0, "both sides were seen: {outcome:?}");
        });
    }
    let outside: Vec<_> = fs::read_dir(served.temp.path().join("outside")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(outside, ["name"], "nothing was written outside");
}

#[test]
fn exchanging_a_file_for_a_link_shows_nothing_of_the_outside() {
    let served = Served::new();
    served.write("team/flip", "inside");
    fs::write(served.outside("name"), "SECRET").unwrap();
    symlink("../../outside/name", served.at("team/flop")).unwrap();
    let swapping = AtomicBool::new(true);
    for principal in [full(), caller("bob", &["files:/team/**"])] {
        swapping.store(true, Ordering::Relaxed);
        std::thread::scope(|scope| {
            let _stop = StopOnDrop(&swapping);
            scope.spawn(|| swap(&served.at("team/flip"), &served.at("team/flop"), &swapping));
            let view = served.view(&principal);
            let mut outcome = Outcome::default();
            for _ in 0..ROUNDS {
                outcome.add(view.open_file(&path("/team/flip")).ok().map(|open| std::io::read_to_string(open.file).unwrap()));
            }
            assert!(outcome.inside > 0 && outcome.refused > 0, "both sides were seen: {outcome:?}");
        });
    }
}

#[test]
fn a_page_is_never_of_two_versions() {
    const SIZE: usize = 36_000;
    let served = Served::new();
    served.write("file", "a".repeat(SIZE));
    let (writing, interrupted) = (AtomicBool::new(true), AtomicBool::new(false));
    let mut seen = std::collections::BTreeSet::new();
    std::thread::scope(|scope| {
        let _stop = StopOnDrop(&writing);
        scope.spawn(|| {
            let file = fs::OpenOptions::new().write(true).open(served.at("file")).unwrap();
            for letter in ["b", "c", "d", "e"].iter().cycle() {
                let begin = Instant::now();
                for piece in 0..4 {
                    file.write_all_at(letter.repeat(SIZE / 4).as_bytes(), (piece * SIZE / 4) as u64).unwrap();
                }
                // On a busy machine the pieces may lie so far apart that what is between them is a version of its own.
                if begin.elapsed() > Duration::from_millis(10) {
                    interrupted.store(true, Ordering::Relaxed);
                }
                if !writing.load(Ordering::Relaxed) {
                    break;
                }
                std::thread::sleep(Duration::from_millis(30));
            }
        });
        for _ in 0..200 {
            match served.try_read(&json!({ "path": "/file" })) {
                Ok(page) => {
                    let mut letters: Vec<char> = page.text().chars().collect();
                    letters.dedup();
                    seen.insert(letters);
                }
                Err(error) => assert_eq!(error.kind(), ToolErrorKind::Changed, "{}", error.text()),
            }
        }
    });
    assert!(seen.len() > 1, "several versions were read: {seen:?}");
    assert!(seen.iter().all(|letters| letters.len() == 1) || interrupted.into_inner(), "a page of two versions: {seen:?}");
}

#[derive(Debug, Default)]
struct Outcome {
    inside: usize,
    refused: usize,
}

impl Outcome {
    fn add(&mut self, read: Option<String>) {
        match read {
            Some(text) => {
                assert_eq!(text, "inside");
                self.inside += 1;
            }
            None => self.refused += 1,
        }
    }
}

/// Reads a file by its path, through its folder, and writes beside it.
fn use_all(view: &View) -> Outcome {
    let mut outcome = Outcome::default();
    for round in 0..ROUNDS {
        outcome.add(view.open_file(&path("/team/flip/name")).ok().map(|open| std::io::read_to_string(open.file).unwrap()));
        if round % 16 == 0 {
            let folder = view.open_folder(&path("/team/flip")).ok();
            outcome.add(folder.map(|folder| folder.dir().unwrap().read_to_string("name").unwrap()));
            if let Ok(parent) = view.open_parent(&path("/team/flip/new"), Permission::Write) {
                parent.dir.create(&parent.name).unwrap().write_all(b"new").unwrap();
            }
            let _ = view.create_parents(&path("/team/flip/deep/er"));
        }
    }
    outcome
}

fn swap(one: &Path, other: &Path, swapping: &AtomicBool) {
    while swapping.load(Ordering::Relaxed) {
        renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).unwrap();
    }
    // A folder or file again under the first name, for the next round.
    if one.is_symlink() {
        renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).unwrap();
    }
}
