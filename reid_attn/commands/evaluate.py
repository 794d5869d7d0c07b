"""`reid-attn evaluate`: CMC, mAP and the rest, of a run or of a features file, with a report."""

import argparse
from pathlib import Path

from ._arguments import Subparsers, add_checkpoint, add_command, add_output


def add_parser(commands: Subparsers) -> None:
    """Add the command to the parser."""
    parser = add_command(
        commands,
        "evaluate",
        "Measure a run on a data set, or features that any system made; write metrics.json and "
        "report.html.",
        "reid-attn evaluate runs/quickstart --data market1501:data/sample -o scores\n"
        "  reid-attn evaluate --features features.npz -o scores",
    )
    parser.add_argument("run_folder", type=Path, nargs="?", metavar="RUN", help="a trained run")
    parser.add_argument(
        "--features",
        type=Path,
        metavar="FILE",
        help="a features file (.npz, .mat or .pt), instead of a run",
    )
    parser.add_argument("--data", metavar="FORMAT:PATH", help="instead of the run's own data")
    parser.add_argument(
        "--feature",
        choices=("before_neck", "after_neck", "both"),
        help="which feature to compare (default: as the run's settings say)",
    )
    parser.add_argument("--flip", action="store_true", help="average with the mirrored picture")
    parser.add_argument(
        "--metric",
        choices=("cosine", "euclidean"),
        help="how features are compared (default: as the run's settings say; cosine for a file)",
    )
    parser.add_argument(
        "--baselines",
        action="store_true",
        help="measure the untrained network and the colour histogram as well",
    )
    parser.add_argument(
        "--rerank",
        action="store_true",
        help="measure k-reciprocal re-ranking beside it (k1 20, k2 6 and k1 50, k2 15; λ 0.3)",
    )
    parser.add_argument(
        "--expand", action="store_true", help="measure query expansion beside it (AQE and αQE)"
    )
    add_checkpoint(parser)
    add_output(parser, "the run's folder; needed with --features")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Evaluate what was named."""
    from rich.console import Console

    from ..errors import UsageError
    from ..reports.evaluation import Options, evaluate_features, evaluate_run

    if (arguments.run_folder is None) == (arguments.features is None):
        raise UsageError("name either a RUN or --features FILE")
    console = Console()
    if arguments.features is not None:
        if arguments.output is None:
            raise UsageError("--features needs -o DIR to write metrics.json and report.html to")
        asked = (arguments.data, arguments.feature, arguments.flip, arguments.baselines)
        if any(asked) or arguments.checkpoint != "last":
            raise UsageError(
                "--features is ranked as it is, with --metric, --rerank, --expand and -o only"
            )
        options = Options(metric=arguments.metric, rerank=arguments.rerank, expand=arguments.expand)
        evaluate_features(arguments.features, arguments.output, console, options)
        return
    options = Options(
        data=arguments.data,
        checkpoint=arguments.checkpoint,
        feature=arguments.feature,
        flip=arguments.flip,
        metric=arguments.metric,
        baselines=arguments.baselines,
        rerank=arguments.rerank,
        expand=arguments.expand,
    )
    evaluate_run(arguments.run_folder, arguments.output or arguments.run_folder, console, options)
