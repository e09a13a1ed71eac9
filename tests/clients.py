"""An editor for tests: the client of pygls and the real server, talking over pipes."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

from lsprotocol import types
from pygls.lsp.client import LanguageClient

ROOT = Path(__file__).resolve().parent.parent
T = TypeVar("T")
_TIMEOUT = 60.0

CAPABLE = types.ClientCapabilities(
    workspace=types.WorkspaceClientCapabilities(
        workspace_edit=types.WorkspaceEditClientCapabilities(document_changes=True),
        did_change_watched_files=types.DidChangeWatchedFilesClientCapabilities(dynamic_registration=True),
    ),
    text_document=types.TextDocumentClientCapabilities(
        publish_diagnostics=types.PublishDiagnosticsClientCapabilities(related_information=True),
        hover=types.HoverClientCapabilities(content_format=[types.MarkupKind.Markdown]),
    ),
    notebook_document=types.NotebookDocumentClientCapabilities(types.NotebookDocumentSyncClientCapabilities()),
)


class Editor:
    """Talks to a server of its own; all methods wait for what they ask for."""

    def __init__(self, *folders: Path, capabilities: types.ClientCapabilities = CAPABLE, command: Sequence[str] = ()) -> None:
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        self.client = LanguageClient("tests", "1")
        self.diagnostics: dict[str, list[types.Diagnostic]] = {}
        self.published = 0
        self.messages: list[str] = []
        self.registered: list[str] = []
        self.texts: dict[str, str] = {}
        self.versions: dict[str, int] = {}
        client = self.client

        def published(params: types.PublishDiagnosticsParams) -> None:
            self.diagnostics[params.uri] = list(params.diagnostics)
            self.published += 1

        def shown(params: types.ShowMessageParams) -> None:
            self.messages.append(params.message)

        def register(params: types.RegistrationParams) -> None:
            self.registered += [registration.method for registration in params.registrations]

        client.feature(types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)(published)
        client.feature(types.WINDOW_SHOW_MESSAGE)(shown)
        client.feature(types.CLIENT_REGISTER_CAPABILITY)(register)

        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        words = [*(command or [sys.executable, "-m", "nnlint", "server"])]
        self.do(client.start_io(words[0], *words[1:], env=environment))
        self.answer = self.do(
            client.initialize_async(
                types.InitializeParams(
                    capabilities=capabilities,
                    process_id=os.getpid(),
                    workspace_folders=[types.WorkspaceFolder(folder.as_uri(), folder.name) for folder in folders] or None,
                )
            )
        )
        self.call(client.initialized, types.InitializedParams())

    def do(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(_TIMEOUT)

    def call(self, tell: Callable[[Any], None], params: Any) -> None:
        """Tell the server something; in the thread of the conversation, so that the order stays."""

        async def told() -> None:
            tell(params)

        self.do(told())

    def close(self) -> int:
        """Say goodbye, and give the exit code of the server."""
        self.do(self.client.shutdown_async(None))
        self.call(self.client.exit, None)
        return self.ended()

    def ended(self) -> int:
        server = self.client._server
        assert server is not None
        return self.do(asyncio.wait_for(server.wait(), 30))

    # --- texts -----------------------------------------------------------------------------------------------------

    def open(self, path: Path | str, text: str | None = None, language: str = "python") -> str:
        uri = path if isinstance(path, str) else path.as_uri()
        self.texts[uri] = text if text is not None else Path(path).read_text(encoding="utf-8")
        self.versions[uri] = 1
        item = types.TextDocumentItem(uri, language, 1, self.texts[uri])
        self.call(self.client.text_document_did_open, types.DidOpenTextDocumentParams(item))
        return uri

    def change(self, uri: str, *changes: types.TextDocumentContentChangeEvent | str) -> None:
        self.versions[uri] += 1
        told = [types.TextDocumentContentChangeWholeDocument(change) if isinstance(change, str) else change for change in changes]
        self.call(
            self.client.text_document_did_change,
            types.DidChangeTextDocumentParams(types.VersionedTextDocumentIdentifier(uri=uri, version=self.versions[uri]), told),
        )
        if isinstance(changes[-1], str):
            self.texts[uri] = changes[-1]

    def shut(self, uri: str) -> None:
        del self.texts[uri]
        self.call(self.client.text_document_did_close, types.DidCloseTextDocumentParams(types.TextDocumentIdentifier(uri)))

    def enter(self, folder: Path) -> None:
        self._folders([folder], [])

    def leave(self, folder: Path) -> None:
        """Close all texts and the folder."""
        for uri in list(self.texts):
            self.shut(uri)
        self._folders([], [folder])

    def _folders(self, added: Sequence[Path], removed: Sequence[Path]) -> None:
        event = types.WorkspaceFoldersChangeEvent(
            *([types.WorkspaceFolder(each.as_uri(), each.name) for each in some] for some in (added, removed))
        )
        self.call(self.client.workspace_did_change_workspace_folders, types.DidChangeWorkspaceFoldersParams(event))

    def changed_on_disk(self, *paths: Path) -> None:
        changes = [types.FileEvent(path.as_uri(), types.FileChangeType.Changed) for path in paths]
        self.call(self.client.workspace_did_change_watched_files, types.DidChangeWatchedFilesParams(changes))

    # --- findings --------------------------------------------------------------------------------------------------

    def codes(self, uri: str) -> list[str]:
        return [str(diagnostic.code) for diagnostic in self.diagnostics.get(uri, [])]

    def wait(self, what: Callable[[], bool]) -> None:
        end = time.monotonic() + _TIMEOUT
        while not what():
            assert time.monotonic() < end, (self.diagnostics, self.messages)
            time.sleep(0.02)

    def wait_for(self, uri: str, *codes: str) -> list[types.Diagnostic]:
        """Wait until a text shows these findings and no others."""
        self.wait(lambda: uri in self.diagnostics and self.codes(uri) == list(codes))
        return self.diagnostics[uri]

    def settle(self, uri: str) -> None:
        """Wait until the server has looked at a text as it is; an answer about actions is given only then."""
        self.actions(uri, types.Range(types.Position(0, 0), types.Position(0, 0)))

    def actions(self, uri: str, range: types.Range, *only: str) -> list[types.CodeAction]:
        context = types.CodeActionContext([], only=list(only) or None)
        given = self.do(
            self.client.text_document_code_action_async(types.CodeActionParams(types.TextDocumentIdentifier(uri), range, context))
        )
        actions = []
        for action in given or []:
            assert isinstance(action, types.CodeAction)
            actions.append(action)
        return actions

    def hover(self, uri: str, line: int, character: int) -> types.Hover | None:
        params = types.HoverParams(types.TextDocumentIdentifier(uri), types.Position(line, character))
        return self.do(self.client.text_document_hover_async(params))

    def apply(self, action: types.CodeAction) -> None:
        """Make the edits of an action in the open texts, as an editor would that counts in UTF-16."""
        assert action.edit is not None
        for change in action.edit.document_changes or []:
            assert isinstance(change, types.TextDocumentEdit)
            uri = change.text_document.uri
            assert change.text_document.version == self.versions[uri]
            self.change(uri, after(self.texts[uri], [edit for edit in change.edits if isinstance(edit, types.TextEdit)]))


def after(text: str, edits: Sequence[types.TextEdit]) -> str:
    """A text after edits whose columns count pairs of bytes in UTF-16."""
    lines = [line.encode("utf-16-le") for line in text.split("\n")]

    def offset(position: types.Position) -> int:
        return sum(len(line) + 2 for line in lines[: position.line]) + 2 * position.character

    data = text.encode("utf-16-le")
    for edit in sorted(edits, key=lambda edit: (edit.range.start.line, edit.range.start.character), reverse=True):
        data = data[: offset(edit.range.start)] + edit.new_text.encode("utf-16-le") + data[offset(edit.range.end) :]
    return data.decode("utf-16-le")
