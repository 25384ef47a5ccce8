"""The environment variables a service gets on AWS; the settings of `shared` read them. Pure."""

from infra.names import Names, Service, next_service
from infra.settings import Settings


def service_variables(service: Service, names: Names, settings: Settings) -> dict[str, str]:
    """Return every service's variables; what only one service has is added by its stack."""
    following = next_service(service)
    variables = {
        "QUARRY_ENV": names.env,
        "QUARRY_BUCKET": names.bucket,
        "QUARRY_BUS": names.bus,
        "QUARRY_RUNS_TABLE": names.runs_table,
        "QUARRY_QUEUE_URL": names.queue_url(names.queue(service)),
        "QUARRY_DLQ_URL": names.queue_url(names.dead_letter_queue(service)),
        "QUARRY_VISIBILITY_SECONDS": str(settings.services[service].visibility_seconds),
        "QUARRY_MAX_RECEIVE_COUNT": str(settings.max_receive_count),
        "POWERTOOLS_METRICS_NAMESPACE": names.metrics_namespace,
    }
    if following:
        variables["QUARRY_NEXT_QUEUE_URL"] = names.queue_url(names.queue(following))
    return variables
