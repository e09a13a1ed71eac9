"""Scripts under the write guard, in real processes: they see what they wrote, and the project stays as it was.

Most scripts run twice, without the guard on one copy of the project and with it on another. What they print has to be the same.
"""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from nnlint.confirm.child import landlock
from nnlint.confirm.child.environment import environment
from nnlint.confirm.child.guard import refused
from nnlint.confirm.child.journal import Line, lines

ROOT = Path(__file__).parents[1]
OLD = 1_600_000_000_123_456_789

kernel = pytest.mark.skipif(not landlock.version(), reason="this kernel has no Landlock")

ENTRY = """
import os
from nnlint.confirm.child.guard import install
install(os.environ["SCRATCH"])
"""


def snapshot(folder: Path) -> dict[str, tuple[object, ...]]:
    result: dict[str, tuple[object, ...]] = {}
    for path in (folder, *sorted(folder.rglob("*"))):
        info = path.lstat()
        content = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None
        result[str(path.relative_to(folder))] = info.st_mode, info.st_mtime_ns, info.st_ino, info.st_size if path.is_file() else 0, content
    return result


class Project:
    """A folder with some files, as the user has it, and a scratch folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.scratch = folder / "scratch"
        self.scratch.mkdir()
        self.home = self.make("guarded")
        site = folder / "site"
        site.mkdir()
        (site / "sitecustomize.py").write_text(ENTRY)
        self.path = os.pathsep.join([str(site), str(ROOT)])

    def make(self, name: str) -> Path:
        home = self.folder / name / "project"
        (home / "data" / "raw").mkdir(parents=True)
        (home / "data" / "train.csv").write_text("x,y\n1,2\n")
        (home / "data" / "raw" / "0.bin").write_bytes(bytes(range(256)) * 64)
        (home / "runs" / "old").mkdir(parents=True)
        (home / "runs" / "old" / "log.txt").write_text("first\n")
        (home / "results.json").write_text("[1]")
        (home / "model.pt").write_bytes(b"weights")
        (home / "latest").symlink_to("runs/old")
        for path in sorted(home.parent.rglob("*"), reverse=True):
            os.utime(path, ns=(OLD, OLD), follow_symlinks=False)
        return home

    def start(self, script: str, *, guarded: bool = True, home: Path | None = None) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        if guarded:
            env |= {**environment(str(self.scratch)), "SCRATCH": str(self.scratch), "PYTHONPATH": self.path}
        program = self.folder / "script.py"
        program.write_text(textwrap.dedent(script))
        return subprocess.run(
            [sys.executable, str(program)], cwd=home or self.home, env=env, capture_output=True, text=True, timeout=120, check=False
        )

    def run(self, script: str) -> str:
        """Under the guard; the project has to stay as it was."""
        before = snapshot(self.home.parent)
        result = self.start(script)
        assert result.returncode == 0, result.stderr
        assert snapshot(self.home.parent) == before
        return result.stdout

    def compare(self, script: str) -> str:
        """With and without the guard: the script cannot tell."""
        plain = self.start(script, guarded=False, home=self.make("plain"))
        assert plain.returncode == 0, plain.stderr
        assert plain.stdout
        printed = self.run(script)
        assert printed == plain.stdout
        return printed

    def journal(self) -> list[Line]:
        return lines(str(self.scratch))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


TREE = """
import os
def tree():
    for folder, folders, files in sorted(os.walk(".")):
        for name in sorted(folders):
            path = os.path.join(folder, name)
            print(path, "->", os.readlink(path)) if os.path.islink(path) else print(path + "/")
        for name in sorted(files):
            path = os.path.join(folder, name)
            print(path, "->", os.readlink(path)) if os.path.islink(path) else print(path, open(path, "rb").read()[:200])
