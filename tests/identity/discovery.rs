//! The server is told the issuer and nothing else.

use crate::front::Front;
use crate::provider::Provider;
use crate::{PUBLIC_URL, RESOURCE, challenge, folder, http, list, serve};

const OAUTH: &str = "/.well-known/oauth-authorization-server";
const OPENID: &str = "/.well-known/openid-configuration";

/// Starts a provider whose issuer has this path, behind a front with these locations, and a server; the server finds the keys
/// in the last of the places that it has looked into.
async fn keys_are_found(path: &str, locations: &str, looked: &[String]) {
    let front = Front::start(locations);
    let provider = Provider::start_as(&format!("{}{path}", front.url()), front.provider(), RESOURCE);
    let folder = folder();
    let server = serve(&folder, provider.issuer());
    let keys = format!("{path}/jwks");
    front.wait_for(&keys, 1);
    assert_eq!(front.asked(), [looked, &[keys]].concat());

    let reply = list(&server.url(), &provider.token("files:read").await).await;
    assert!(reply.content(0).contains("hello.txt"), "{}", reply.text);
    // Clients are sent to the same issuer, by the address that they know.
    let reply = list(&server.url(), "not-a-token").await;
    let metadata = format!("{PUBLIC_URL}/.well-known/oauth-protected-resource/mcp");
    assert!(challenge(&reply).contains(&format!("resource_metadata=\"{metadata}\"")), "{}", challenge(&reply));
    let metadata = http().get(format!("{}/.well-known/oauth-protected-resource/mcp", server.url()));
    let metadata = metadata.send().await.expect("an answer");
    let metadata: serde_json::Value = serde_json::from_str(&metadata.text().await.expect("a text")).expect("JSON");
    assert_eq!(metadata["authorization_servers"], serde_json::json!([provider.issuer()]));
    assert_eq!(metadata["resource"], RESOURCE);
}

#[tokio::test]
async fn by_rfc_8414_alone() {
    keys_are_found("", &format!("location = {OPENID} {{ return 404; }}"), &[OAUTH.to_owned()]).await;
}

#[tokio::test]
async fn by_openid_connect_alone() {
    keys_are_found("", &format!("location = {OAUTH} {{ return 404; }}"), &[OAUTH.to_owned(), OPENID.to_owned()]).await;
}

/// RFC 8414 puts the well-known name before the path of the issuer.
#[tokio::test]
async fn by_rfc_8414_of_an_issuer_with_a_path() {
    let locations = format!(
        "location = {OAUTH}/realms/acme {{ proxy_pass PROVIDER/realms/acme{OAUTH}; }}
        location = /realms/acme{OPENID} {{ return 404; }}"
    );
    keys_are_found("/realms/acme", &locations, &[format!("{OAUTH}/realms/acme")]).await;
}

#[tokio::test]
async fn by_openid_connect_of_an_issuer_with_a_path_put_behind_the_name() {
    let locations = format!(
        "location = {OPENID}/realms/acme {{ proxy_pass PROVIDER/realms/acme{OPENID}; }}
        location = /realms/acme{OPENID} {{ return 404; }}"
    );
    let looked = [format!("{OAUTH}/realms/acme"), format!("{OPENID}/realms/acme")];
    keys_are_found("/realms/acme", &locations, &looked).await;
}

/// As providers of OpenID Connect do by themselves: the name comes after the path.
#[tokio::test]
async fn by_openid_connect_of_an_issuer_with_a_path() {
    let looked = [format!("{OAUTH}/realms/acme"), format!("{OPENID}/realms/acme"), format!("/realms/acme{OPENID}")];
    keys_are_found("/realms/acme", "", &looked).await;
}
