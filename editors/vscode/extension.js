// @ts-check
// Starts `nnlint server` and hands it over to VS Code's client of the language server protocol.
const vscode = require("vscode");
const { LanguageClient } = require("vscode-languageclient/node");

/** @type {LanguageClient | undefined} */
let client;

async function start() {
  await stop();
  const words = /** @type {string[]} */ (vscode.workspace.getConfiguration("nnlint").get("command", ["nnlint", "server"]));
  // Cells of notebooks are synchronised as the server asks for them, a notebook at a time.
  const documentSelector = ["file", "untitled"].map((scheme) => ({ scheme, language: "python" }));
  client = new LanguageClient("nnlint", "nnlint", { command: words[0], args: words.slice(1) }, { documentSelector });
  await client.start();
}

async function stop() {
  const running = client;
  client = undefined;
  await running?.stop();
}

/** @param {vscode.ExtensionContext} context */
async function activate(context) {
  context.subscriptions.push(
    vscode.commands.registerCommand("nnlint.restart", start),
    vscode.workspace.onDidChangeConfiguration((event) => (event.affectsConfiguration("nnlint") ? start() : undefined)),
  );
  await start();
}

module.exports = { activate, deactivate: stop };
