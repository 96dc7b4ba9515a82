//! What the suite has to find: one line for each check that it makes, `SCENARIO: STATUS CHECK`, and for each that does not
//! pass, after `--`, whose fault that is and how one can see it.

use std::collections::BTreeSet;
use std::path::Path;

use crate::suite::Results;

/// The lines of a file, in their order.
pub(crate) struct Expected(Vec<(String, String)>);

impl Expected {
    /// Reads `expected/NAME.txt`.
    pub(crate) fn read(name: &str) -> Self {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/conformance/expected/{name}.txt"));
        let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(|line| {
            let (check, reason) = line.split_once(" -- ").map_or((line, None), |(check, reason)| (check, Some(reason)));
            let (scenario, check) = check.split_once(": ").unwrap_or_else(|| panic!("no line of this file: {line}"));
            assert!(check.starts_with("SUCCESS ") || reason.is_some_and(|reason| !reason.is_empty()), "no reason: {line}");
            (scenario.to_owned(), check.trim().to_owned())
        });
        let lines: Vec<_> = lines.collect();
        assert!(lines.len() > 5, "{} expects nearly nothing", file.display());
        Self(lines)
    }

    /// The results are these, and no others.
    pub(crate) fn assert_whole(&self, results: &Results) {
        self.assert(results, |_| true);
    }

    /// The results are these; scenarios that are not named here do not concern us, but the form of their answers does.
    pub(crate) fn assert_of_those_named(&self, results: &Results) {
        let named: BTreeSet<_> = self.0.iter().map(|(scenario, _)| scenario.as_str()).collect();
        self.assert(results, |scenario| named.contains(scenario));
        let answers = results.values().flatten().filter(|check| check.id == "wire-schema-valid");
        let (valid, invalid): (Vec<_>, Vec<_>) = answers.partition(|check| check.status == "SUCCESS");
        assert!(invalid.is_empty(), "{invalid:#?}");
        assert!(valid.len() > 20, "the suite looks at all answers: {}", valid.len());
    }

    fn assert(&self, results: &Results, concerns: impl Fn(&str) -> bool) {
        let (mut missing, mut unexpected) = (self.0.clone(), Vec::new());
        let concerned = results.iter().filter(|(scenario, _)| concerns(scenario));
        for (scenario, check) in concerned.flat_map(|(scenario, checks)| checks.iter().map(move |check| (scenario, check))) {
            let line = (scenario.clone(), format!("{} {}", check.status, check.id));
            match missing.iter().position(|expected| *expected == line) {
                Some(at) => drop(missing.remove(at)),
                None => unexpected.push(format!("{}: {} -- {}", line.0, line.1, check.error.as_deref().unwrap_or_default())),
            }
        }
        let missing: Vec<_> = missing.into_iter().map(|(scenario, check)| format!("{scenario}: {check}")).collect();
        assert!(
            missing.is_empty() && unexpected.is_empty(),
            "expected, but not there:\n{}\nthere, but not expected:\n{}",
            missing.join("\n"),
            unexpected.join("\n")
        );
    }
}
