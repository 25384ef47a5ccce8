import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from contracts import StepRecord
from infra.names import ENVIRONMENTS, SERVICES, Environment, Names, is_fifo
from infra.template import Template
from shared.metrics import measure

Committed = Mapping[Environment, Mapping[str, Template]]
_HERE: Mapping[Environment, str] = {
    "local": "us-east-1:000000000000",
    "dev": "{Region}:{AccountId}",
    "prod": "{Region}:{AccountId}",
}


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_no_stack_exports_or_imports_a_value(env: Environment, committed: Committed) -> None:
    for template in committed[env].values():
        outputs = template.document.get("Outputs", {}).values()
        assert not any("Export" in output for output in outputs)
        assert "Fn::ImportValue" not in json.dumps(template.document)


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_every_queue_has_a_dead_letter_queue_of_its_own_type(
    env: Environment, committed: Committed
) -> None:
    for service in SERVICES:
        template = committed[env][Names(env).stack(service)]
        queues = {
            queue.properties["QueueName"]: queue.properties
            for queue in template.resources("AWS::SQS::Queue")
        }
        queue = queues[Names(env).queue(service)]
        redrive = queue["RedrivePolicy"]
        dead_letters = queues[Names(env).dead_letter_queue(service)]

        assert redrive["maxReceiveCount"] == 5
        assert template.text(redrive["deadLetterTargetArn"]).endswith(dead_letters["QueueName"])
        assert queue.get("FifoQueue", False) is is_fifo(service)
        assert dead_letters.get("FifoQueue", False) is is_fifo(service)
        assert dead_letters["MessageRetentionPeriod"] > queue["MessageRetentionPeriod"]


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_parked_messages_and_repeated_failures_are_mailed_to_the_administrators(
    env: Environment, committed: Committed
) -> None:
    names = Names(env)
    for service in SERVICES:
        template = committed[env][names.stack(service)]
        alarms = {
            alarm.properties["AlarmName"]: alarm.properties
            for alarm in template.resources("AWS::CloudWatch::Alarm")
        }
        for alarm in alarms.values():
            (action,) = alarm["AlarmActions"]
            assert template.text(action).endswith(f":sns:{_HERE[env]}:{names.alarm_topic}")
        parked = alarms[f"{names.dead_letter_queue(service)}-not-empty"]
        (queue,) = (dimension["Value"]["Fn::GetAtt"][0] for dimension in parked["Dimensions"])
        assert template.named(queue).properties["QueueName"] == names.dead_letter_queue(service)
        assert (parked["MetricName"], parked["Threshold"]) == (
            "ApproximateNumberOfMessagesVisible",
            0,
        )
        failing = alarms[f"{names.queue(service)}-failing"]
        assert failing["Namespace"] == names.metrics_namespace
        assert (failing["MetricName"], failing["Statistic"]) == ("Retried", "Sum")
        assert failing["Dimensions"] == [{"Name": "service", "Value": service}]
        assert failing["Threshold"] >= 1
    shared = committed[env][names.stack("shared")]
    (topic,) = shared.resources("AWS::SNS::Topic")
    mails = [mail.properties for mail in shared.resources("AWS::SNS::Subscription")]

    assert topic.properties["TopicName"] == names.alarm_topic
    assert [(mail["Protocol"], mail["TopicArn"]) for mail in mails] == (
        [] if env == "local" else [("email", {"Ref": topic.logical_id})]
    )


