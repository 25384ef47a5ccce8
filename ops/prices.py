"""Unit prices of us-east-1, in US dollars, list price without free tier or discount.

AWS shows its prices by script, so most were read from pages that quote them; `source` says which.
"As remembered" means that no page was at hand: check it before you decide anything by it.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Price:
    """`dollars` for one `unit`; `seen` is when the source was published or said it was true."""

    dollars: float
    unit: str
    source: str
    seen: str


_LAMBDA = "docs.aws.amazon.com/whitepapers/latest/how-aws-pricing-works/lambda.html"
_SQS = "cloudburn.io/blog/amazon-sqs-pricing"
_CLOUDWATCH = "factualminds.com/blog/amazon-cloudwatch-pricing-metrics-logs-alarms-dashboards"
_AURORA = "awsnegotiations.com/blog/aurora-serverless-v2-pricing.html"
_REMEMBERED = "as remembered from aws.amazon.com"

PRICES = {
    "lambda_gb_second": Price(0.0000166667, "GB-second", _LAMBDA, "2026-11-21"),
    "lambda_requests": Price(0.20, "million requests", _LAMBDA, "2026-11-21"),
    "sqs_standard": Price(0.40, "million requests", _SQS, "2026-03-14"),
    "sqs_fifo": Price(0.50, "million requests", _SQS, "2026-03-14"),
    "aurora_acu_hour": Price(0.12, "ACU-hour", _AURORA, "2026-05"),
    "aurora_storage": Price(0.10, "GB-month", _AURORA, "2026-05"),
    "logs": Price(0.50, "GB", _CLOUDWATCH, "2026"),
    "dashboard": Price(3.00, "dashboard", _CLOUDWATCH, "2026"),
    "alarm": Price(0.10, "alarm", f"{_REMEMBERED}/cloudwatch/pricing", "2025"),
    "events": Price(1.00, "million events", f"{_REMEMBERED}/eventbridge/pricing", "2025"),
    "api_requests": Price(3.50, "million requests", f"{_REMEMBERED}/api-gateway/pricing", "2025"),
    "dynamodb_writes": Price(0.625, "million writes", f"{_REMEMBERED}/dynamodb/pricing", "2025"),
    "s3_standard": Price(0.023, "GB-month", f"{_REMEMBERED}/s3/pricing", "2025"),
    "s3_glacier_instant": Price(0.004, "GB-month", f"{_REMEMBERED}/s3/pricing", "2025"),
    "s3_puts": Price(0.005, "thousand writes", f"{_REMEMBERED}/s3/pricing", "2025"),
    "ecr": Price(0.10, "GB-month", f"{_REMEMBERED}/ecr/pricing", "2025"),
    "secret": Price(0.40, "secret", f"{_REMEMBERED}/secrets-manager/pricing", "2025"),
    "endpoint_hour": Price(0.01, "zone-hour", f"{_REMEMBERED}/privatelink/pricing", "2025"),
    "traces": Price(5.00, "million traces", f"{_REMEMBERED}/xray/pricing", "2025"),
}
