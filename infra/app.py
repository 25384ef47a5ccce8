"""The CDK app. `infra.synth` runs it in a process of its own, which has the packaged Node."""

import argparse
from pathlib import Path

from aws_cdk import App, Aws, BootstraplessSynthesizer, Validations
from cdk_nag import AwsSolutionsChecks

from infra.findings import VALIDATION_REPORT
from infra.names import Names
from infra.settings import EDITIONS, Settings, settings_for
from infra.stacks.collector import CollectorStack
from infra.stacks.data import DataStack
from infra.stacks.generator import GeneratorStack
from infra.stacks.loader import LoaderStack
from infra.stacks.processor import ProcessorStack
from infra.stacks.shared import SharedStack


def build_app(settings: Settings, out: Path) -> App:
    """Put the environment's stacks into one app; no stack is given another's objects."""
    names = Names(
        settings.env,
        account=settings.account or Aws.ACCOUNT_ID,
        region=settings.region or Aws.REGION,
        partition=Aws.PARTITION if settings.account is None else "aws",
    )
    app = App(
        analytics_reporting=False,
        default_stack_synthesizer=BootstraplessSynthesizer(),
        outdir=str(out),
        tree_metadata=False,
    )
    SharedStack(app, names.stack("shared"), names=names, settings=settings)
    if settings.database:
        DataStack(app, names.stack("data"), names=names, settings=settings)
    GeneratorStack(app, names.stack("generator"), names=names, settings=settings)
    CollectorStack(app, names.stack("collector"), names=names, settings=settings)
    ProcessorStack(app, names.stack("processor"), names=names, settings=settings)
    LoaderStack(app, names.stack("loader"), names=names, settings=settings)
    return app


def main() -> None:
    """Synthesise editions, each into a folder of its name under `--out`."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--edition", choices=EDITIONS, action="append", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rules", action="store_true", help="check cdk-nag's AwsSolutions too")
    arguments = parser.parse_args()
    for edition in arguments.edition:
        app = build_app(settings_for(edition), arguments.out / edition)
        _synthesise(app, rules=arguments.rules)


def _synthesise(app: App, *, rules: bool) -> None:
    if not rules:
        app.synth()
        return
    Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    try:
        app.synth()
    except RuntimeError:
        # Any finding ends the synthesis; `infra.findings` judges the report, not this app.
        if not (Path(app.outdir) / VALIDATION_REPORT).exists():
            raise


if __name__ == "__main__":
    main()
