//! One server in a TOML configuration (Codex); comments and everything else stay as they are.

use toml_edit::{DocumentMut, InlineTable, Item, Table, value};

/// `text` with the table `[mcp_servers.NAME]`; `None` when it says the same already.
///
/// # Errors
/// Why the text cannot be changed.
pub(super) fn set(
    text: &str,
    name: &str,
    url: &str,
    variable: Option<&str>,
    token: Option<&str>,
) -> Result<Option<String>, String> {
    let mut document: DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| {
        let line = error.span().map_or(1, |span| 1 + text[..span.start.min(text.len())].matches('\n').count());
        format!("line {line} is not TOML; mend it first")
    })?;
    let mut table = Table::new();
    table["url"] = value(url);
    if let Some(variable) = variable {
        table["bearer_token_env_var"] = value(variable);
    }
    if let Some(token) = token {
        let mut headers = InlineTable::new();
        headers.insert("Authorization", format!("Bearer {token}").into());
        table["http_headers"] = value(headers);
    }
    let servers = document.entry("mcp_servers").or_insert_with(|| {
        let mut servers = Table::new();
        servers.set_implicit(true);
        Item::Table(servers)
    });
    let servers = servers.as_table_mut().ok_or("mcp_servers is no table there; write its servers as [mcp_servers.NAME]")?;
    match servers.get(name) {
        Some(found) if says_the_same(found, &Item::Table(table.clone())) => return Ok(None),
        Some(Item::Table(found)) => {
            *table.decor_mut() = found.decor().clone();
            table.set_position(found.position());
        }
        Some(_) => {}
        None if !text.is_empty() => table.decor_mut().set_prefix("\n"),
        None => {}
    }
    servers.insert(name, Item::Table(table));
    Ok(Some(document.to_string()))
}

/// Do two items mean the same, however they are written?
fn says_the_same(one: &Item, other: &Item) -> bool {
    let meaning = |item: &Item| {
        let mut document = DocumentMut::new();
        document["item"] = item.clone();
        document.to_string().parse::<toml::Table>().ok()
    };
    meaning(one).is_some_and(|one| Some(one) == meaning(other))
}
