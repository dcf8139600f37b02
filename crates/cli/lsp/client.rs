//! What the client can do, and what the server does with it.

use gen_lsp_types::{
    CodeActionKind, CodeActionOptions, CodeActionProvider, CompletionOptions, DefinitionProvider,
    DocumentFormattingProvider, DocumentHighlightProvider, DocumentSymbolProvider, HoverProvider, InitializeResult,
    PositionEncodingKind, ReferencesProvider, RenameOptions, RenameProvider, Save, ServerCapabilities, ServerInfo,
    TextDocumentSync, TextDocumentSyncKind, TextDocumentSyncOptions,
};
use serde_json::Value;

use super::positions::Encoding;

/// What was learnt of the client when it began.
#[derive(Clone, Debug, Default)]
pub(super) struct Client {
    /// How it counts characters.
    pub(super) encoding: Encoding,
    /// It takes edits that name the document's version.
    pub(super) document_changes: bool,
    /// It renames files as a part of an edit.
    pub(super) renames_files: bool,
    /// It shows Markdown.
    pub(super) markdown: bool,
    /// It tells of files that change on the disk, where it is asked to.
    pub(super) watches_files: bool,
}

impl Client {
    /// From the parameters of `initialize`. Read by hand: whatever is written there, a server starts.
    pub(super) fn of(params: &Value) -> Client {
        let capability = |path: &str| params.pointer(&format!("/capabilities/{path}"));
        let can = |path| capability(path).and_then(Value::as_bool).unwrap_or(false);
        let lists = |path, word: &str| {
            capability(path).and_then(Value::as_array).is_some_and(|list| list.iter().any(|item| item == word))
        };
        Client {
            encoding: match lists("general/positionEncodings", "utf-8") {
                true => Encoding::Utf8,
                false => Encoding::Utf16,
            },
            document_changes: can("workspace/workspaceEdit/documentChanges"),
            renames_files: lists("workspace/workspaceEdit/resourceOperations", "rename"),
            markdown: lists("textDocument/hover/contentFormat", "markdown"),
            watches_files: can("workspace/didChangeWatchedFiles/dynamicRegistration"),
        }
    }

    /// What the server tells of itself.
    pub(super) fn initialize_result(&self) -> InitializeResult {
        let sync = TextDocumentSyncOptions {
            open_close: Some(true),
            change: Some(TextDocumentSyncKind::Incremental),
            save: Some(Save::Bool(true)),
            ..TextDocumentSyncOptions::default()
        };
        let triggers = ["\"", ".", "{", "$", "=", "[", ","].map(String::from);
        let capabilities = ServerCapabilities {
            position_encoding: Some(match self.encoding {
                Encoding::Utf8 => PositionEncodingKind::UTF8,
                Encoding::Utf16 => PositionEncodingKind::UTF16,
            }),
            text_document_sync: Some(TextDocumentSync::Options(sync)),
            completion_provider: Some(CompletionOptions {
                trigger_characters: Some(triggers.into()),
                ..CompletionOptions::default()
            }),
            hover_provider: Some(HoverProvider::Bool(true)),
            definition_provider: Some(DefinitionProvider::Bool(true)),
            references_provider: Some(ReferencesProvider::Bool(true)),
            document_highlight_provider: Some(DocumentHighlightProvider::Bool(true)),
            document_symbol_provider: Some(DocumentSymbolProvider::Bool(true)),
            document_formatting_provider: Some(DocumentFormattingProvider::Bool(true)),
            rename_provider: Some(RenameProvider::RenameOptions(RenameOptions {
                prepare_provider: Some(true),
                ..RenameOptions::default()
            })),
            code_action_provider: Some(CodeActionProvider::CodeActionOptions(CodeActionOptions {
                code_action_kinds: Some(vec![CodeActionKind::QuickFix]),
                ..CodeActionOptions::default()
            })),
            ..ServerCapabilities::default()
        };
        let info = ServerInfo { name: String::from("portcullis"), version: Some(env!("CARGO_PKG_VERSION").into()) };
        InitializeResult { capabilities, server_info: Some(info) }
    }
}
