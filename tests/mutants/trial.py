"""One mutant on trial: a forked process that imports the changed module and runs tests until one fails."""

import importlib.machinery
import os
import resource
import signal
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_TESTS = {"geometry": "geometry", "gradient": "gradient", "submodular": "submodular shared",
          "scores": "scores boundary", "estimate": "estimate", "memory": "estimate shared", "shared": "shared",
          "kernels": "geometry gradient submodular boundary scores"}
_TWINS = "parity_tests/test_methods.py"
KILLED, SURVIVED, HUNG = "killed", "survived", "hung"


def prepare():
    """Import what the tests need but ms_coreset's own modules, without a thread's being started."""
    import hypothesis  # noqa: F401
    import mindspore  # noqa: F401
    import pytest  # noqa: F401
    import sklearn.datasets  # noqa: F401
    import torch  # noqa: F401

    if any(name.startswith("ms_coreset.selectors") for name in sys.modules):
        raise RuntimeError("the selectors are imported already: they could not be changed")


def tests_for(module):
    """Files of tests for ``module``, a path below selectors, those that know it best first; the twins come last."""
    key = module.parts[0].removesuffix(".py")
    names = [*_TESTS.get(key, "scores geometry submodular").split(), "selectors"]
    files = [f"tests/test_{name}.py" for name in dict.fromkeys(names)]
    return files if key in ("estimate", "memory") else [*files, _TWINS]


def begin(module, tree, files, limit):
    """Put the mutant ``tree`` of ``module`` (a path below selectors; None: none) on trial by tests in ``files``.

    limit: seconds of a processor after which it counts as hung

    Returns the number of its process, for ``ended``.
    """
    pid = os.fork()
    if not pid:
        _run(module, tree, files, limit)
    return pid


def ended():
    """(process, outcome, seconds of a processor) of the trial that ends next."""
    pid, status, usage = os.wait4(-1, 0)
    code = os.waitstatus_to_exitcode(status)
    return pid, {0: SURVIVED, -signal.SIGXCPU: HUNG}.get(code, KILLED), usage.ru_utime + usage.ru_stime


def _run(module, tree, files, limit):
    code = 99
    try:
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 1))
        null = os.open(os.devnull, os.O_WRONLY)
        for stream in (1, 2):
            os.dup2(null, stream)
        os.chdir(ROOT)
        if module is not None:
            _put_in_place(module, tree)
        import pytest

        code = pytest.main(["-x", "-q", "-p", "no:cacheprovider", *files])
    finally:
        os._exit(int(code))


def _put_in_place(module, tree):
    """Let the import of ``module`` compile ``tree``."""
    path = ROOT / "ms_coreset" / "selectors" / module
    code = compile(tree, str(path), "exec")
    original = importlib.machinery.SourceFileLoader.get_code

    def get_code(loader, name):
        return code if Path(loader.path) == path else original(loader, name)

    importlib.machinery.SourceFileLoader.get_code = get_code
