"""What nobody expected, in one line too: errors of libraries that nothing nearer has named."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from vrmatte.errors import VrmatteError, output_error
from vrmatte.jobs.failures import is_disk_full, reason


@contextmanager
def in_one_line(journal: Path) -> Generator[None]:
    """Turns any error that isn't ours into one that is; `journal` is where its traceback goes.

    Raises:
        DiskFullError: there was no space left.
        VrmatteError: anything else.
    """
    try:
        yield
    except VrmatteError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and is_disk_full(error):
            raise output_error(error, Path(error.filename or journal.parent)) from error
        raise VrmatteError(
            f"an unexpected error ({reason(error)}). Finished chunks are kept; please report it "
            f"with the last lines of {journal}"
        ) from error
