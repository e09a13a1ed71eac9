"""The conversation with the editor, over standard input and output."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

from lsprotocol import types
from pygls.lsp.server import LanguageServer

from nnlint import __version__
from nnlint.editor import hover
from nnlint.editor.action import KINDS, Desk
from nnlint.editor.address import path_of
from nnlint.editor.board import Answered, Board
from nnlint.editor.diagnostic import Sheet
from nnlint.editor.documents import Buffer, Documents
from nnlint.editor.position import Units, rows
from nnlint.editor.project import Answer, Project, Root, root_of
from nnlint.editor.worker import Stale, Worker
from nnlint.registry import Catalogue, catalogue
from nnlint.rule import Rule
from nnlint.stack import deep
from nnlint.trouble import Trouble

log = logging.getLogger("nnlint")

_WATCHED = ("**/*.py", "**/*.ipynb", "**/nnlint.toml", "**/pyproject.toml", "**/nnlint-baseline.json", "**/.gitignore")
_WAIT = 20.0
"""Seconds for which an action waits for the findings of a text that has just changed."""


@dataclass(frozen=True)
class Task:
    """All that a run needs to know: what is open (the last touched first), in which folders, and how often the disk has changed."""

    buffers: dict[str, Buffer]
    folders: tuple[str, ...]
    seen: int


class Server(LanguageServer):
    """What the editor has told, and what it is told."""

    def __init__(self) -> None:
        super().__init__(
            "nnlint",
            __version__,
            notebook_document_sync=types.NotebookDocumentSyncOptions(
                [types.NotebookDocumentFilterWithNotebook("*", [types.NotebookCellLanguage("python")])], save=True
            ),
        )
        self.documents = Documents()
        self.board = Board()
        self.desk = Desk(versions=False)
        self.worker: Worker[Task] = Worker(self._run)
        self.folders: tuple[str, ...] = ()
        self.seen = 0
        self.ended = False
        self.watches = False
        self.rules: Catalogue | None = None
        self._projects: dict[Root, Project] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._related = self._markdown = True
        self._complaint = ""
        self._failed = False
        self._waiting: set[asyncio.Event] = set()

    # --- what the editor can do ------------------------------------------------------------------------------------

    def meet(self, params: types.InitializeParams) -> None:
        self._loop = asyncio.get_running_loop()
        encoding = self.workspace.position_encoding
        self.documents.units = Units(str(getattr(encoding, "value", encoding) or "utf-16"))
        document = params.capabilities.text_document or types.TextDocumentClientCapabilities()
        told = document.publish_diagnostics
        self._related = bool(told and told.related_information)
        formats = document.hover.content_format if document.hover else None
        self._markdown = formats is None or types.MarkupKind.Markdown in formats
        space = params.capabilities.workspace
        self.desk = Desk(versions=bool(space and space.workspace_edit and space.workspace_edit.document_changes))
        folders = [folder.uri for folder in params.workspace_folders or ()]
        self.add_folders(folders or [params.root_uri or ""])
        self.worker.start()
        watched = space.did_change_watched_files if space else None
        self.watches = bool(watched and watched.dynamic_registration)

    def watch(self) -> None:
        """Ask to be told when a file changes that is not open."""
        watchers = [types.FileSystemWatcher(glob) for glob in _WATCHED]
        options = types.DidChangeWatchedFilesRegistrationOptions(watchers)
        registration = types.Registration("nnlint-files", types.WORKSPACE_DID_CHANGE_WATCHED_FILES, options)
        self.client_register_capability(types.RegistrationParams([registration]), lambda _: None)

    def add_folders(self, uris: list[str]) -> None:
        paths = (path_of(uri) for uri in uris)
        self.folders = (*self.folders, *(path for path in paths if path and path not in self.folders))

    def drop_folders(self, uris: list[str]) -> None:
        gone = {path_of(uri) for uri in uris}
        self.folders = tuple(folder for folder in self.folders if folder not in gone)

    # --- what the editor is told -----------------------------------------------------------------------------------

    def lint(self, *, soon: bool = False, disk: bool = False) -> None:
        """Look at everything anew that may have changed."""
        self.seen += disk
        self._tell()
        self.worker.ask(Task(self.documents.buffers, self.folders, self.seen), soon=soon)

    def _tell(self) -> None:
        for uri, diagnostics in self.board.renew(self.documents.buffers):
            owner = self.documents.owner(uri)
            version = owner.version if owner is not None and owner.cells is None else None
            self.text_document_publish_diagnostics(types.PublishDiagnosticsParams(uri, diagnostics, version))
        for waiting in self._waiting:
            waiting.set()

    def _answered(self, answered: Answered) -> None:
        path = answered.buffer.path
        if self.documents.buffers.get(path) is answered.buffer:
            self.board.answers[path] = answered
            self._tell()

    async def settled(self, uri: str) -> None:
        """Wait until all is known of a text as it is, including which fixes hold."""
        changed = asyncio.Event()
        self._waiting.add(changed)
        try:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._settled(uri, changed), _WAIT)
        finally:
            self._waiting.discard(changed)

    async def _settled(self, uri: str, changed: asyncio.Event) -> None:
        while not self._complaint and not (self.current(uri) and all(answer.final for answer in self.board.answers.values())):
            changed.clear()
            await changed.wait()

    def current(self, uri: str) -> bool:
        """Whether what is known of a text was found in the text as it is; so it is where nothing is looked for."""
        buffer = self.documents.owner(uri)
        answer = None if buffer is None else self.board.answers.get(buffer.path)
        return buffer is None or (answer is not None and answer.buffer is buffer)

    def complain(self, message: str) -> None:
        """Say what is wrong with the set-up, once."""
        if message != self._complaint and message:
            self.window_show_message(types.ShowMessageParams(types.MessageType.Error, f"nnlint: {message}"))
        self._complaint = message
        for waiting in self._waiting:
            waiting.set()

    def report_server_error(self, error: Exception, source: Any) -> None:
        """A mistake of the server or of the editor: nothing that a user could mend."""
        log.error("%s", error, exc_info=error)

    # --- the run, in a thread of its own ---------------------------------------------------------------------------

    def _run(self, task: Task, tick: Callable[[], None]) -> None:
        try:
            deep(lambda: self._lint(task, tick))
        except Stale:
            raise
        except Exception as error:
            log.exception("a run has failed")
            if not self._failed:
                self._failed = True
                self._later(self.complain, f"a mistake in nnlint itself ({type(error).__name__}: {error}); please report it")
        finally:
            # What a run leaves is large and circular, and Python would wait for more of it before it looks.
            gc.collect()

    def _lint(self, task: Task, tick: Callable[[], None]) -> None:
        troubles: list[str] = []
        try:
            self.rules = self.rules or catalogue()
            groups = self._groups(task, troubles)
        except Trouble as trouble:
            self._later(self.complain, str(trouble))
            return
        for root, paths in groups.items():
            if root not in self._projects:
                self._projects[root] = Project(root, self.rules)

            def tell(path: str, answer: Answer, folder: str = root.folder) -> None:
                sheet = Sheet(folder, answer.sources, task.buffers, self.documents.units, self._related)
                own = answer.findings if answer.final else answer.settled(()).findings
                shown = Answered(task.buffers[path], sheet, tuple(sheet.show(own)), tuple(sheet.show(answer.elsewhere)), answer.final)
                self._later(self._answered, shown)

            try:
                self._projects[root].lint(task.buffers, paths, task.seen, tick, tell)
            except (Trouble, OSError) as trouble:
                troubles.append(str(trouble))
        self._projects = {root: project for root, project in self._projects.items() if root in groups}
        self._later(self.complain, "; ".join(troubles))

    @staticmethod
    def _groups(task: Task, troubles: list[str]) -> dict[Root, list[str]]:
        groups: dict[Root, list[str]] = {}
        for path in task.buffers:
            try:
                groups.setdefault(root_of(path, task.folders), []).append(path)
            except Trouble as trouble:
                troubles.append(str(trouble))
        return groups

    def _later(self, act: Callable[..., None], *args: Any) -> None:
        """Do something in the thread of the conversation."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the conversation is over
                self._loop.call_soon_threadsafe(act, *args)

    # --- questions -------------------------------------------------------------------------------------------------

    def hover(self, uri: str, position: types.Position) -> types.Hover | None:
        """The page of the rule that a comment names there, or of those whose findings are there."""
        if self.rules is None:
            return None
        lines = rows(self._text(uri))
        line = lines[position.line] if position.line < len(lines) else ""
        units = self.documents.units
        word = hover.named(line, units.index(line, position.character), self.rules)
        if word is not None:
            start, end = (types.Position(position.line, units.width(line[:column])) for column in word[1:])
            return self._pages([word[0]], types.Range(start, end))
        here = [shown for shown, _ in self.board.shown(uri) if self.current(uri) and _within(position, shown.diagnostic.range)]
        known = [self.rules.words[shown.finding.code] for shown in here if shown.finding.code in self.rules.words]
        return self._pages(known, here[0].diagnostic.range) if known else None

    def _pages(self, found: list[type[Rule]], range: types.Range) -> types.Hover:
        kind = types.MarkupKind.Markdown if self._markdown else types.MarkupKind.PlainText
        return types.Hover(types.MarkupContent(kind, hover.page(found)), range)

    def _text(self, uri: str) -> str:
        buffer = self.documents.owner(uri)
        if buffer is None:
            return ""
        return buffer.text if buffer.cells is None else next((cell.text for cell in buffer.cells if cell.uri == uri), "")


