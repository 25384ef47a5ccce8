"""The REST entry: `POST /runs` starts a run, `GET /runs/{run_id}` tells how far it is."""

from aws_cdk import RemovalPolicy
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.names import Names
from infra.parts import image_function
from infra.permissions import allow
from infra.request_schema import request_schema
from infra.settings import ApiSettings, FunctionSettings, Settings
from infra.variables import service_variables

# Never throttled below what the API itself lets through.
_SIZE = FunctionSettings(memory_mb=512, timeout_seconds=15, batch_size=1, max_concurrency=2)


def add_api(scope: Construct, *, names: Names, settings: Settings, api: ApiSettings) -> None:
    """Add API, validator, function and access log; callers sign their requests with IAM."""
    function = image_function(
        scope,
        "Api",
        service="generator",
        function_name=names.api_function,
        handler="services.generator.main.api_handler",
        names=names,
        settings=settings,
        size=_SIZE,
        statements=[
            allow(["sqs:SendMessage"], [names.arn("sqs", names.queue("generator"))]),
            allow(["dynamodb:Query"], [names.arn("dynamodb", f"table/{names.runs_table}")]),
        ],
        variables=service_variables("generator", names, settings),
    )
    rest = _rest_api(scope, names, settings, api)
    _explain_refusals(rest)
    _add_methods(rest, function)


def _rest_api(
    scope: Construct, names: Names, settings: Settings, api: ApiSettings
) -> apigateway.RestApi:
    access_log = logs.LogGroup(
        scope,
        "AccessLog",
        log_group_name=f"/quarry/{names.env}/api",
        retention=logs.RetentionDays.ONE_MONTH,
        removal_policy=RemovalPolicy.RETAIN if settings.keep_data else RemovalPolicy.DESTROY,
    )
    return apigateway.RestApi(
        scope,
        "Rest",
        rest_api_name=names.prefix,
        description="Starts runs and tells how far they are.",
        endpoint_types=[apigateway.EndpointType.REGIONAL],
        cloud_watch_role=True,
        cloud_watch_role_removal_policy=RemovalPolicy.RETAIN,
        deploy_options=apigateway.StageOptions(
            stage_name="v1",
            throttling_rate_limit=api.rate,
            throttling_burst_limit=api.burst,
            tracing_enabled=True,
            metrics_enabled=True,
            logging_level=apigateway.MethodLoggingLevel.ERROR,
            data_trace_enabled=False,
            access_log_destination=apigateway.LogGroupLogDestination(access_log),
            access_log_format=apigateway.AccessLogFormat.json_with_standard_fields(
                caller=True,
                http_method=True,
                ip=True,
                protocol=True,
                request_time=True,
                resource_path=True,
                response_length=True,
                status=True,
                user=True,
            ),
        ),
    )


def _explain_refusals(rest: apigateway.RestApi) -> None:
    rest.add_gateway_response(
        "BadBody",
        type=apigateway.ResponseType.BAD_REQUEST_BODY,
        status_code="400",
        templates={"application/json": '{"reason": "$context.error.validationErrorString"}'},
    )


def _add_methods(rest: apigateway.RestApi, function: lambda_.DockerImageFunction) -> None:
    model = apigateway.CfnModel(
        rest,
        "Request",
        rest_api_id=rest.rest_api_id,
        name="GenerateRequest",
        content_type="application/json",
        schema=request_schema(),
    )
    integration = apigateway.LambdaIntegration(function, allow_test_invoke=False)
    runs = rest.root.add_resource("runs")
    runs.add_method(
        "POST",
        integration,
        authorization_type=apigateway.AuthorizationType.IAM,
        request_models={
            "application/json": apigateway.Model.from_model_name(rest, "RequestModel", model.ref)
        },
        request_validator=rest.add_request_validator(
            "RequestValidator", validate_request_body=True, validate_request_parameters=True
        ),
    )
    runs.add_resource("{run_id}").add_method(
        "GET",
        integration,
        authorization_type=apigateway.AuthorizationType.IAM,
        request_parameters={"method.request.path.run_id": True},
    )
