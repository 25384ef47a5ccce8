from aws_cdk import Stack
from constructs import Construct

from infra.collector_task import add_task
from infra.names import Names
from infra.parts import QueuedService
from infra.permissions import publish, read_lake, write_lake
from infra.settings import Settings


class CollectorStack(Stack):
    """The collector: a function, or by setting a Fargate task without a time limit."""

    def __init__(
        self, scope: Construct, stack_id: str, *, names: Names, settings: Settings
    ) -> None:
        super().__init__(scope, stack_id)
        service = QueuedService(
            self,
            service="collector",
            names=names,
            settings=settings,
            # It reads back its own manifest: a folder that is complete is not fetched again.
            statements=[
                *read_lake(names, "raw"),
                *write_lake(names, "raw"),
                publish(names),
            ],
            variables={"QUARRY_FETCHER": "browser"},
        )
        task = settings.services["collector"].task
        if task:
            add_task(self, service=service, task=task, names=names, settings=settings)
