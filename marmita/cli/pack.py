"""`marmita pack`: pack an estimator from a file."""

import argparse
from pathlib import Path


def run(options: argparse.Namespace) -> None:
    from marmita.training.estimators.files import pack_files  # imports scikit-learn, which is slow

    chosen = {} if options.seed is None else {"seed": options.seed}
    packed = pack_files(
        Path(options.file),
        Path(options.data),
        target=options.target,
        holdout=Path(options.holdout) if options.holdout else None,
        drop=options.drop,
        delimiter=options.delimiter,
        name=options.name,
        about=options.about,
        source=options.source or Path(options.data).name,
        licence=options.licence,
        **chosen,
    )
    if not packed.promoted:
        print(f"To serve it all the same: marmita promote {packed.tag} --force")