"""

SCRIPTS = {
    "logs": """
        import csv, json, logging
        logging.basicConfig(filename="train.log", level=logging.INFO, format="%(message)s")
        logging.info("epoch 1")
        logging.getLogger("other").addHandler(logging.FileHandler("runs/old/log.txt"))
        logging.getLogger("other").warning("second")
        logging.shutdown()
        with open("data/train.csv", "a", newline="") as file:
            csv.writer(file).writerow([3, 4])
        with open("results.json", "r+") as file:
            results = json.load(file)
            file.seek(0)
            json.dump([*results, 2], file)
        print(open("data/train.csv").read(), open("results.json").read(), open("train.log").name)
        tree()
    """,
    "remove": """
        import shutil
        os.remove("model.pt")
        shutil.rmtree("data")
        print(os.path.exists("data"), os.path.isdir("data/raw"), os.access("data/train.csv", os.R_OK), sorted(os.listdir()))
        for name in ("data/train.csv", "model.pt", "nowhere/x", "results.json/x"):
            try:
                open(name)
            except OSError as error:
                print(type(error), error)
            try:
                open(name, "w").write("new")
            except OSError as error:
                print(type(error), error)
        os.makedirs("data/raw")
        print(os.listdir("data"), os.listdir("data/raw"))
        shutil.rmtree("latest", ignore_errors=True)
        os.unlink("latest")
        tree()
    """,
    "rename": """
        import shutil
        os.rename("model.pt", "best.pt")
        os.replace("results.json", "data/train.csv")
        os.rename("data", "inputs")
        shutil.move("inputs/raw", "raw")
        shutil.copytree("raw", "inputs/copy")
        shutil.copy2("best.pt", "runs")
        os.mkdir("data")
        print(os.stat("runs/best.pt").st_mtime_ns, os.path.getsize("raw/0.bin"))
        for names in ("raw inputs", "raw best.pt", "best.pt raw", "raw raw/below", "none x", "raw no/x", "best.pt x/", "raw/0.bin raw"):
            try:
                print(os.rename(*names.split()))
            except OSError as error:
                print(type(error), error)
        tree()
    """,
    "folders": """
        import glob, pathlib
        home = os.getcwd()
        os.makedirs("out/first/second", exist_ok=True)
        os.makedirs("out", exist_ok=True)
        os.chdir("out/first")
        print(os.path.relpath(os.getcwd(), home), os.path.relpath(pathlib.Path.cwd(), home), os.path.samefile(".", home + "/out/first"))
        open("here.txt", "w").write("1")
        open("../there.txt", "w").write("2")
        open(home + "/absolute.txt", "w").write("3")
        print(sorted(glob.glob("*")), sorted(glob.glob("../**", recursive=True)), open("../../results.json").read())
        print(sorted(entry.path for entry in os.scandir("..")), [entry.name for entry in os.scandir(b".") if entry.is_dir()])
        with os.scandir() as entries:
            print(sorted((e.name, e.is_file(), e.is_symlink(), e.stat().st_size) for e in entries if e.is_file()))
        os.chdir("second")
        os.chdir("../../../data")
        print(sorted(os.listdir()), os.path.relpath(os.getcwd(), home))
        os.chdir(home)
        for path in ("out", "nowhere/x", "results.json/x", "results.json"):
            try:
                os.mkdir(path)
            except OSError as error:
                print(type(error), error)
        for path in ("out", "nowhere", "results.json"):
            try:
                os.rmdir(path)
            except OSError as error:
                print(type(error), error)
        try:
            os.chdir("results.json")
        except OSError as error:
            print(type(error), error)
        os.removedirs("out/first/second")
        tree()
    """,
    "links": """
        open("latest/new.txt", "w").write("through a link")
        print(os.listdir("runs/old"), os.path.realpath("latest/new.txt") == os.path.realpath("runs/old/new.txt"))
        os.makedirs("runs/new")
        os.unlink("latest")
        os.symlink("runs/new", "latest")
        open("latest/log.txt", "w").write("of the new run")
        print(open("runs/new/log.txt").read(), os.readlink("latest"), os.path.islink("latest"), os.path.isdir("latest"))
        os.symlink("made", "dangling")
        print(os.path.exists("dangling"), os.path.lexists("dangling"))
        open("dangling", "w").write("x")
        os.link("model.pt", "hard.pt")
        open("hard.pt", "ab").write(b"!")
        print(open("model.pt", "rb").read(), os.stat("model.pt").st_nlink, os.path.samefile("model.pt", "hard.pt"))
        os.symlink(os.path.abspath("data"), "runs/data")
        open("runs/data/../data/x.txt", "w").write("1")
        print(open("data/x.txt").read(), os.path.samefile("runs/data", "data"))
        os.unlink("runs/data")
        tree()
        os.symlink("loop", "loop")
        try:
            open("loop")
        except OSError as error:
            print(type(error), error)
    """,
    "pathlib": """
        from pathlib import Path
        Path("runs/a/b").mkdir(parents=True, exist_ok=True)
        Path("runs/a/b/x.txt").write_text("text")
        Path("runs/a/y").touch()
        Path("model.pt").touch()
        print(Path("model.pt").read_bytes(), Path("model.pt").stat().st_mtime > 1700000000)
        Path("model.pt").rename("model.old")
        Path("results.json").unlink()
        Path("results.json").unlink(missing_ok=True)
        print(sorted(Path().rglob("*")), sorted(Path("runs").iterdir()), sorted(Path().glob("*/*/*.txt")))
        print(Path("model.old").exists(), Path("model.pt").exists(), Path("runs/a").is_dir(), Path("latest").resolve().name)
        for path in ("nowhere/x", "runs"):
            try:
                Path(path).write_text("")
            except OSError as error:
                print(type(error), error)
        Path("runs/a/link").symlink_to("y")
        Path("runs/a/b").chmod(0o700)
        with Path("runs/a/y").open("a") as file:
            print(file.name, file.write("z"))
        tree()
    """,
    "low": """
        fd = os.open("low.bin", os.O_RDWR | os.O_CREAT | os.O_EXCL)
        os.write(fd, b"0123456789")
        os.close(fd)
        os.truncate("low.bin", 4)
        os.chmod("results.json", 0o600)
        print(oct(os.stat("results.json").st_mode), os.stat("data/train.csv").st_mode == os.stat("model.pt").st_mode)
        os.utime("model.pt", (1, 2))
        print(os.stat("model.pt").st_mtime, os.path.getmtime("data/train.csv") < 1700000000)
        folder = os.open("data", os.O_RDONLY)
        fd = os.open("fresh.txt", os.O_WRONLY | os.O_CREAT, dir_fd=folder)
        os.write(fd, b"beside")
        os.close(fd)
        print(sorted(os.listdir("data")), os.stat("fresh.txt", dir_fd=folder).st_size)
        os.unlink("train.csv", dir_fd=folder)
        os.rename("fresh.txt", "renamed.txt", src_dir_fd=folder, dst_dir_fd=folder)
        print(sorted((path, sorted(folders), sorted(files)) for path, folders, files, _ in os.fwalk(".")))
        fd = os.open("model.pt", os.O_RDONLY)
        os.fchmod(fd, 0o604)
        print(oct(os.stat("model.pt").st_mode))
        import io
        raw = io.FileIO("raw.bin", "w")
        raw.write(b"raw")
        print(raw.name, isinstance(open("raw.bin", "rb", 0), io.FileIO), isinstance(open("raw.bin", "rb"), io.FileIO))
        def opener(name, flags):
            return os.open(name, flags | os.O_EXCL, 0o640)
        with open("opened.txt", "w", opener=opener) as file:
            file.write("x")
        try:
            open("opened.txt", "w", opener=opener)
        except OSError as error:
            print(type(error), error)
        os.mkfifo("pipe")
        print(oct(os.stat("pipe").st_mode))
        os.unlink("pipe")
        for mode in ("x", "r+", "w+b", "a+"):
            try:
                with open("results.json", mode) as file:
                    print(mode, file.mode, file.tell(), file.name)
            except OSError as error:
                print(type(error), error)
        with open(b"bytes.txt", "wb") as file:
            print(file.name)
        for wrong in ("", "a\\0b", None, "data/", "model.pt/"):
            for function in (open, os.stat, os.remove, os.listdir):
                try:
                    print(wrong, len(function(wrong)) > 3)
                except (OSError, ValueError, TypeError) as error:
                    print(wrong, type(error), getattr(error, "errno", None))
        tree()
    """,
    "libraries": """
        import dbm.dumb, gzip, pickle, sqlite3, tarfile, zipfile
        with gzip.open("a.gz", "wt") as file:
            file.write("packed")
        with zipfile.ZipFile("a.zip", "w") as archive:
            archive.write("data/train.csv")
        with tarfile.open("a.tar", "w") as archive:
            archive.add("data")
        import shutil
        shutil.unpack_archive("a.tar", "unpacked")
        pickle.dump({"a": 1}, open("a.pkl", "wb"))
        print(gzip.open("a.gz", "rt").read(), zipfile.ZipFile("a.zip").namelist(), pickle.load(open("a.pkl", "rb")))
        print(sorted(os.listdir("unpacked/data")))
        base = sqlite3.connect("base.db")
        base.execute("create table t (x)")
        base.execute("insert into t values (7)")
        base.commit()
        base.close()
        print(sqlite3.connect("file:base.db?mode=ro", uri=True).execute("select x from t").fetchall(), os.path.exists("base.db"))
        with dbm.dumb.open("d") as store:
            store["k"] = "v"
        import linecache, mmap
        open("words.py", "w").write("VALUE = 3\\n")
        print(linecache.getline("words.py", 1))
        import sys
        sys.path.insert(0, os.getcwd())
        import words
        print(words.VALUE)
        with open("data/raw/0.bin", "r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
            memory[:4] = b"mmap"
        print(open("data/raw/0.bin", "rb").read(8), os.path.getsize("data/raw/0.bin"))
    """,
    "temporary": """
        import shutil, tempfile
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, "x"), "w") as file:
                file.write("1")
            os.replace(os.path.join(folder, "x"), "kept.txt")
            os.chdir(folder)
            open("y", "w").write("2")
            print(os.listdir(), os.listdir(folder))
            os.chdir(os.path.dirname(os.path.abspath(__file__)))
        print(os.path.exists(folder))
        with tempfile.NamedTemporaryFile("w", dir=".", delete=False) as file:
            file.write("atomic")
        os.replace(file.name, "results.json")
        with tempfile.NamedTemporaryFile() as file, tempfile.TemporaryFile() as other:
            print(file.write(b"123"), other.write(b"12"), os.path.exists(file.name))
        fd, name = tempfile.mkstemp()
        os.close(fd)
        shutil.move(name, "moved.txt")
    """,
    "workers": """
        import multiprocessing, subprocess, sys
        def work(name):
            open(name, "w").write("by " + name)
            if os.path.exists("model.pt"):
                os.remove("model.pt")
            return sorted(os.listdir("."))
        if __name__ == "__main__":
            for method in ("fork", "spawn"):
                with multiprocessing.get_context(method).Pool(1) as pool:
                    print(pool.map(work, [method]), pool.apply(os.mkdir, (method + ".d",)), pool.apply(os.listdir, (method + ".d",)))
            code = "import os; os.rename('fork', 'renamed'); os.mkdir('m'); open('m/x', 'w').write('y')"
            subprocess.run([sys.executable, "-c", code], check=True)
            print(open("renamed").read(), open("m/x").read(), os.path.exists("fork"), os.path.exists("model.pt"))
            print(subprocess.run(["pwd"], cwd="m", capture_output=True, text=True).returncode)
            tree()
    """,
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_script_cannot_tell(project: Project, name: str) -> None:
    project.compare(TREE + textwrap.dedent(SCRIPTS[name]))


OPERATIONS = """
import errno, random, shutil, sys
chance = random.Random(SEED)
NAMES = ["a", "b", "data", "data/a", "data/raw", "data/raw/b", "data/raw/0.bin", "runs", "runs/old", "runs/old/a", "latest", "latest/b",
         "model.pt", "data/../a", "runs/old/../b", "latest/../a", "a/a", "a/b", "b/a", "b/", "./a/", "a/../b", "latest/", "data/train.csv"]
