"""The language server as an editor meets it: a real client, the real server, pipes between them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from clients import ROOT, Editor, after
from lsprotocol import types
from msgspec.structs import replace

from nnlint.editor.documents import Buffer
from nnlint.editor.project import Answer, Project, Root
from nnlint.findings import Finding
from nnlint.lint import lint_paths
from nnlint.registry import catalogue
from nnlint.settings import Table, settle
from nnlint.stack import deep

MODEL = """\
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 3)

    def forward(self, x):
        return torch.softmax(self.fc(x), dim=1)
"""
TRAIN = """\
import torch
from torch import nn

from model import Net

net = Net()
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
for x, y in torch.utils.data.DataLoader([]):
    optimizer.zero_grad()
    loss = criterion(net(x), y)
    loss.backward()
    optimizer.step()
"""
SOUND = TRAIN.replace("Net()", "nn.Linear(4, 3)")
LEAKY = SOUND.replace("    optimizer.zero_grad()\n", "").replace("    loss.backward()", '    print("😀é😀"); loss.backward()')
NORMED = """\
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU())

    def forward(self, x):
        return self.body(x)


Net()(torch.zeros(2, 3, 8, 8))
"""


@pytest.fixture(scope="module")
def editor() -> Iterator[Editor]:
    """An editor for all tests that need no other."""
    editor = Editor()
    yield editor
    assert editor.close() == 0


@pytest.fixture
def space(tmp_path: Path, editor: Editor) -> Iterator[Path]:
    """An open project of two files, in a folder with blanks and signs in its name."""
    folder = tmp_path / "mein Prøjekt, 100% [é];#1"
    folder.mkdir()
    (folder / "model.py").write_text(MODEL)
    (folder / "train.py").write_text(SOUND)
    editor.messages.clear()
    editor.diagnostics.clear()
    editor.enter(folder)
    yield folder
    editor.leave(folder)


def place(range: types.Range) -> tuple[int, int, int, int]:
    return range.start.line, range.start.character, range.end.line, range.end.character


def at(line: int, character: int = 0) -> types.Range:
    return types.Range(types.Position(line, character), types.Position(line, character))


def test_a_finding_in_all_its_parts(editor: Editor, space: Path) -> None:
    uri = editor.open(space / "train.py", LEAKY)
    (found,) = editor.wait_for(uri, "NN201")
    # Each of the two faces counts twice.
    assert place(found.range) == (10, 20, 10, 35)
    assert found.severity is types.DiagnosticSeverity.Error
    assert found.source == "nnlint"
    assert found.message.splitlines()[1].startswith("call `optimizer.zero_grad()`")
    assert found.code_description == types.CodeDescription("https://nnlint.readthedocs.io/rules/missing-zero-grad")
    steps = [(step.location.uri, step.location.range.start.line, step.message) for step in found.related_information or []]
    assert (uri, 11, "this step has used the gradients") in steps
    editor.change(uri, SOUND)
    editor.wait_for(uri)
    assert editor.messages == []
    assert "workspace/didChangeWatchedFiles" in editor.registered


@pytest.mark.parametrize(("encoding", "column"), [(types.PositionEncodingKind.Utf8, 25), (types.PositionEncodingKind.Utf32, 18)])
def test_positions_in_the_encoding_that_was_agreed_upon(tmp_path: Path, encoding: types.PositionEncodingKind, column: int) -> None:
    general = types.GeneralClientCapabilities(position_encodings=[encoding, types.PositionEncodingKind.Utf16])
    editor = Editor(tmp_path, capabilities=types.ClientCapabilities(general=general))
    assert editor.answer.capabilities.position_encoding == encoding
    uri = editor.open(tmp_path / "train.py", LEAKY)
    (found,) = editor.wait_for(uri, "NN201")
    assert found.range.start.character == column
    # An editor that does not show the steps of a trace is told them in the message.
    assert found.related_information is None
    assert "train.py:12: this step has used the gradients" in found.message
    # Two changes in one go: the second one speaks of the text after the first.
    behind = types.Range(types.Position(10, column - 2), types.Position(10, column))
    first = types.TextDocumentContentChangePartial(types.Range(types.Position(0, 0), types.Position(0, 0)), "x = '😀'\n")
    second = types.TextDocumentContentChangePartial(
        types.Range(types.Position(11, behind.start.character), types.Position(11, behind.end.character)), "\n    "
    )
    editor.change(uri, first, second)
    editor.settle(uri)
    (found,) = editor.diagnostics[uri]
    assert place(found.range)[:2] == (12, 4)
    assert editor.close() == 0


def test_what_is_typed_in_one_file_is_seen_in_the_other(editor: Editor, space: Path) -> None:
    train = editor.open(space / "train.py", SOUND)
    editor.settle(train)
    model = (space / "model.py").as_uri()
    # The mistake lies in a file that is not open; it is shown there, because its trace comes through one that is.
    editor.change(train, TRAIN)
    (found,) = editor.wait_for(model, "NN101")
    assert {step.location.uri for step in found.related_information or []} == {model, train}
    assert editor.codes(train) == []
    # Once it is open, what is in the editor counts and not what is on the disk.
    assert editor.open(space / "model.py") == model
    editor.settle(model)
    assert editor.codes(model) == ["NN101"]
    editor.change(model, MODEL.replace("torch.softmax(self.fc(x), dim=1)", "self.fc(x)"))
    editor.wait_for(model)
    editor.shut(model)
    editor.wait_for(model, "NN101")
    editor.shut(train)
    editor.wait_for(model)


def test_files_that_change_on_the_disk(editor: Editor, space: Path) -> None:
    train = editor.open(space / "train.py", TRAIN)
    model = (space / "model.py").as_uri()
    editor.wait_for(model, "NN101")
    (space / "model.py").rename(space / "models.py")
    editor.changed_on_disk(space / "model.py", space / "models.py")
    editor.wait_for(model)
    editor.change(train, TRAIN.replace("from model", "from models"))
    editor.wait_for((space / "models.py").as_uri(), "NN101")
    (space / "train.py").unlink()
    (space / "models.py").unlink()
    editor.changed_on_disk(space / "train.py", space / "models.py")
    editor.wait_for((space / "models.py").as_uri())


def test_hover(editor: Editor, space: Path) -> None:
    uri = editor.open(space / "train.py", LEAKY)
    (found,) = editor.wait_for(uri, "NN201")
    page = editor.hover(uri, 10, 22)
    assert page is not None and isinstance(page.contents, types.MarkupContent)
    assert page.contents.kind is types.MarkupKind.Markdown
    assert page.contents.value.startswith("# missing-zero-grad (NN201)")
    assert page.range == found.range
    assert editor.hover(uri, 0, 0) is None
    editor.change(
        uri, LEAKY.replace("loss.backward()", "loss.backward()  # 😀 nnlint: ignore[final-activation, missing-zero-grad]  # noqa: NN401")
    )
    editor.settle(uri)
    line = editor.texts[uri].splitlines()[10]
    for word, name in (("missing-zero", "missing-zero-grad"), ("final-act", "final-activation"), ("NN401", "view-instead-of-permute")):
        page = editor.hover(uri, 10, len(line[: line.index(word)].encode("utf-16-le")) // 2 + 1)
        assert page is not None and isinstance(page.contents, types.MarkupContent)
        assert page.contents.value.startswith(f"# {name} (NN")


def test_fixes(editor: Editor, space: Path) -> None:
    uri = editor.open(space / "net.py", NORMED)
    (found,) = editor.wait_for(uri, "NN501")
    assert found.severity is types.DiagnosticSeverity.Information
    fix, ignore = editor.actions(uri, found.range)
    assert (fix.kind, fix.is_preferred) == (types.CodeActionKind.QuickFix, None)
    assert [each.code for each in fix.diagnostics or ()] == [found.code]
    assert "unsafe: " in fix.title
    assert "ignore bias-before-batchnorm" in ignore.title
    assert editor.actions(uri, at(0)) == []
    assert editor.actions(uri, found.range, "refactor") == []
    editor.apply(fix)
    editor.wait_for(uri)
    assert "nn.Conv2d(3, 8, 3, bias=False)" in editor.texts[uri]


def test_all_safe_fixes(editor: Editor, space: Path) -> None:
    text = SOUND.replace("loss.backward()", "loss.backward()  # nnlint: ignore[missing-zero-grad]  # é")
    text += "# nnlint: ignore[final-activation] why\nprint(1)  # nnlint: ignore[missing-zero-grad, final-activation] 😀\n"
    uri = editor.open(space / "train.py", text)
    for found in editor.wait_for(uri, *["NN001"] * 4):
        assert list(found.tags or ()) == [types.DiagnosticTag.Unnecessary]
    (action,) = editor.actions(uri, at(0), types.CodeActionKind.SourceFixAll)
    assert action.kind == "source.fixAll.nnlint"
    editor.apply(action)
    editor.wait_for(uri)
    assert "ignore" not in editor.texts[uri]
    assert editor.actions(uri, at(0), types.CodeActionKind.SourceFixAll) == []


def test_ignoring_with_a_reason(editor: Editor, space: Path) -> None:
    uri = editor.open(space / "train.py", LEAKY)
    (found,) = editor.wait_for(uri, "NN201")
    ignore = editor.actions(uri, found.range, "quickfix")[-1]
    assert ignore.title == "nnlint: ignore missing-zero-grad (NN201) here, with a reason"
    assert ignore.is_preferred is None
    editor.apply(ignore)
    editor.wait_for(uri)
    assert editor.texts[uri].splitlines()[10].endswith("loss.backward()  # nnlint: ignore[missing-zero-grad] TODO: say why")


def test_a_notebook(editor: Editor, space: Path) -> None:
    cells = [SOUND[: SOUND.index("for")], "# Heading", "%time x = 1\n" + LEAKY[LEAKY.index("for") :]]
    kinds = [types.NotebookCellKind.Code, types.NotebookCellKind.Markup, types.NotebookCellKind.Code]
    uri = (space / "train.ipynb").as_uri()
    uris = [f"vscode-notebook-cell:{uri[5:]}#{number}" for number in range(3)]
    editor.call(
        editor.client.notebook_document_did_open,
        types.DidOpenNotebookDocumentParams(
            types.NotebookDocument(
                uri, "jupyter-notebook", 1, [types.NotebookCell(kind, cell) for kind, cell in zip(kinds, uris, strict=True)]
            ),
            [types.TextDocumentItem(cell, "python", 1, text) for cell, text in zip(uris, cells, strict=True) if text[0] != "#"],
        ),
    )
    (found,) = editor.wait_for(uris[2], "NN201")
    assert place(found.range) == (3, 20, 3, 35)
    ignore = editor.actions(uris[2], found.range, "quickfix")[-1]

    def change(told: types.NotebookDocumentCellChanges, version: int) -> None:
        identifier = types.VersionedNotebookDocumentIdentifier(uri=uri, version=version)
        event = types.NotebookDocumentChangeEvent(cells=told)
        editor.call(editor.client.notebook_document_did_change, types.DidChangeNotebookDocumentParams(identifier, event))

    # A cell above it takes another number out of the count, but not out of the text.
    change(
        types.NotebookDocumentCellChanges(
            structure=types.NotebookDocumentCellChangeStructure(
                types.NotebookCellArrayChange(1, 1, [types.NotebookCell(types.NotebookCellKind.Code, uris[1] + "n")]),
                did_open=[types.TextDocumentItem(uris[1] + "n", "python", 1, "def broken(:\n")],
            )
        ),
        2,
    )
    editor.wait_for(uris[1] + "n", "NN000")
    assert editor.codes(uris[2]) == ["NN201"]
    assert ignore.edit is not None and ignore.edit.document_changes is not None
    (edits,) = ignore.edit.document_changes
    assert isinstance(edits, types.TextDocumentEdit) and edits.text_document.uri == uris[2]
    text = after(cells[2], [edit for edit in edits.edits if isinstance(edit, types.TextEdit)])
    assert "loss.backward()  # nnlint: ignore[missing-zero-grad]" in text
    content = types.NotebookDocumentCellContentChanges(
        types.VersionedTextDocumentIdentifier(uri=uris[2], version=2), [types.TextDocumentContentChangeWholeDocument(text)]
    )
    change(types.NotebookDocumentCellChanges(text_content=[content]), 3)
    editor.wait_for(uris[2])
    close = types.DidCloseNotebookDocumentParams(
        types.NotebookDocumentIdentifier(uri), [types.TextDocumentIdentifier(each) for each in uris]
    )
    editor.call(editor.client.notebook_document_did_close, close)
    editor.wait_for(uris[1] + "n")


def test_settings(editor: Editor, space: Path) -> None:
    uri = editor.open(space / "train.py", LEAKY)
    editor.wait_for(uri, "NN201")
    settings = space / "nnlint.toml"
    settings.write_text('ignore = ["missing-zero-gard"]\n')
    editor.changed_on_disk(settings)
    editor.wait(lambda: bool(editor.messages))
    assert editor.messages == ["nnlint: nnlint.toml: unknown rule or group `missing-zero-gard`; did you mean `missing-zero-grad`?"]
    assert editor.codes(uri) == ["NN201"]
    settings.write_text('ignore = ["missing-zero-grad"]\n')
    editor.changed_on_disk(settings)
    editor.wait_for(uri)
    settings.write_text('baseline = "known.json"\n')
    (space / "known.json").write_text('{"train.py": {"NN201": 1}}\n')
    editor.changed_on_disk(settings)
    editor.change(uri, LEAKY + "\n")
    editor.settle(uri)
    assert editor.codes(uri) == []
    settings.write_text('extend-exclude = ["train.py"]\n')
    editor.changed_on_disk(settings)
    editor.change(uri, LEAKY + "\n(\n")
    editor.settle(uri)
    assert editor.codes(uri) == []
    settings.unlink()
    editor.changed_on_disk(settings)
    editor.wait_for(uri, "NN000")
    assert len(editor.messages) == 1


def test_texts_that_are_no_files_of_the_project(editor: Editor, space: Path, tmp_path: Path) -> None:
    new = editor.open("untitled:Untitled-1", LEAKY)
    editor.wait_for(new, "NN201")
    alone = tmp_path / "alone" / "a b.py"
    alone.parent.mkdir()
    (alone.parent / "model.py").write_text(MODEL)
    editor.open(alone, TRAIN)
    editor.wait_for((alone.parent / "model.py").as_uri(), "NN101")
    library = tmp_path / "lib" / "site-packages" / "torch" / "loss.py"
    library.parent.mkdir(parents=True)
    inside = editor.open(library, LEAKY)
    old = editor.open(f"git:{(space / 'train.py').as_uri()[5:]}?ref", LEAKY)
    notes = editor.open(space / "notes.md", "# torch\n", "markdown")
    editor.settle(inside)
    assert [editor.codes(uri) for uri in (inside, old, notes)] == [[], [], []]


@pytest.mark.parametrize("newline", ["\r\n", "\r"])
def test_line_ends_and_byte_order_marks(editor: Editor, space: Path, newline: str) -> None:
    text = "\ufeff" + LEAKY.replace("\n", newline)
    uri = editor.open(space / "train.py", text)
    (found,) = editor.wait_for(uri, "NN201")
    assert place(found.range) == (10, 20, 10, 35)
    # A form feed ends a line for some tools, but not for the protocol.
    change = types.TextDocumentContentChangePartial(types.Range(types.Position(2, 0), types.Position(2, 0)), "\x0c# a\u2028b" + newline)
    editor.change(uri, change)
    editor.settle(uri)
    (found,) = editor.diagnostics[uri]
    assert place(found.range) == (11, 20, 11, 35)


def test_whatever_is_sent(editor: Editor, space: Path) -> None:
    uri = editor.open(space / "train.py", LEAKY)
    for number in range(30):
        editor.change(uri, LEAKY[: number * 10])
    editor.change(uri, "import torch\0")
    editor.settle(uri)
    assert editor.codes(uri) == ["NN000"]
    editor.change(uri, "import torch\nx = '\ud800'\n" + "y = " + "(" * 3000)
    editor.settle(uri)
    far = types.TextDocumentContentChangePartial(types.Range(types.Position(900, 900), types.Position(999, 9)), "\n")
    editor.change(uri, far, LEAKY)
    editor.wait_for(uri, "NN201")
    stranger = (space / "stranger.py").as_uri()
    editor.versions[stranger] = 1
    editor.change(stranger, "x")
    assert editor.hover(stranger, 5, 5) is None
    assert editor.actions(stranger, at(3)) == []
    assert editor.messages == []


PROJECTS = (
    "demo/greenhouse",
    "missing-eval-mode/few_shot_builder",
    "missing-train-mode/mid_epoch_validation",
    "missing-zero-grad/src_engine_partial",
    "softmax-before-logit-loss/matching_net",
    "view-instead-of-permute/mamba_rearrange",
    "zero-grad-before-step/wrapper_zeroes_first",
)


@pytest.mark.parametrize("name", PROJECTS)
def test_an_editor_shows_what_the_command_line_says(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file at a time, with only what can bear upon it, and all files at once: the same findings."""
    root = ROOT / "fixtures" / name
    monkeypatch.chdir(root)
    monkeypatch.setenv("NNLINT_CACHE_DIR", str(tmp_path))
    rules = catalogue()
    result = deep(lambda: lint_paths(["."], settle(["."], Table()), rules))
    assert result.findings
    project = Project(Root(str(root), True, None, True), rules)
    answers: dict[str, list[Finding]] = {}
    elsewhere: set[tuple[str, Finding]] = set()

    def tell(path: str, answer: Answer) -> None:
        if answer.final:
            answers[path] = [replace(finding, fix=None) for finding in answer.findings]
            elsewhere.update((path, replace(finding, fix=None)) for finding in answer.elsewhere)

    for key in result.sources:
        path = str(root / key)
        buffers = {path: Buffer(path, "", 1, Path(path).read_text(encoding="utf-8"))}
        deep(lambda buffers=buffers: project.lint(buffers, list(buffers), 0, lambda: None, tell))  # type: ignore[misc]
    wanted = [replace(finding, fix=None) for finding in result.findings]
    for key in result.sources:
        assert answers[str(root / key)] == [finding for finding in wanted if finding.place.filename == key]
    steps = {(step.place.filename, finding) for finding in wanted for step in finding.trace}
    assert elsewhere == {(str(root / key), finding) for key, finding in steps if key != finding.place.filename}


