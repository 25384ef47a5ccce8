from aws_cdk import Stack
from constructs import Construct

from infra.api import add_api
from infra.dropped import add_dropped_rules
from infra.names import Names
from infra.parts import QueuedService
from infra.schedules import add_schedules
from infra.settings import Settings


class GeneratorStack(Stack):
    """The generator and the ways into its queue: REST and schedule."""

    def __init__(
        self, scope: Construct, stack_id: str, *, names: Names, settings: Settings
    ) -> None:
        super().__init__(scope, stack_id)
        service = QueuedService(self, service="generator", names=names, settings=settings)
        if settings.api:
            add_api(self, names=names, settings=settings, api=settings.api)
        add_dropped_rules(
            self,
            names=names,
            settings=settings,
            queue=service.queue,
            undelivered=service.dead_letters,
        )
        if settings.schedule:
            add_schedules(
                self,
                names=names,
                schedule=settings.schedule,
                queue=service.queue,
                undelivered=service.dead_letters,
            )
