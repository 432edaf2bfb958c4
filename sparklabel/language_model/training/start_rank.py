"""Starts a rank: `python -m sparklabel.language_model.training.start_rank RUN BASE ATTEMPT MINUTES`.

Imports are most of the time until a rank's first step. They take 0.6 of it without collecting garbage meanwhile, and
without two libraries that transformers imports only because they are installed, for what no training does.
"""

import gc
import sys


def main() -> None:
    gc.disable()
    # None means "there is no such module", to `import` and to `find_spec`.
    sys.modules["sklearn"] = sys.modules["scipy"] = None  # type: ignore[assignment]
    from sparklabel.language_model.training.rank import run

    gc.freeze()
    gc.enable()
    run(sys.argv[1:])


if __name__ == "__main__":
    main()