def content(path):
    with open(path, "rb") as file:
        return file.read()[:9], file.name
def put(path, mode):
    with open(path, mode) as file:
        file.write("x")
        file.flush()
        return file.tell()
ONE = [content, os.remove, os.unlink, os.rmdir, os.mkdir, os.makedirs, os.readlink, shutil.rmtree, os.path.exists, os.path.lexists,
       os.path.isdir, lambda p: os.stat(p).st_size if os.path.isfile(p) else os.path.isdir(p), lambda p: sorted(os.listdir(p)),
       lambda p: oct(os.lstat(p).st_mode), lambda p: sorted(e.path for e in os.scandir(p)), lambda p: os.access(p, os.W_OK),
       lambda p: os.truncate(p, 2), lambda p: os.chmod(p, 0o750), lambda p: os.path.relpath(os.path.realpath(p)),
       lambda p: put(p, "w"), lambda p: put(p, "a"), lambda p: put(p, "x"), lambda p: put(p, "r+")]
TWO = [os.rename, os.replace, os.link, lambda a, b: os.symlink(os.path.basename(a.rstrip("/")), b),
       shutil.copy, shutil.move, shutil.copytree]
for number in range(400):
    function = chance.choice(ONE + TWO)
    names = [chance.choice(NAMES) for _ in range(1 + (function in TWO))]
    if chance.random() < 0.1:
        names = [os.path.abspath(name) for name in names]
    try:
        result = function(*names)
    except RecursionError:  # a folder into itself: how far that goes depends on the depth of the stack
        print("endless")
        sys.exit()
    except shutil.Error as error:
        result = "Error", error.args
    except OSError as error:
        result = type(error).__name__, errno.errorcode.get(error.errno)
    names = [name.replace(os.getcwd(), "") for name in names]
    print(number, (ONE + TWO).index(function), names, str(result).replace(os.path.dirname(os.getcwd()), ""))
