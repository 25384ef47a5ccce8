"""What an image says about its process is what the local stack says, and what is measured."""

import re

import pytest

from infra.names import SERVICES, Service
from ops.stack.home import ROOT
from ops.stack.services import ALLOCATOR

_ALLOCATOR = re.compile(r"\b(MIMALLOC_\w+|MALLOC_\w+)=(\S+)")


@pytest.mark.parametrize("service", SERVICES)
def test_an_image_sets_its_allocator_as_the_local_stack_does(service: Service) -> None:
    dockerfile = (ROOT / "services" / service / "Dockerfile").read_text(encoding="utf-8")

    assert dict(_ALLOCATOR.findall(dockerfile)) == ALLOCATOR[service]
