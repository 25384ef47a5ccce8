"""The committed templates, one folder per environment; `python -m infra.synth` writes them."""

from pathlib import Path

from infra.names import Environment, stack_names

_FOLDER = Path(__file__).parent


def template_paths(env: Environment) -> dict[str, Path]:
    """Return stack name -> committed template, in an order in which they can be deployed."""
    return {name: _FOLDER / env / f"{name}.template.json" for name in stack_names(env)}
