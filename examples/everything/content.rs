//! Tools for each kind of content, and one that fails.

use pressmark::call::{CallContext, Content, NoArguments, ResourceContents, ToolError, ToolErrorKind};
use pressmark::tools::{Tool, ToolOutput, ToolSpec};
use serde_json::json;

use crate::{Answer, say, spec};

/// A red pixel, in base64.
pub(crate) const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==";
/// No sound at all, in base64.
const WAV: &str = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA=";

pub(crate) fn image() -> Content {
    Content::Image { data: PNG.to_owned(), mime_type: "image/png".to_owned() }
}

pub(crate) struct SimpleText;

impl Tool for SimpleText {
    const SPEC: ToolSpec = spec("test_simple_text", "Simple text", "Gives a simple text.");
    type Args = NoArguments;
    type Output = ();

    async fn call(&self, _: &CallContext, _: NoArguments) -> Answer {
        say("This is a simple text response for testing.")
    }
}

pub(crate) struct Image;

impl Tool for Image {
    const SPEC: ToolSpec = spec("test_image_content", "Image", "Gives an image.");
    type Args = NoArguments;
    type Output = ();

    async fn call(&self, _: &CallContext, _: NoArguments) -> Answer {
        Ok(ToolOutput::blocks([image()]))
    }
}

pub(crate) struct Audio;

impl Tool for Audio {
    const SPEC: ToolSpec = spec("test_audio_content", "Audio", "Gives a sound.");
    type Args = NoArguments;
    type Output = ();

    async fn call(&self, _: &CallContext, _: NoArguments) -> Answer {
        Ok(ToolOutput::blocks([Content::Audio { data: WAV.to_owned(), mime_type: "audio/wav".to_owned() }]))
    }
}

pub(crate) struct EmbeddedResource;

impl Tool for EmbeddedResource {
    const SPEC: ToolSpec = spec("test_embedded_resource", "Embedded resource", "Gives a resource with its content.");
    type Args = NoArguments;
    type Output = ();

    async fn call(&self, _: &CallContext, _: NoArguments) -> Answer {
        let text = "This is an embedded resource content.";
        let resource = ResourceContents::text("test://embedded-resource", "text/plain", text);
        Ok(ToolOutput::blocks([Content::Resource { resource }]))
    }
}

pub(crate) struct MixedContent;

impl Tool for MixedContent {
    const SPEC: ToolSpec = spec("test_multiple_content_types", "Mixed content", "Gives a text, an image and a resource.");
    type Args = NoArguments;
    type Output = ();

    async fn call(&self, _: &CallContext, _: NoArguments) -> Answer {
        let data = json!({ "test": "data", "value": 123 }).to_string();
        let resource = ResourceContents::text("test://mixed-content-resource", "application/json", data);
        Ok(ToolOutput::blocks([Content::text("Multiple content types test:"), image(), Content::Resource { resource }]))
    }
}

pub(crate) struct Failing;

impl Tool for Failing {
    const SPEC: ToolSpec = spec("test_error_handling", "Failing", "Fails, and says so to the model.");
    type Args = NoArguments;
    type Output = ();

    async fn call(&self, _: &CallContext, _: NoArguments) -> Answer {
        Err(ToolError::new(ToolErrorKind::Io, "This tool intentionally returns an error for testing").into())
    }
}