def _within(position: types.Position, range: types.Range) -> bool:
    start, end = range.start, range.end
    return (start.line, start.character) <= (position.line, position.character) <= (end.line, end.character)


def build() -> Server:
    """A server with all its features."""
    server = Server()
    feature = server.feature

    @feature(types.INITIALIZE)
    def initialize(params: types.InitializeParams) -> None:
        server.meet(params)

    @feature(types.INITIALIZED)
    def initialized(params: types.InitializedParams) -> None:
        if server.watches:
            server.watch()
        server.lint(soon=True)

    @feature(types.SHUTDOWN)
    def shutdown(params: None) -> None:
        server.ended = True
        server.worker.stop()

    @feature(types.TEXT_DOCUMENT_DID_OPEN)
    def did_open(params: types.DidOpenTextDocumentParams) -> None:
        if server.documents.open(params.text_document):
            server.lint(soon=True, disk=True)

    @feature(types.TEXT_DOCUMENT_DID_CHANGE)
    def did_change(params: types.DidChangeTextDocumentParams) -> None:
        if server.documents.change(params):
            server.lint()

    @feature(types.TEXT_DOCUMENT_DID_SAVE)
    def did_save(params: types.DidSaveTextDocumentParams) -> None:
        server.lint(soon=True, disk=True)

    @feature(types.TEXT_DOCUMENT_DID_CLOSE)
    def did_close(params: types.DidCloseTextDocumentParams) -> None:
        if server.documents.close(params.text_document.uri):
            server.lint(disk=True)

    @feature(types.NOTEBOOK_DOCUMENT_DID_OPEN)
    def notebook_did_open(params: types.DidOpenNotebookDocumentParams) -> None:
        if server.documents.open_notebook(params):
            server.lint(soon=True, disk=True)

    @feature(types.NOTEBOOK_DOCUMENT_DID_CHANGE)
    def notebook_did_change(params: types.DidChangeNotebookDocumentParams) -> None:
        if server.documents.change_notebook(params):
            server.lint()

    @feature(types.NOTEBOOK_DOCUMENT_DID_SAVE)
    def notebook_did_save(params: types.DidSaveNotebookDocumentParams) -> None:
        server.lint(soon=True, disk=True)

    @feature(types.NOTEBOOK_DOCUMENT_DID_CLOSE)
    def notebook_did_close(params: types.DidCloseNotebookDocumentParams) -> None:
        if server.documents.close(params.notebook_document.uri):
            server.lint(disk=True)

    @feature(types.WORKSPACE_DID_CHANGE_WATCHED_FILES)
    def watched_files(params: types.DidChangeWatchedFilesParams) -> None:
        server.lint(disk=True)

    @feature(types.WORKSPACE_DID_CHANGE_WORKSPACE_FOLDERS)
    def workspace_folders(params: types.DidChangeWorkspaceFoldersParams) -> None:
        server.drop_folders([folder.uri for folder in params.event.removed])
        server.add_folders([folder.uri for folder in params.event.added])
        server.lint(soon=True, disk=True)

    @feature(types.TEXT_DOCUMENT_HOVER)
    def hover_at(params: types.HoverParams) -> types.Hover | None:
        return server.hover(params.text_document.uri, params.position)

    @feature(types.TEXT_DOCUMENT_CODE_ACTION, types.CodeActionOptions(code_action_kinds=list(KINDS)))
    async def code_action(params: types.CodeActionParams) -> list[types.CodeAction]:
        uri = params.text_document.uri
        await server.settled(uri)
        return server.desk.actions(server.board.shown(uri), params.context, params.range) if server.current(uri) else []

    return server


def serve() -> int:
    """Talk to an editor until it says goodbye; 0 where it did so in good order."""
    out = _reserved()
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="nnlint: %(message)s")
    if sys.stdin.isatty():
        sys.stderr.write("nnlint: this is the language server; it waits for an editor to speak\n")
    # A read that waits for the editor cannot be ended otherwise.
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    server = build()
    gc.freeze()
    server.start_io(sys.stdin.buffer, out)
    return 0 if server.ended else 1


def _reserved() -> BinaryIO:
    """Standard output for the conversation alone: whatever else is written there goes to standard error."""
    sys.stdout.flush()
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return out
