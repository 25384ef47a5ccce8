from aws_cdk import Stack
from constructs import Construct

from infra.names import Names
from infra.parts import ServiceQueue
from infra.settings import Settings


class GeneratorStack(Stack):
    def __init__(
        self, scope: Construct, stack_id: str, *, names: Names, settings: Settings
    ) -> None:
        super().__init__(scope, stack_id)
        ServiceQueue(self, service="generator", names=names, settings=settings)
