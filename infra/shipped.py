"""What each service's image holds, read from its Dockerfile, and which images a change touches.

python -m infra.shipped hash SERVICE           digest of everything the image is built from
python -m infra.shipped changed --against REV  services to deploy, as a JSON list
"""

import argparse
import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from infra.names import SERVICES, Service

_ROOT = Path(__file__).parents[1]
# A change of these reaches every service through its stack.
_DEPLOYED_WITH = ("infra",)
# Who reads a message is deployed before who sends it, so that no new message meets an old reader.
DEPLOY_ORDER: tuple[Service, ...] = tuple(reversed(SERVICES))


def copies(root: Path, service: Service) -> list[tuple[str, str]]:
    """Return source and target of every COPY of the service's Dockerfile, relative to `root`."""
    lines = dockerfile(root, service).read_text(encoding="utf-8").splitlines()
    found = [line.split()[1:] for line in lines if line.startswith("COPY ")]
    for words in found:
        if len(words) != 2 or words[0].startswith("--"):  # noqa: PLR2004  # a source and a target
            raise ValueError(f"{dockerfile(root, service)}: write COPY SOURCE TARGET, not {words}")
    return [(source, target) for source, target in found]


def dockerfile(root: Path, service: Service) -> Path:
    """Return where the service's Dockerfile is."""
    return root / "services" / service / "Dockerfile"


def shipped_files(root: Path, service: Service) -> Iterator[tuple[Path, str]]:
    """Yield every file that goes into the image with its path there, in a fixed order."""
    for source, target in copies(root, service):
        path = root / source
        if path.is_file():
            yield path, target
            continue
        for file in sorted(path.rglob("*")):
            # `.dockerignore` keeps compiled code out.
            if file.is_file() and "__pycache__" not in file.parts:
                yield file, f"{target}/{file.relative_to(path)}"


def content_hash(root: Path, service: Service) -> str:
    """Digest the Dockerfile and every shipped file with its path; equal digests, equal images."""
    digest = hashlib.sha256(dockerfile(root, service).read_bytes())
    for file, target in shipped_files(root, service):
        digest.update(f"\0{target}\0{hashlib.sha256(file.read_bytes()).hexdigest()}".encode())
    return digest.hexdigest()


def services_touched(root: Path, paths: list[str]) -> list[Service]:
    """Return the services whose image or stack comes from one of `paths`, readers first."""
    return [
        service
        for service in DEPLOY_ORDER
        if any(
            path == source or path.startswith(f"{source}/")
            for path in paths
            for source in (
                *(source for source, _ in copies(root, service)),
                str(dockerfile(root, service).relative_to(root)),
                *_DEPLOYED_WITH,
            )
        )
    ]


def changed_paths(root: Path, revision: str) -> list[str]:
    """Return the files that differ from the last revision in common with `revision`."""
    finished = subprocess.run(  # noqa: S603  # no shell; git itself checks the revision
        ["git", "-C", str(root), "diff", "--name-only", "--no-renames", f"{revision}...HEAD"],  # noqa: S607  # the machine's git
        capture_output=True,
        text=True,
        check=False,
    )
    if finished.returncode:
        sys.exit(finished.stderr.strip())
    return finished.stdout.splitlines()


def main() -> None:
    """Answer one of the two questions."""
    parser = argparse.ArgumentParser(prog="python -m infra.shipped", description=main.__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("hash").add_argument("service", choices=SERVICES)
    commands.add_parser("changed").add_argument("--against", metavar="REV", required=True)
    chosen = parser.parse_args()
    if chosen.command == "hash":
        answer = content_hash(_ROOT, chosen.service)
    else:
        answer = json.dumps(services_touched(_ROOT, changed_paths(_ROOT, chosen.against)))
    sys.stdout.write(f"{answer}\n")


if __name__ == "__main__":
    main()