tree()
"""


@pytest.mark.parametrize("seed", range(4))
def test_any_sequence_of_operations(project: Project, seed: int) -> None:
    project.compare(TREE + OPERATIONS.replace("SEED", str(seed)))


def test_torch(project: Project) -> None:
    pytest.importorskip("torch")
    project.compare(
        TREE.replace("print(path, open", "print(path) if 1 else print(open")
        + textwrap.dedent("""
            import pathlib, numpy, torch
            net = torch.nn.Linear(2, 1)
            torch.manual_seed(0)
            torch.save(net.state_dict(), "model.pt")
            torch.save({"epoch": torch.arange(3)}, pathlib.Path("runs/last.ckpt"))
            torch.save([1], "old.pt", _use_new_zipfile_serialization=False)
            print(torch.load("runs/last.ckpt"), torch.load(os.path.abspath("runs/last.ckpt"), mmap=True), torch.load("old.pt"))
            print(net.load_state_dict(torch.load("model.pt")), torch.load(open("model.pt", "rb")).keys())
            os.replace("model.pt", "best.pt")
            print(sorted(torch.load("latest/../../best.pt")), os.path.exists("model.pt"))
            torch.jit.save(torch.jit.script(net), "net.ts")
            print(torch.jit.load("net.ts").weight.shape, torch.jit.load("net.ts").original_name)
            torch.jit.script(net).save("runs/net.ts")
            print(torch.from_file("data/raw/0.bin", size=4, dtype=torch.uint8))
            torch.from_file("data/raw/0.bin", shared=True, size=4, dtype=torch.uint8).fill_(9)
            print(torch.from_file("data/raw/0.bin", size=4, dtype=torch.uint8))
            numpy.save("a.npy", numpy.arange(3))
            numpy.savez("a.npz", x=numpy.ones(2))
            numpy.arange(4).tofile("a.raw")
            memory = numpy.memmap("data/raw/0.bin", mode="r+", shape=(4,))
            memory[:] = 5
            memory.flush()
            print(numpy.load("a.npy"), numpy.load("a.npz")["x"], numpy.fromfile("a.raw", dtype=int), numpy.load("a.npy", mmap_mode="r"))
            print(numpy.fromfile("data/raw/0.bin", dtype="uint8", count=5))
            with torch.profiler.profile() as profiler:
                net(torch.ones(1, 2))
            profiler.export_chrome_trace("trace.json")
            print(os.path.getsize("trace.json") > 100)
            for path in ("none.pt", "nowhere/x.pt"):
                for function in (torch.load, torch.jit.load, lambda path: torch.save(1, path)):
                    try:
                        print(function(path))
                    except Exception as error:
                        print(type(error))
            class Ones(torch.utils.data.Dataset):
                def __len__(self):
                    return 4
                def __getitem__(self, index):
                    open(f"seen{index}", "w").write("1")
                    return torch.ones(2)
            if __name__ == "__main__":
                for workers in (0, 2):
                    print(len(list(torch.utils.data.DataLoader(Ones(), 2, num_workers=workers))), os.path.exists("seen3"))
            tree()
        """)
    )


def test_torch_that_a_probe_has_imported(project: Project) -> None:
    """Another import hook may come before ours."""
    pytest.importorskip("torch")
    printed = project.run("""
        import sys
        from nnlint.confirm.child import guard, natives
        sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, natives.Finder)]
        import torch
        guard.torch_imported()
        guard.torch_imported()
        torch.save(1, "model.pt")
        print(torch.load("model.pt"))
    """)
    assert printed == "1\n"


NATIVE = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
def native(function, *arguments):
    if getattr(libc, function)(*arguments) in (-1, None):
        print(function, os.strerror(ctypes.get_errno()))
        ctypes.set_errno(0)
    else:
        print(function, "done")
"""


