"""Instruments a program before its first line: `sonde run` puts this folder first on PYTHONPATH, and Python imports the first
`sitecustomize` that it finds there, in this process and in those that it starts.

Nothing here may stop the program. Another `sitecustomize` that this one stands in front of is run as it would have been.
"""


def _run_the_other() -> None:
    import importlib.util
    import os
    import sys
    from importlib.machinery import PathFinder

    here = os.path.dirname(os.path.abspath(__file__))
    path = [entry for entry in sys.path if os.path.abspath(entry or ".") != here]
    sys.path[:] = path
    other = PathFinder.find_spec("sitecustomize", path)
    if other is None or other.loader is None:
        return
    own = sys.modules["sitecustomize"]
    module = importlib.util.module_from_spec(other)
    sys.modules["sitecustomize"] = module
    try:
        other.loader.exec_module(module)
    finally:
        sys.modules["sitecustomize"] = own


def _instrument() -> None:
    import sys

    try:
        from sonde.sdk.launched import launched
    except ImportError as error:
        print(
            f"sonde: {sys.executable} has no sonde.sdk ({error}); no telemetry. Say: {sys.executable} -m pip install sonde",
            file=sys.stderr,
        )
        return
    launched()


try:
    _run_the_other()
finally:
    _instrument()
