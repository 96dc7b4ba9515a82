//! What the server says that it can do.

use serde_json::json;

use crate::support::client::McpClient;
use crate::world::{ADA, HANDSHAKES, World};

#[tokio::test]
async fn what_there_is_is_declared_in_every_revision() {
    let world = World::start(&[]);
    let discovered = world.caller(ADA).request("server/discover", json!({})).await;
    let mut declared = vec![discovered.result()["capabilities"].clone()];
    for revision in HANDSHAKES {
        let client = McpClient::modern(&world.replicas[0].url(), Some(ADA));
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
            "protocolVersion": revision, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}});
        let mut headers = client.headers(&message);
        for name in ["mcp-protocol-version", "mcp-method"] {
            headers.remove(name);
        }
        declared.push(client.post(&headers, message.to_string()).await.result()["capabilities"].clone());
    }
    for capabilities in declared {
        assert_eq!(capabilities["resources"], json!({"listChanged": true, "subscribe": true}), "{capabilities}");
        assert_eq!(capabilities["prompts"], json!({"listChanged": true}), "{capabilities}");
        for name in ["completions", "logging"] {
            assert_eq!(capabilities[name], json!({}), "{capabilities}");
        }
    }
}

#[tokio::test]
async fn capabilities_of_clients_are_objects_or_the_request_is_none() {
    let world = World::start(&[]);
    for hostile in [
        json!({"elicitation": []}),
        json!({"elicitation": [{}, {}]}),
        json!({"elicitation": true}),
        json!({"elicitation": {"form": []}}),
        json!({"elicitation": {"form": "yes"}}),
        json!({"sampling": []}),
        json!({"roots": 1}),
        json!({"extensions": []}),
        json!({"extensions": null}),
    ] {
        let client = world.caller(ADA).declaring(hostile.clone());
        let reply = client.request("tools/list", json!({})).await;
        assert_eq!((reply.status.as_u16(), reply.error_code()), (400, -32602), "{hostile}: {}", reply.text);
    }
    for harmless in [json!({"elicitation": null}), json!({"elicitation": {}, "more": [1]}), json!({"sampling": {"tools": {}}})] {
        let client = world.caller(ADA).declaring(harmless.clone());
        assert!(client.request("tools/list", json!({})).await.result()["tools"].is_array(), "{harmless}");
    }
}