def test_the_alarm_for_repeated_failure_watches_what_a_service_prints_when_it_retries(
    committed: Committed, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    template = committed["prod"][Names("prod").stack("collector")]
    (alarm,) = (
        alarm.properties
        for alarm in template.resources("AWS::CloudWatch::Alarm")
        if alarm.properties["AlarmName"].endswith("-failing")
    )
    (function,) = template.resources("AWS::Lambda::Function")
    namespace = function.properties["Environment"]["Variables"]["POWERTOOLS_METRICS_NAMESPACE"]
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", namespace)
    moment = datetime(2026, 11, 21, tzinfo=UTC)
    step = StepRecord(
        run_id="run",
        stage="collector",
        part="2013Q1",
        status="retrying",
        dataset="call_reports",
        message_id="message",
        started_at=moment,
        finished_at=moment,
        attempt=1,
    )

    measure(step)

    printed = json.loads(capsys.readouterr().out.splitlines()[0])
    (told,) = printed["_aws"]["CloudWatchMetrics"]
    assert told["Namespace"] == alarm["Namespace"]
    assert alarm["MetricName"] in {metric["Name"] for metric in told["Metrics"]}
    assert told["Dimensions"] == [[dimension["Name"] for dimension in alarm["Dimensions"]]]
    assert {name: printed[name] for (name,) in told["Dimensions"]} == {
        dimension["Name"]: dimension["Value"] for dimension in alarm["Dimensions"]
    }


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_every_queue_refuses_plain_http_and_encrypts(
    env: Environment, committed: Committed
) -> None:
    for template in committed[env].values():
        policies = template.resources("AWS::SQS::QueuePolicy")
        for queue in template.resources("AWS::SQS::Queue"):
            assert queue.properties["SqsManagedSseEnabled"] is True
            statements = [
                statement
                for policy in policies
                if {"Ref": queue.logical_id} in policy.properties["Queues"]
                for statement in policy.properties["PolicyDocument"]["Statement"]
            ]
            assert any(_denies_plain_http(statement) for statement in statements)
            allowed = [statement for statement in statements if statement["Effect"] == "Allow"]
            assert all("aws:SourceArn" in json.dumps(each["Condition"]) for each in allowed)


def _denies_plain_http(statement: Mapping[str, Any]) -> bool:
    plain_http = {"Bool": {"aws:SecureTransport": "false"}}
    return bool(statement["Effect"] == "Deny" and statement["Condition"] == plain_http)


@pytest.mark.parametrize("env", ["dev", "prod"])
def test_functions_report_partial_failures_and_hold_messages_six_timeouts(
    env: Environment, committed: Committed
) -> None:
    for service in SERVICES:
        template = committed[env][Names(env).stack(service)]
        (mapping,) = template.resources("AWS::Lambda::EventSourceMapping")
        function = template.named(mapping.properties["FunctionName"]["Ref"])
        (queue,) = (
            queue
            for queue in template.resources("AWS::SQS::Queue")
            if queue.properties["QueueName"] == Names(env).queue(service)
        )
        assert mapping.properties["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
        assert 2 <= mapping.properties["ScalingConfig"]["MaximumConcurrency"] <= 1000
        assert queue.properties["VisibilityTimeout"] >= 6 * function.properties["Timeout"]
        assert function.properties["TracingConfig"] == {"Mode": "Active"}
        assert function.properties["PackageType"] == "Image"
        assert function.properties["ImageConfig"]["Command"] == [f"services.{service}.main.handler"]


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_the_rule_hands_the_envelope_to_the_processor_and_keeps_what_it_cannot_deliver(
    env: Environment, committed: Committed
) -> None:
    template = committed[env][Names(env).stack("processor")]
    (rule,) = template.resources("AWS::Events::Rule")
    (target,) = rule.properties["Targets"]
    undelivered = template.named(target["DeadLetterConfig"]["Arn"]["Fn::GetAtt"][0])

    assert rule.properties["EventBusName"] == f"quarry-{env}"
    assert rule.properties["EventPattern"] == {
        "source": ["quarry.collector"],
        "detail-type": ["FolderComplete"],
    }
    assert template.text(target["Arn"]).endswith(f":quarry-{env}-processor")
    assert target["InputPath"] == "$.detail"
    assert target["RetryPolicy"] == {"MaximumEventAgeInSeconds": 21600, "MaximumRetryAttempts": 24}
    assert "FifoQueue" not in undelivered.properties


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_a_file_dropped_in_the_inbox_asks_the_generator_for_its_dataset(
    env: Environment, committed: Committed
) -> None:
    names = Names(env)
    (lake,) = committed[env][names.stack("shared")].resources("AWS::S3::Bucket")
    assert lake.properties["NotificationConfiguration"] == {
        "EventBridgeConfiguration": {"EventBridgeEnabled": True}
    }

    template = committed[env][names.stack("generator")]
    rules = {rule.properties["Name"]: rule for rule in template.resources("AWS::Events::Rule")}
    rule = rules[f"quarry-{env}-dropped-hires"]
    detail = rule.properties["EventPattern"]["detail"]
    (target,) = rule.properties["Targets"]
    undelivered = template.named(target["DeadLetterConfig"]["Arn"]["Fn::GetAtt"][0])

    # S3 puts its events on the default bus and no other.
    assert "EventBusName" not in rule.properties
    assert rule.properties["EventPattern"]["source"] == ["aws.s3"]
    assert rule.properties["EventPattern"]["detail-type"] == ["Object Created"]
    assert [template.text(name) for name in detail["bucket"]["name"]] == [
        template.text(name) for name in [lake.properties["BucketName"]]
    ]
    assert detail["object"] == {"key": [{"prefix": "inbox/"}]}
    assert template.text(target["Arn"]).endswith(f":quarry-{env}-generator")
    assert json.loads(target["Input"]) == {"dataset": "hires"}
    assert undelivered.properties["QueueName"] == f"quarry-{env}-generator-dlq"


def test_the_local_environment_has_no_function_network_or_database(committed: Committed) -> None:
    types = {
        resource.type
        for template in committed["local"].values()
        for resource in template.resources()
    }
    assert types == {
        "AWS::CloudWatch::Alarm",
        "AWS::DynamoDB::Table",
        "AWS::Events::EventBus",
        "AWS::Events::Rule",
        "AWS::S3::Bucket",
        "AWS::S3::BucketPolicy",
        "AWS::SNS::Topic",
        "AWS::SNS::TopicPolicy",
        "AWS::SQS::Queue",
        "AWS::SQS::QueuePolicy",
        "AWS::SSM::Parameter",
    }


@pytest.mark.parametrize("env", ["dev", "prod"])
def test_the_network_has_no_nat_and_the_database_can_pause(
    env: Environment, committed: Committed
) -> None:
    template = committed[env][Names(env).stack("data")]
    (cluster,) = template.resources("AWS::RDS::DBCluster")

    assert not template.resources("AWS::EC2::NatGateway", "AWS::EC2::InternetGateway")
    assert cluster.properties["ServerlessV2ScalingConfiguration"]["MinCapacity"] == 0
    assert cluster.properties["ServerlessV2ScalingConfiguration"]["SecondsUntilAutoPause"] >= 300
    assert cluster.properties["StorageEncrypted"] is True
    assert template.resources("AWS::SecretsManager::RotationSchedule")


@pytest.mark.parametrize("env", ["dev", "prod"])
def test_the_loader_runs_in_the_network_it_finds_by_parameters(
    env: Environment, committed: Committed
) -> None:
    template = committed[env][Names(env).stack("loader")]
    (function,) = template.resources("AWS::Lambda::Function")
    network = function.properties["VpcConfig"]

    assert [template.text(group) for group in network["SecurityGroupIds"]] == [
        f"{{/quarry/{env}/database/client-security-group-id}}"
    ]
    assert template.text(network["SubnetIds"]) == f"{{/quarry/{env}/database/subnet-ids}}"
    published = {
        parameter.properties["Name"]
        for parameter in committed[env][Names(env).stack("data")].resources("AWS::SSM::Parameter")
    }
    read = {
        parameter["Default"]
        for parameter in template.document["Parameters"].values()
        if "Default" in parameter
    }
    assert read <= published
