//! Tools that take several rounds: what was answered in one is at hand in the next, on whichever replica it runs.

use pressmark::call::{CallContext, Elicitation, NoArguments, Sampling};
use pressmark::tools::{Tool, ToolSpec};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{Answer, say, spec};

#[derive(Deserialize, JsonSchema)]
pub(crate) struct Name {
    /// How somebody wants to be called
    pub(crate) name: String,
}

#[derive(Deserialize, JsonSchema)]
struct Color {
    color: String,
}

#[derive(Deserialize, JsonSchema)]
struct Confirmation {
    ok: bool,
}

pub(crate) fn ask_name() -> Elicitation {
    Elicitation::form_of::<Name>("What is your name?")
}

fn confirm() -> Elicitation {
    Elicitation::form_of::<Confirmation>("Please confirm")
}

pub(crate) struct AskName;

impl Tool for AskName {
    const SPEC: ToolSpec = spec("test_input_required_result_elicitation", "Ask for a name", "Greets the user by name.");
    type Args = NoArguments;
    type Output = ();

    async fn call(&self, cx: &CallContext, _: NoArguments) -> Answer {
        match cx.elicit("user_name", &ask_name())?.accepted() {
            Some(Name { name }) => say(format!("Hello, {name}!")),
            None => say("Hello, whoever you are!"),
        }
    }
}

pub(crate) struct AskCapital;

impl Tool for AskCapital {
    const SPEC: ToolSpec = spec("test_input_required_result_sampling", "Ask for a capital", "Asks the client's model.");
    type Args = NoArguments;
    type Output = ();

    async fn call(&self, cx: &CallContext, _: NoArguments) -> Answer {
        let answer = cx.sample("capital_question", &Sampling::ask("What is the capital of France?", 100))?;
        say(format!("{} says: {}", answer.model, answer.text().unwrap_or("nothing")))
    }
}

pub(crate) struct AskRoots;

impl Tool for AskRoots {
    const SPEC: ToolSpec = spec("test_input_required_result_list_roots", "Ask for roots", "Names the client's folders.");
    type Args = NoArguments;
    type Output = ();

    async fn call(&self, cx: &CallContext, _: NoArguments) -> Answer {
        let roots = cx.roots("client_roots")?;
        let uris: Vec<_> = roots.iter().map(|root| root.uri.as_str()).collect();
        say(format!("Roots: {}", uris.join(", ")))
    }
}

pub(crate) struct Confirm;

impl Tool for Confirm {
    const SPEC: ToolSpec = spec("test_input_required_result_request_state", "Confirm", "Goes on when the user confirms.");
    type Args = NoArguments;
    type Output = ();

    async fn call(&self, cx: &CallContext, _: NoArguments) -> Answer {
        match cx.elicit("confirm", &confirm())?.accepted() {
            Some(Confirmation { ok: true }) => say("state-ok: confirmed"),
            Some(Confirmation { ok: false }) | None => say("not confirmed"),
        }
    }
}

/// The same again: what the client brings along between the rounds is always sealed.
pub(crate) struct ConfirmSealed;

impl Tool for ConfirmSealed {
    const SPEC: ToolSpec =
        spec("test_input_required_result_tampered_state", "Confirm, sealed", "Is refused when its state was tampered with.");
    type Args = NoArguments;
    type Output = ();

    async fn call(&self, cx: &CallContext, args: NoArguments) -> Answer {
        Confirm.call(cx, args).await
    }
}

pub(crate) struct AskAllAtOnce;

impl Tool for AskAllAtOnce {
    const SPEC: ToolSpec = spec(
        "test_input_required_result_multiple_inputs",
        "Ask all at once",
        "Asks the user, the client's model and the client in one round.",
    );
    type Args = NoArguments;
    type Output = ();

    async fn call(&self, cx: &CallContext, _: NoArguments) -> Answer {
        // All questions before the first `?`: they go out together.
        let name = cx.elicit("user_name", &ask_name());
        let greeting = cx.sample("greeting", &Sampling::ask("Generate a greeting", 50));
        let roots = cx.roots("client_roots");
        let (name, greeting, roots) = (name?.accepted(), greeting?, roots?);
        let name = name.map_or_else(|| "nobody".to_owned(), |Name { name }| name);
        say(format!("{name}: {} You have {} roots.", greeting.text().unwrap_or("Hello."), roots.len()))
    }
}

pub(crate) struct AskInTurn;

impl Tool for AskInTurn {
    const SPEC: ToolSpec =
        spec("test_input_required_result_multi_round", "Ask in turn", "Asks the user one thing, then another.");
    type Args = NoArguments;
    type Output = ();

    async fn call(&self, cx: &CallContext, _: NoArguments) -> Answer {
        let name = cx.elicit("step1", &Elicitation::form_of::<Name>("Step 1: What is your name?"))?;
        let color = cx.elicit("step2", &Elicitation::form_of::<Color>("Step 2: What is your favorite color?"))?;
        match (name.accepted(), color.accepted()) {
            (Some(Name { name }), Some(Color { color })) => say(format!("{name} likes {color}")),
            _ => say("Somebody likes something"),
        }
    }
}

pub(crate) struct AskWhatTheClientCan;

impl Tool for AskWhatTheClientCan {
    const SPEC: ToolSpec = spec(
        "test_input_required_result_capabilities",
        "Ask what the client can answer",
        "Asks the user or the client's model, whichever the client has.",
    );
    type Args = NoArguments;
    type Output = ();

    async fn call(&self, cx: &CallContext, _: NoArguments) -> Answer {
        let name = cx.client().has_forms().then(|| cx.elicit("user_name", &ask_name()));
        let greeting = cx.client().sampling.is_some().then(|| cx.sample("greeting", &Sampling::ask("Greet somebody", 50)));
        match (name.transpose()?, greeting.transpose()?) {
            (None, None) => say("The client can answer nothing"),
            (name, greeting) => say(format!("Answers: {}", usize::from(name.is_some()) + usize::from(greeting.is_some()))),
        }
    }
}