@kernel
def test_native_code_is_refused(project: Project) -> None:
    printed = project.run(
        NATIVE
        + textwrap.dedent("""
            libc.fopen.restype = ctypes.c_void_p
            native("fopen", b"model.pt", b"w")
            native("fopen", b"new.txt", b"w")
            native("unlink", b"model.pt")
            native("rename", b"model.pt", b"other.pt")
            native("rename", b"model.pt", os.environ["TMPDIR"].encode() + b"/x")
            native("mkdir", b"new", 0o777)
            native("rmdir", b"runs")
            native("symlink", b"a", b"b")
            native("link", b"model.pt", os.environ["TMPDIR"].encode() + b"/x")
            native("fopen", os.environ["TMPDIR"].encode() + b"/x", b"w")
            native("fopen", b"/dev/null", b"w")
            native("fopen", b"model.pt", b"r")
        """)
    )
    *refused, written, device, read = printed.splitlines()
    assert len(refused) == 9
    assert all(line.endswith(("Permission denied", "Invalid cross-device link")) for line in refused), refused
    assert written == device == read == "fopen done"


@kernel
def test_truncate_is_refused_from_version_3(project: Project) -> None:
    if landlock.version() < 3:
        pytest.skip("Landlock before version 3")
    printed = project.run(NATIVE + "native('truncate', b'model.pt', ctypes.c_long(1))")
    assert printed == "truncate Permission denied\n"


