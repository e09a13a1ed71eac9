"""What the terminal can show: colours, and links from text to pages."""

from __future__ import annotations

import os
import sys

# Terminals that say who they are and are known to understand links, as the packages `supports-hyperlinks` list them.
_PROGRAMS = frozenset({"Hyper", "WezTerm", "ghostty", "iTerm.app", "rio", "tabby", "terminology", "vscode", "zed"})
_VARIABLES = ("DOMTERM", "KITTY_WINDOW_ID", "KONSOLE_VERSION", "WT_SESSION")
_TERMS = ("alacritty", "contour", "foot", "xterm-ghostty", "xterm-kitty")
_VTE = 5000  # the version of the GNOME terminals that brought links
_MULTIPLEXERS = ("screen", "tmux", "linux", "dumb")


def colours(flag: str | None, *, to_file: bool) -> bool:
    """Whether output is coloured: as the option says, or FORCE_COLOR, or NO_COLOR, or else on terminals."""
    if flag in ("always", "never"):
        return flag == "always"
    if to_file:
        return False
    if os.environ.get("FORCE_COLOR", "") not in ("", "0"):
        return True
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb" and sys.stdout.isatty()


def links(*, to_file: bool) -> bool:
    """Whether rule codes are links (OSC 8): only on terminals that are known to hide what they do not show, or as FORCE_HYPERLINK says."""
    wish = os.environ.get("FORCE_HYPERLINK", "")
    if wish or to_file:
        return not to_file and wish != "0"
    term = os.environ.get("TERM", "")
    if not sys.stdout.isatty() or "CI" in os.environ or term.startswith(_MULTIPLEXERS):
        return False
    vte = os.environ.get("VTE_VERSION", "")
    return (
        os.environ.get("TERM_PROGRAM") in _PROGRAMS
        or any(name in os.environ for name in _VARIABLES)
        or term.startswith(_TERMS)
        or (vte.isdigit() and int(vte) >= _VTE)
    )


def link(text: str, address: str) -> str:
    """A text that leads to a page."""
    return f"\x1b]8;;{address}\x1b\\{text}\x1b]8;;\x1b\\"
