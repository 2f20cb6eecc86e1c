"""The command line: ``mailonce`` and ``python -m mailonce``.

The package itself imports nothing of ours: what it would import is checked first, and the health check stays cheap.
"""

__all__ = ["app", "main"]

TYPE_CHECKING = False  # as type checkers know it; `typing` itself may be a file of the user's here
if TYPE_CHECKING:
    from mailonce.commands import app


def main() -> None:
    """Runs the command of ``sys.argv``; a known error becomes one clear message and its exit code."""
    try:
        from mailonce.signals import first_of_its_container, nothing_begun

        with nothing_begun():
            first_of_its_container()
            from mailonce.origin import check_packages

            check_packages()
            from mailonce.commands import run
            from schemas.runtime.entry import enter

            enter()
        run()
    except KeyboardInterrupt:  # one in a command is the command's: this came before or after it
        raise SystemExit(130) from None


def __getattr__(name: str) -> object:
    """`app`, the tree of commands, on demand."""
    if name == "app":
        from mailonce.commands import app

        return app
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