@kernel
def test_subprocesses_are_refused_and_noted(project: Project) -> None:
    printed = project.run("""
        import os, subprocess, sys
        print(subprocess.run("echo x > model.pt", shell=True, stderr=subprocess.DEVNULL).returncode > 0)
        print(os.system("rm -f model.pt 2> /dev/null; touch new 2> /dev/null") != 0)
        print(subprocess.run(["sh", "-c", "cat results.json; echo y > $TMPDIR/y"], capture_output=True, text=True).stdout)
        print(subprocess.run([sys.executable, "-I", "-S", "-c", "open('new', 'w')"], stderr=subprocess.DEVNULL).returncode)
        print(os.listdir(os.environ["TMPDIR"]))
    """)
    assert printed == "True\nTrue\n[1]\n1\n['y']\n"
    commands = [line["command"] for line in project.journal() if line["kind"] == "command"]
    assert len(commands) == 4
    assert "rm -f model.pt" in commands[1]
    assert {Path(line["where"].rpartition(":")[0]).name for line in project.journal()} == {"script.py"}


def test_original_functions_are_refused_and_noted(project: Project) -> None:
    """A script that finds a way round the redirection: the audit hook and the kernel stand behind it."""
    printed = project.run("""
        import builtins, importlib, os
        from nnlint.confirm.child import system
        import posix
        os.open, builtins.open = system.open, system.file_open
        for function, *names in (
            (open, "model.pt", "w"), (os.open, "new", os.O_WRONLY | os.O_CREAT), (system.unlink, "model.pt"), (system.mkdir, "new"),
            (system.rename, "model.pt", "b"), (system.rmdir, "data/raw"), (system.truncate, "model.pt", 0), (system.utime, "model.pt"),
            (system.chmod, "model.pt", 0), (system.symlink, "a", "b"), (system.link, "model.pt", "b"), (system.file, "model.pt", "a"),
        ):
            try:
                print("done", function(*names))
            except PermissionError as error:
                print(error.filename)
        print(open("model.pt").read())
        importlib.reload(os)
        os.unlink("model.pt")
        posix.mkdir("new")
        print(os.path.exists("model.pt"), os.path.isdir("new"))
    """)
    assert "done" not in printed
    assert printed.endswith("weights\nFalse True\n")
    refused = [line for line in project.journal() if line["kind"] == "refused"]
    assert len(refused) == 11  # the last one says what the first has said
    assert refused[0]["path"] == str(project.home / "model.pt")
    assert refused[0]["where"].endswith("script.py:12")


