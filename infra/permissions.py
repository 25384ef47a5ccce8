"""What each service may do, said in statements with exact actions and resources."""

from collections.abc import Sequence

from aws_cdk import aws_iam as iam

from infra.names import Names, Service, next_service


def allow(actions: Sequence[str], resources: Sequence[str]) -> iam.PolicyStatement:
    """Return a statement that allows `actions` on `resources`."""
    return iam.PolicyStatement(actions=list(actions), resources=list(resources))


def worker_statements(service: Service, names: Names) -> list[iam.PolicyStatement]:
    """Return what every worker needs: its own queue and DLQ, the next queue, the run log."""
    sends_to = [names.dead_letter_queue(service)]
    following = next_service(service)
    if following:
        sends_to.append(names.queue(following))
    return [
        allow(
            [
                "sqs:ChangeMessageVisibility",
                "sqs:DeleteMessage",
                "sqs:GetQueueAttributes",
                "sqs:ReceiveMessage",
            ],
            [names.arn("sqs", names.queue(service))],
        ),
        allow(["sqs:SendMessage"], [names.arn("sqs", name) for name in sends_to]),
        allow(["dynamodb:PutItem"], [names.arn("dynamodb", f"table/{names.runs_table}")]),
    ]


def read_lake(names: Names, *folders: str) -> list[iam.PolicyStatement]:
    """Return the right to read objects under each `folder/`.

    Listing the bucket is included: without it S3 answers 403, not 404, for a key that is missing,
    and a condition on the prefix would not hold there, since such a request has no prefix.
    """
    return [
        allow(["s3:GetObject"], [names.lake_arn(f"{folder}/*") for folder in folders]),
        allow(["s3:ListBucket"], [names.lake_arn()]),
    ]


def write_lake(names: Names, *folders: str) -> list[iam.PolicyStatement]:
    """Return the right to put objects under each `folder/`, in parts where they are large."""
    keys = [names.lake_arn(f"{folder}/*") for folder in folders]
    return [allow(["s3:AbortMultipartUpload", "s3:PutObject"], keys)]


def empty_lake(names: Names, folder: str) -> iam.PolicyStatement:
    """Return the right to delete objects under `folder/`."""
    return allow(["s3:DeleteObject"], [names.lake_arn(f"{folder}/*")])


def publish(names: Names) -> iam.PolicyStatement:
    """Return the right to put events on the one bus."""
    return allow(["events:PutEvents"], [names.arn("events", f"event-bus/{names.bus}")])
