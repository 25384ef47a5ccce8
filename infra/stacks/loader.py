from aws_cdk import Stack
from constructs import Construct

from infra.names import Names
from infra.parts import ServiceQueue
from infra.settings import Settings


class LoaderStack(Stack):
    def __init__(
        self, scope: Construct, stack_id: str, *, names: Names, settings: Settings
    ) -> None:
        super().__init__(scope, stack_id)
        ServiceQueue(self, service="loader", names=names, settings=settings)
