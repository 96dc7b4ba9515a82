//! `list_directory`, `find_files` and `search_text`, called through the registry as a server calls them, on real trees.

mod ignoring;
mod listing;
mod oracle;
mod robustness;
mod searching;
mod support;