def test_standard_output_carries_nothing_but_the_conversation(tmp_path: Path) -> None:
    """A rule that prints, and one that fails: what a plug-in does must not end the conversation."""
    editor = Editor(tmp_path, command=[sys.executable, "-c", LOUD, "server"])
    uri = editor.open(tmp_path / "train.py", LEAKY)
    editor.wait(lambda: bool(editor.codes(uri)))
    assert sorted(editor.codes(uri)) == ["NN000", "NN201"]
    assert editor.close() == 0


LOUD = """
import sys
from nnlint.registry import catalogue
from nnlint.cli import main

rules = [rule for rule in catalogue().rules if rule.code != "NN201"]

def check(self, story):
    print("Content-Length: 5")
    sys.stdout.flush()
    raise RuntimeError("broken")

rules[0].check = check
main(["server", "--stdio"])
"""


def message(**content: object) -> bytes:
    data = json.dumps({"jsonrpc": "2.0", **content}).encode()
    return b"Content-Length: %d\r\n\r\n%s" % (len(data), data)


def serve(data: bytes) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "nnlint", "server"]
    return subprocess.run(command, input=data, env=environment, capture_output=True, timeout=60, check=False)


def test_exit_codes() -> None:
    hello = message(id=1, method="initialize", params={"capabilities": {}, "processId": None, "rootUri": None})
    bye = message(id=2, method="shutdown")
    end = message(method="exit")
    assert serve(hello + bye + end).returncode == 0
    assert serve(hello + end).returncode == 1
    gone = serve(hello)
    assert gone.returncode == 1
    assert gone.stdout.startswith(b"Content-Length: ")


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such signal")
def test_an_interrupt_ends_it_at_once() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    server = subprocess.Popen(
        [sys.executable, "-m", "nnlint", "server"], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    with server:
        assert server.stdin is not None and server.stdout is not None
        server.stdin.write(message(id=1, method="initialize", params={"capabilities": {}, "processId": None, "rootUri": None}))
        server.stdin.flush()
        assert server.stdout.readline().startswith(b"Content-Length: ")
        server.send_signal(signal.SIGINT)
        assert server.wait(30) == 130


def test_the_word_server(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, *words], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)

    (tmp_path / "server").mkdir()
    (tmp_path / "server" / "a.py").write_text(LEAKY)
    assert "server/a.py:11:" in run("-m", "nnlint", "--format", "concise", "./server").stdout
    wrong = run("-m", "nnlint", "server", "a.py")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "`./server`" in wrong.stderr
    missing = run("-c", "import sys; sys.modules['pygls'] = None; from nnlint.cli import main; main(['server'])")
    assert (missing.returncode, missing.stdout) == (2, "")
    assert 'pip install "nnlint[lsp]"' in missing.stderr
