//! Queries of PromQL, held against what is exported: names, labels, and what may be done with a counter.

use std::collections::{BTreeMap, BTreeSet};

use promql_parser::label::MatchOp;
use promql_parser::parser::{self, AggregateExpr, BinaryExpr, Call, Expr, LabelModifier, VectorSelector, token};

/// Labels of a vector.
pub(super) type Labels = BTreeSet<String>;

/// What Prometheus or the operator puts on each series.
const TARGET: [&str; 3] = ["namespace", "job", "instance"];
/// What kube-state-metrics exports (its documentation, "HorizontalPodAutoscaler Metrics" and "Deployment Metrics").
const KUBE: [(&str, &str); 6] = [
    ("kube_horizontalpodautoscaler_spec_min_replicas", "horizontalpodautoscaler"),
    ("kube_horizontalpodautoscaler_spec_max_replicas", "horizontalpodautoscaler"),
    ("kube_horizontalpodautoscaler_status_current_replicas", "horizontalpodautoscaler"),
    ("kube_horizontalpodautoscaler_status_desired_replicas", "horizontalpodautoscaler"),
    ("kube_deployment_spec_replicas", "deployment"),
    ("kube_deployment_status_replicas_available", "deployment"),
];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// Grows, and begins again with the process: only its rate means something.
    Counter,
    Gauge,
}

/// The series that there are.
#[derive(Default)]
pub(super) struct Exported(BTreeMap<String, (Kind, Labels)>);

/// A query that was found right.
pub(super) struct Checked {
    /// Of what comes out.
    pub(super) labels: Labels,
    /// What it selects, as queries of their own.
    pub(super) selectors: Vec<String>,
}