def test_what_is_in_force(project: Project) -> None:
    printed = project.run("""
        import os, sys
        from nnlint.confirm.child.guard import install
        protection = install(os.environ["SCRATCH"])
        print(protection.kernel, protection.landlock, protection.limits, sep="\\n")
        print("torch" in sys.modules, "typing" in sys.modules, os.environ["WANDB_MODE"])
    """)
    in_force, version, limits, last = printed.splitlines()
    assert version == str(landlock.version())
    assert in_force == str(landlock.version() > 0)
    assert limits.startswith("What Python code writes goes to a scratch folder; ")
    assert last == "False False offline"


def test_errors_of_refused_writes() -> None:
    assert refused(PermissionError(errno.EACCES, os.strerror(errno.EACCES), "model.h5"))
    assert refused(RuntimeError(f"unable to open model.h5: {os.strerror(errno.EACCES)}"))
    assert not refused(FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "model.h5"))
    error = ValueError("cannot save")
    error.__cause__ = PermissionError(errno.EACCES, "no")
    assert refused(error)


def test_rights_of_each_version() -> None:
    """A right that the kernel does not know makes the whole ruleset invalid."""
    assert landlock.rights(1) == (1 << 13) - 1 - 0b1101
    assert landlock.rights(2) == landlock.rights(1) | landlock.REFER
    assert landlock.rights(3) == landlock.rights(7) == landlock.rights(2) | landlock.TRUNCATE


def test_without_landlock(project: Project) -> None:
    """The Python level alone, as on a kernel without Landlock."""
    (project.folder / "site" / "sitecustomize.py").write_text(
        "from nnlint.confirm.child import landlock\nlandlock.version = lambda: 0\n" + ENTRY + "print(install('').limits)\n"
    )
    printed = project.run(textwrap.dedent(TREE + textwrap.dedent(SCRIPTS["remove"])))
    assert "is not covered, because this system has no Landlock" in printed


@kernel
def test_first_version_of_landlock(project: Project) -> None:
    """It lets no file change its folder, not even in the scratch folder: files are moved by copying."""
    (project.folder / "site" / "sitecustomize.py").write_text(
        "from nnlint.confirm.child import landlock\nversion = landlock.version\nlandlock.version = lambda: version() and 1\n" + ENTRY
    )
    for name in ("rename", "temporary", "workers"):
        project.compare(TREE + textwrap.dedent(SCRIPTS[name]))
        for made in (project.folder / "plain", project.scratch / "files"):
            subprocess.run(["rm", "-r", str(made)], check=True)
        (project.scratch / "files").mkdir()


def test_an_open_costs_little_more(project: Project) -> None:
    script = """
        import time, timeit
        print(min(timeit.repeat("open('results.json').close()", number=200, repeat=20, timer=time.process_time)))
    """
    plain = float(project.start(script, guarded=False).stdout)
    guarded = float(project.run(script))
    assert guarded < 8 * plain