impl Exported {
    /// From an answer of `/metrics` (OpenMetrics 1.0); and what comes from elsewhere.
    pub(super) fn parse(text: &str) -> Self {
        let mut exported = Self::default();
        let mut kinds = BTreeMap::new();
        for line in text.lines() {
            if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
                kinds.insert(name, kind);
            } else if !line.starts_with('#') {
                let series = line.rsplit_once(' ').expect("a name and a value").0;
                let (name, labels) = series.split_once('{').unwrap_or((series, ""));
                let labels =
                    labels.trim_end_matches('}').split("\",").filter_map(|label| Some(label.split_once("=\"")?.0.to_owned()));
                let family = kinds.iter().rev().find(|(family, _)| name.starts_with(**family)).expect("a type comes first");
                let kind = if matches!(*family.1, "counter" | "histogram") { Kind::Counter } else { Kind::Gauge };
                exported.add(name, kind, labels);
            }
        }
        exported.add("up", Kind::Gauge, []);
        for (name, label) in KUBE {
            exported.add(name, Kind::Gauge, [label.to_owned()]);
        }
        exported
    }

    /// What a rule records.
    pub(super) fn record(&mut self, name: &str, labels: Labels) {
        self.0.insert(name.to_owned(), (Kind::Gauge, labels));
    }

    fn add(&mut self, name: &str, kind: Kind, labels: impl IntoIterator<Item = String>) {
        let all = &mut self.0.entry(name.to_owned()).or_insert_with(|| (kind, TARGET.map(str::to_owned).into())).1;
        all.extend(labels);
    }

    /// Can this be asked of what is exported? An error says what cannot.
    pub(super) fn check(&self, query: &str) -> Result<Checked, String> {
        let mut selectors = Vec::new();
        let labels = self.walk(&parser::parse(query)?, &mut selectors)?.ok_or("a number is no series")?;
        Ok(Checked { labels, selectors })
    }

    /// The labels of a vector; `None` for a number.
    fn walk(&self, query: &Expr, selectors: &mut Vec<String>) -> Result<Option<Labels>, String> {
        match query {
            Expr::NumberLiteral(_) | Expr::StringLiteral(_) => Ok(None),
            Expr::Paren(inner) => self.walk(&inner.expr, selectors),
            Expr::VectorSelector(selector) => match self.select(selector, selectors)? {
                (Kind::Counter, _) => Err(format!("`{selector}` is a counter; ask for its rate")),
                (Kind::Gauge, labels) => Ok(Some(labels)),
            },
            Expr::Call(call) => self.call(call, selectors),
            Expr::Aggregate(aggregate) => self.aggregate(aggregate, selectors).map(Some),
            Expr::Binary(binary) => self.binary(binary, selectors),
            other => Err(format!("`{other}` is of a kind that nothing here uses")),
        }
    }

    fn select(&self, selector: &VectorSelector, selectors: &mut Vec<String>) -> Result<(Kind, Labels), String> {
        let name = selector.name.as_ref().ok_or("a selector has no name")?;
        let (kind, labels) = self.0.get(name).ok_or_else(|| format!("`{name}` is not exported"))?;
        for matcher in &selector.matchers.matchers {
            known(&matcher.name, labels, name)?;
        }
        selectors.push(selector.to_string());
        Ok((*kind, labels.clone()))
    }

    fn call(&self, call: &Call, selectors: &mut Vec<String>) -> Result<Option<Labels>, String> {
        let (name, arguments) = (call.func.name, &call.args.args);
        match (name, arguments.first().map(|argument| &**argument)) {
            ("time", _) => Ok(None),
            ("vector", _) => Ok(Some(Labels::new())),
            ("rate" | "increase" | "changes", Some(Expr::MatrixSelector(range))) => {
                let (kind, labels) = self.select(&range.vs, selectors)?;
                let wanted = if name == "changes" { Kind::Gauge } else { Kind::Counter };
                if kind == wanted { Ok(Some(labels)) } else { Err(format!("{name} of `{}`, which is a {kind:?}", range.vs)) }
            }
            ("absent", Some(inner)) => self.walk(inner, selectors).map(|_| Some(equalities(inner))),
            ("histogram_quantile", _) => {
                let inner = arguments.get(1).ok_or("no buckets")?;
                let mut labels = self.walk(inner, selectors)?.ok_or("no buckets")?;
                if labels.remove("le") { Ok(Some(labels)) } else { Err(format!("`le` is lost in `{inner}`")) }
            }
            ("label_replace", Some(inner)) => {
                let mut labels = self.walk(inner, selectors)?.ok_or("no labels to replace")?;
                let [_, to, _, from, _] = &arguments[..] else { return Err("five arguments".to_owned()) };
                known(&text(from)?, &labels, "label_replace")?;
                labels.insert(text(to)?);
                Ok(Some(labels))
            }
            _ => Err(format!("`{call}` is of a kind that nothing here uses")),
        }
    }

    fn aggregate(&self, aggregate: &AggregateExpr, selectors: &mut Vec<String>) -> Result<Labels, String> {
        let labels = self.walk(&aggregate.expr, selectors)?.ok_or("an aggregate of a number")?;
        match &aggregate.modifier {
            None => Ok(Labels::new()),
            Some(modifier) => {
                let named: Labels = modifier.labels().labels.iter().cloned().collect();
                for label in &named {
                    known(label, &labels, &aggregate.expr.to_string())?;
                }
                let kept = |label: &&String| named.contains(*label) == matches!(modifier, LabelModifier::Include(_));
                Ok(labels.iter().filter(kept).cloned().collect())
            }
        }
    }

    fn binary(&self, binary: &BinaryExpr, selectors: &mut Vec<String>) -> Result<Option<Labels>, String> {
        let (left, right) = (self.walk(&binary.lhs, selectors)?, self.walk(&binary.rhs, selectors)?);
        if binary.modifier.as_ref().is_some_and(|modifier| modifier.matching.is_some()) {
            return Err(format!("`{binary}` matches by chosen labels, which nothing here does"));
        }
        match (left, right) {
            // Series meet only when all their labels are alike.
            (Some(left), Some(right)) if left != right && binary.op.id() != token::T_LOR => {
                Err(format!("`{binary}` has {left:?} on the left and {right:?} on the right: they never meet"))
            }
            (left, right) => Ok(left.or(right)),
        }
    }
}

fn known(label: &str, labels: &Labels, of: &str) -> Result<(), String> {
    if labels.contains(label) { Ok(()) } else { Err(format!("`{of}` has no label `{label}`, but {labels:?}")) }
}

fn text(argument: &Expr) -> Result<String, String> {
    match argument {
        Expr::StringLiteral(literal) => Ok(literal.val.clone()),
        other => Err(format!("`{other}` is no text")),
    }
}

/// The labels that `absent` can tell of: those that are asked to have one value.
fn equalities(query: &Expr) -> Labels {
    match query {
        Expr::Binary(binary) => equalities(&binary.lhs),
        Expr::VectorSelector(selector) => {
            let equal = selector.matchers.matchers.iter().filter(|matcher| matcher.op == MatchOp::Equal);
            equal.map(|matcher| matcher.name.clone()).collect()
        }
        _ => Labels::new(),
    }
}
